#!/bin/bash -p
# The docker that a runner finds first on its PATH (setup.sh puts a copy into /opt/mimickit-runner/docker/N). It
#   refuses everything until job-started.sh has admitted the job: with ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER=true nothing
#       of a job can run without a container, so that a hook that could not even start stops the job as well;
#   gives the job the GPU with the runner's number, whatever its --gpus says: a workflow cannot know which one that is;
#   puts the runner's number on what it makes, by which job-completed.sh finds it.
# It is no prison: who is let in has the whole of Docker (docs/self-hosted-runners.md). -p: bash runs nothing of its
# environment (BASH_ENV, functions), which the runner fills with the variables of the job's steps.
set -euo pipefail
readonly DOCKER=/usr/bin/docker
readonly STATES=/run/mimickit-runner

runner="${BASH_SOURCE[0]%/docker}"
runner="${runner##*/}"

if [ ! -e "$STATES/$runner/state/admitted" ]; then
    echo "job-started.sh has not admitted this job, so there are no containers for it" >&2
    exit 1
fi

case "${1:-} ${2:-}" in
    "create "* | "run "*)
        made=("$1" --label "mimickit-runner=$runner")
        shift
        ;;
    "network create" | "volume create")
        made=("$1" "$2" --label "mimickit-runner=$runner")
        shift 2
        ;;
    *) exec "$DOCKER" "$@" ;;
esac

while [ $# -gt 0 ]; do
    case "$runner $1" in
        "all "*) made+=("$1") ;;
        *" --gpus")
            made+=(--gpus "device=$runner")
            shift
            ;;
        *" --gpus="*) made+=("--gpus=device=$runner") ;;
        *) made+=("$1") ;;
    esac
    [ $# -eq 0 ] || shift
done
exec "$DOCKER" "${made[@]}"
