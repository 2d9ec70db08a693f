#!/bin/bash
# Makes the runner N ready for one job, as root, before mimickit-runner@N starts: nothing of an earlier job, a new copy
# of the runner's program, and a configuration that is good for one job.
set -euo pipefail
umask 022
readonly SETTINGS=/etc/mimickit-runner
readonly PROGRAM=/opt/mimickit-runner
readonly FOLDERS=/var/lib/mimickit-runner
readonly STATES=/run/mimickit-runner
readonly OWNER=runner
readonly DOCKER=/usr/bin/docker
readonly FREE_GB=40 # the environment's image is several GB, and a second one comes before the first goes
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

runner="${1:?usage: prepare.sh NUMBER or all}"
"$PROGRAM/hooks/job-completed.sh" "$runner"

free_gb() {
    df --output=avail --block-size=1G "$("$DOCKER" info --format '{{.DockerRootDir}}')" | tail -n 1 | tr -d ' '
}
if [ "$(free_gb)" -lt "$FREE_GB" ]; then
    "$DOCKER" image prune --all --force
fi
if [ "$(free_gb)" -lt "$FREE_GB" ]; then
    echo "less than $FREE_GB GB are free for Docker, though all unused images are gone: no job here" >&2
    exit 1
fi

# What is there now belongs to nobody's job: job-completed.sh removes what is there later and was not.
install --directory "$STATES/$runner"
"$DOCKER" ps --all --quiet --no-trunc | sort --unique > "$STATES/$runner/containers.before"
"$DOCKER" volume ls --quiet | sort --unique > "$STATES/$runner/volumes.before"
install --directory --owner "$OWNER" --group "$OWNER" --mode 700 "$STATES/$runner/state"

# A job can write to its runner's program, so every job gets a new one.
install --directory "$FOLDERS"
cp --recursive --preserve=mode,timestamps,links --reflink=auto "$PROGRAM/runner" "$FOLDERS/$runner"
chown --recursive "$OWNER:$OWNER" "$FOLDERS/$runner"

# The unit reads this file as root and hands its line to the runner, which takes it out of its environment. A machine
# that is not to hold a token has a command that gets the line from elsewhere.
umask 077
name="$(hostname --short)-$runner-$(date +%s)"
if [ -x "$SETTINGS/jit-command" ]; then
    "$SETTINGS/jit-command" "$name" > "$STATES/$runner/jit.env"
else
    /usr/bin/python3 -I "$PROGRAM/bin/jit_config.py" --settings "$SETTINGS/runner.conf" \
        --token "$SETTINGS/token" --name "$name" > "$STATES/$runner/jit.env"
fi
