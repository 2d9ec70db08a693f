#!/bin/bash
# The runner's hook ACTIONS_RUNNER_HOOK_JOB_STARTED: refuses a job before anything of it has run.
#
# admission.py decides; it is Python because a payload is JSON, and bash has nothing to read it with. An exit code that
# is not 0 is not enough: the runner marks the job as failed and still runs the steps that say "if: always()"
# (github.com/actions/runner/issues/2811), and a fork writes its own workflow file. So a refusal ends the process that
# would run them. Every way out of this file is a refusal, but the one at its end.
set -euo pipefail
readonly ALLOWED=/etc/mimickit-runner/allowed.conf
readonly OWNER=0
readonly PYTHON=/usr/bin/python3
readonly DOCKER=/usr/bin/docker
readonly LOG_SECONDS=5 # the runner sends its log in pieces: a reason that it never sends helps nobody
PATH=/usr/sbin:/usr/bin:/sbin:/bin

trap '' HUP INT TERM # a run that is cancelled now would go on to its always() steps
admitted=no
reason="This job may not run here: the check of it did not come to its end."

# The process that runs the job's steps. It has started this hook; under another name it would be the parent.
worker() {
    local pid=$PPID name
    while [ "$pid" -gt 1 ]; do
        name="$(cat "/proc/$pid/comm")"
        if [ "$name" = Runner.Worker ]; then
            echo "$pid"
            return
        fi
        pid="$(awk '/^PPid:/ {print $2}' "/proc/$pid/status")"
    done
    echo "$PPID"
}

end_the_job() {
    set +e
    [ "$admitted" = yes ] && return
    printf '::error::%s\n' "$reason" >&2
    logger --tag mimickit-runner -- "${GITHUB_REPOSITORY:-?} run ${GITHUB_RUN_ID:-?}: $reason"
    sleep "$LOG_SECONDS"
    kill -KILL "$(worker)"
    exit 1
}
trap end_the_job EXIT

refuse() {
    reason="This job may not run here: $1."
    exit 1
}

hooks="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
state="${MIMICKIT_RUNNER_STATE:-}"
if [ -z "$state" ] || [ ! -d "$state" ]; then
    refuse "MIMICKIT_RUNNER_STATE does not name this runner's folder"
fi
if [ -e "$state/admitted" ]; then
    refuse "this runner has had its one job"
fi

status=0
said="$("$PYTHON" -I "$hooks/admission.py" --allowed "$ALLOWED" --owner "$OWNER" 2>&1)" || status=$?
case "$status" in
    0) ;;
    3)
        reason="$said"
        exit 1
        ;;
    *) refuse "the check of it ended with $status: ${said##*$'\n'}" ;;
esac

# Only a host with Docker has instances; a pod of Kubernetes is new.
if [ -n "${MIMICKIT_RUNNER_INSTANCE:-}" ]; then
    left="$("$DOCKER" ps --all --quiet --filter "label=mimickit-runner=$MIMICKIT_RUNNER_INSTANCE")" ||
        refuse "docker does not say whether an earlier job has left containers"
    if [ -n "$left" ]; then
        refuse "an earlier job has left containers"
    fi
fi

: > "$state/admitted"
admitted=yes
echo "$said"
