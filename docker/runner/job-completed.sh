#!/bin/bash
# Removes what a job of the runner N has left: containers, networks, volumes, files. As root, when the runner has ended
# (mimickit-runner@.service) and before it starts (prepare.sh).
#
# It is no hook of the runner (ACTIONS_RUNNER_HOOK_JOB_COMPLETED): the runner looks for the bash of that one on a PATH
# that the job's steps can add to (GITHUB_PATH), and so would run what the job likes on the host.
set -uo pipefail
shopt -s nullglob
readonly FOLDERS=/var/lib/mimickit-runner
readonly STATES=/run/mimickit-runner
readonly RUNNERS=/opt/mimickit-runner/docker
readonly DOCKER=/usr/bin/docker
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

runner="${1:-}"
if [[ ! "$runner" =~ ^(all|[0-9]+)$ ]]; then
    echo "usage: job-completed.sh NUMBER or all" >&2
    exit 2
fi
failed=0

list() {
    "$DOCKER" "$@" | sort --unique
}

# What was not there when this runner started (prepare.sh wrote the list).
new() {
    local before="$STATES/$runner/$1.before"
    shift
    if [ -f "$before" ]; then
        list "$@" | comm -13 "$before" -
    fi
}

label="label=mimickit-runner=$runner"
containers="$(list ps --all --quiet --no-trunc --filter "$label")" || failed=1
runners=("$RUNNERS"/*/)
if [ ${#runners[@]} -le 1 ]; then
    # The only runner: what a step started past the runner, through Docker's socket, can only be this job's.
    containers+=$'\n'"$(new containers ps --all --quiet --no-trunc)" || failed=1
fi
while read -r container; do
    [ -z "$container" ] || "$DOCKER" container rm --force --volumes "$container" > /dev/null || failed=1
done < <(sort --unique <<< "$containers")
for network in $(list network ls --quiet --filter "$label"); do
    "$DOCKER" network rm "$network" > /dev/null || failed=1
done
volumes="$(list volume ls --quiet --filter "$label")"$'\n'"$(new volumes volume ls --quiet)"
while read -r volume; do
    [ -z "$volume" ] || "$DOCKER" volume rm "$volume" > /dev/null || echo "the volume $volume is in use, and stays" >&2
done < <(sort --unique <<< "$volumes")

rm --recursive --force --one-file-system "${FOLDERS:?}/$runner" "${STATES:?}/$runner" || failed=1
exit "$failed"
