#!/bin/bash
# Makes a Debian or Ubuntu machine with NVIDIA GPUs a host of GitHub runners that do one job each and are then wiped.
# See docs/self-hosted-runners.md for what it protects from what, and what it does not.
set -euo pipefail
shopt -s nullglob

usage() {
    cat << END
usage: setup.sh --repository OWNER/NAME --runner-version X.Y.Z --runner-sha256 HEX [--token-file FILE] [option...]
       setup.sh --remove [--dry-run]

  --repository OWNER/NAME    the one repository that may run jobs here
  --runner-version X.Y.Z     version of the runner's program
  --runner-sha256 HEX        SHA-256 of actions-runner-linux-x64-X.Y.Z.tar.gz; it is in the release's notes:
                             https://github.com/actions/runner/releases
  --runner-archive FILE      that archive, already here; otherwise it is downloaded from there
  --token-file FILE          token that may register runners; copied for root alone, so remove FILE afterwards
  --jit-command FILE         instead of a token: a program that prints ACTIONS_RUNNER_INPUT_JITCONFIG=... for a name;
                             with neither, the one that is installed stays
  --gpus all | 0,1,...       one runner with every GPU (all, the default), or a runner for each of these GPUs
  --labels a,b,...           default: self-hosted,linux,x64,gpu
  --scope PATH               where runners are registered: repos/OWNER/NAME (the default) or orgs/OWNER
  --group NUMBER             runner group, default 1
  --events "a b ..."         events that may start jobs; default all that can:
                             "pull_request push schedule workflow_dispatch merge_group"
  --branch NAME              default branch, default main
  --base-image NAME          image that the GPUs are tried with, default nvidia/cuda:13.0.1-base-ubuntu24.04
  --api URL                  default https://api.github.com
  --root DIR                 write the files below DIR, as for an image of a machine: no checks, no user, no service
  --dry-run                  say what would be done, and do nothing
  --remove                   undo all of it
END
}

fail() {
    echo "setup.sh: $*" >&2
    exit 2
}

repository="" version="" sha256="" archive="" token_file="" jit_command="" gpus=all
labels=self-hosted,linux,x64,gpu scope="" group=1 branch=main root="" dry_run=no remove=no
events="pull_request push schedule workflow_dispatch merge_group"
base_image=nvidia/cuda:13.0.1-base-ubuntu24.04 api=https://api.github.com

while [ $# -gt 0 ]; do
    case "$1" in
        --dry-run) dry_run=yes ;;
        --remove) remove=yes ;;
        --help)
            usage
            exit 0
            ;;
        --repository | --runner-version | --runner-sha256 | --runner-archive | --token-file | --jit-command | --gpus | \
            --labels | --scope | --group | --events | --branch | --base-image | --api | --root)
            [ $# -ge 2 ] || fail "$1 wants a value"
            case "$1" in
                --repository) repository=$2 ;;
                --runner-version) version=$2 ;;
                --runner-sha256) sha256=$2 ;;
                --runner-archive) archive=$2 ;;
                --token-file) token_file=$2 ;;
                --jit-command) jit_command=$2 ;;
                --gpus) gpus=$2 ;;
                --labels) labels=$2 ;;
                --scope) scope=$2 ;;
                --group) group=$2 ;;
                --events) events=$2 ;;
                --branch) branch=$2 ;;
                --base-image) base_image=$2 ;;
                --api) api=$2 ;;
                --root) root=$2 ;;
            esac
            shift
            ;;
        *) fail "unknown option $1; --help lists them" ;;
    esac
    shift
done

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly here
readonly PROGRAM=/opt/mimickit-runner
readonly SETTINGS=/etc/mimickit-runner
readonly FOLDERS=/var/lib/mimickit-runner
readonly UNITS=/etc/systemd/system
readonly DOCKER=/usr/bin/docker
readonly PYTHON=/usr/bin/python3
readonly FIRST_GB=60 # for an empty machine; before each job prepare.sh wants 40
readonly program="$root$PROGRAM" settings="$root$SETTINGS" folders="$root$FOLDERS"
readonly unit="$root$UNITS/mimickit-runner@.service"
readonly user=runner uid=1001 # what the environment's image runs as: its files and the runner's belong to one user

# Does it, or says it.
do_it() {
    if [ "$dry_run" = yes ]; then
        printf '+'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

# write FILE MODE: what comes on the standard input.
write() {
    if [ "$dry_run" = yes ]; then
        echo "+ write $1 with mode $2:"
        sed 's/^/    /'
    else
        install -D --mode "$2" /dev/stdin "$1"
    fi
}

running_units() {
    systemctl list-units --all --plain --no-legend 'mimickit-runner@*' | awk '{print $1}'
}

# It ends the jobs that are running.
stop_all() {
    local name
    if [ "$dry_run" = no ]; then
        for name in $(running_units); do
            systemctl disable --now "$name"
        done
    else
        echo "+ systemctl disable --now every mimickit-runner@N"
    fi
}

remove_all() {
    [ "$dry_run" = yes ] || [ "$(id -u)" = 0 ] || fail "must be root"
    stop_all
    do_it rm --force "$unit"
    do_it systemctl daemon-reload
    do_it rm --recursive --force "$program" "$program.new" "$settings" "$folders" "$root/run/mimickit-runner"
    if id "$user" > /dev/null 2>&1 || [ "$dry_run" = yes ]; then
        do_it userdel "$user"
    fi
    echo "runners that were waiting stay listed on GitHub, offline, until it forgets them or an owner removes them"
}

if [ "$remove" = yes ]; then
    remove_all
    exit 0
fi

# --- what was asked for

[[ "$repository" =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] || fail "--repository must be OWNER/NAME, not '$repository'"
[[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "--runner-version must be X.Y.Z, not '$version'"
[[ "$sha256" =~ ^[0-9a-f]{64}$ ]] ||
    fail "--runner-sha256 must be the 64 digits that https://github.com/actions/runner/releases/tag/v$version shows"
[[ "$gpus" =~ ^(all|[0-9]+(,[0-9]+)*)$ ]] || fail "--gpus must be all or numbers with commas, not '$gpus'"
[[ "$labels" =~ ^[A-Za-z0-9._-]+(,[A-Za-z0-9._-]+)*$ ]] || fail "--labels must be words with commas, not '$labels'"
[[ "$branch" =~ ^[A-Za-z0-9._/-]+$ ]] || fail "--branch is no branch: '$branch'"
[[ "$group" =~ ^[0-9]+$ ]] || fail "--group must be a number, not '$group'"
scope="${scope:-repos/$repository}"
[[ "$scope" =~ ^(repos/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+|orgs/[A-Za-z0-9._-]+)$ ]] ||
    fail "--scope must be repos/OWNER/NAME or orgs/OWNER, not '$scope'"
for event in $events; do
    case "$event" in
        pull_request | push | schedule | workflow_dispatch | merge_group) ;;
        *) fail "$event never runs on these runners" ;;
    esac
done
# The credential is the last file that an installation writes, so it also says whether there has been one.
installed=no
if [ -e "$settings/token" ] || [ -e "$settings/jit-command" ]; then
    installed=yes
fi
if [ -n "$token_file" ] && [ -n "$jit_command" ]; then
    fail "give one of --token-file and --jit-command"
fi
[ -n "$token_file$jit_command" ] || [ "$installed" = yes ] ||
    fail "give --token-file or --jit-command: $settings has neither of an earlier installation"
for file in "$archive" "$token_file" "$jit_command"; do
    [ -z "$file" ] || [ -r "$file" ] || [ "$dry_run" = yes ] || fail "cannot read $file"
done
IFS=, read -r -a runners <<< "$gpus"

# --- the machine

check_machine() {
    local tool place free
    [ "$(id -u)" = 0 ] || fail "must be root"
    for tool in awk comm curl docker install logger python3 sha256sum systemctl tar; do
        command -v "$tool" > /dev/null || fail "$tool is missing"
    done
    [ -x "$DOCKER" ] || fail "docker must be $DOCKER, as Docker's and Debian's packages have it"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$PYTHON must be 3.10 or newer"
    docker run --rm --gpus all "$base_image" nvidia-smi --list-gpus ||
        fail "a container sees no GPU: install the driver and the NVIDIA container toolkit, and run" \
            "nvidia-ctk runtime configure --runtime=docker"
    for runner in "${runners[@]}"; do
        [ "$runner" = all ] ||
            [ "$(docker run --rm --gpus "device=$runner" "$base_image" nvidia-smi --list-gpus | wc -l)" = 1 ] ||
            fail "a container cannot have GPU $runner to itself"
    done
    if [ "$installed" = no ]; then # later the images of jobs lie there, and prepare.sh looks after them
        place="$(docker info --format '{{.DockerRootDir}}')"
        free="$(df --output=avail --block-size=1G "$place" | tail -n 1 | tr -d ' ')"
        [ "$free" -ge "$FIRST_GB" ] || fail "Docker has $free GB left, and a new host wants $FIRST_GB"
    fi
    if id "$user" > /dev/null 2>&1; then
        [ "$(id -u "$user")" = "$uid" ] || fail "user $user exists and is not number $uid"
    elif getent passwd "$uid" > /dev/null; then
        fail "number $uid belongs to $(getent passwd "$uid" | cut -d: -f1), but the job's files will belong to it"
    fi
}

if [ "$dry_run" = yes ]; then
    echo "+ check: root, tools, python3 3.10, the first time $FIRST_GB GB for Docker, user number $uid free, and"
    do_it docker run --rm --gpus all "$base_image" nvidia-smi --list-gpus
elif [ -z "$root" ]; then
    check_machine
fi

# --- the runner's program, beside the one that is there: what can fail does so while the runners still run

name="actions-runner-linux-x64-$version.tar.gz"
work=download new="$program.new"
if [ "$dry_run" = no ]; then
    work="$(mktemp --directory)"
    trap 'rm --recursive --force "$work" "$new"' EXIT
fi
if [ -n "$token_file" ]; then # it may be the one that is installed
    do_it install --mode 600 "$token_file" "$work/token"
elif [ -n "$jit_command" ]; then
    do_it install --mode 700 "$jit_command" "$work/jit-command"
fi
if [ -z "$archive" ]; then
    archive="$work/$name"
    do_it curl --fail --silent --show-error --location --proto '=https' --output "$archive" \
        "https://github.com/actions/runner/releases/download/v$version/$name"
fi
if [ "$dry_run" = yes ]; then
    echo "+ sha256sum --check: $archive must have $sha256"
else
    sha256sum --check --strict --quiet <<< "$sha256  $archive" || fail "$archive is not what was released"
fi
do_it rm --recursive --force "$new"
do_it install --directory "$new" "$new/hooks" "$new/bin" "$new/runner" "$settings" "$folders"
do_it tar --extract --gzip --no-same-owner --file "$archive" --directory "$new/runner"
if [ -z "$root" ]; then
    do_it "$new/runner/bin/installdependencies.sh"
fi

# --- ours: of root, and nobody else can write to it

do_it install --mode 755 "$here/job-started.sh" "$here/job-completed.sh" "$new/hooks/"
do_it install --mode 644 "$here/admission.py" "$new/hooks/"
do_it install --mode 755 "$here/prepare.sh" "$new/bin/"
do_it install --mode 644 "$here/jit_config.py" "$new/bin/"
for runner in "${runners[@]}"; do
    do_it install -D --mode 755 "$here/docker-gate.sh" "$new/docker/$runner/docker"
done

# --- in the place of what is there

if [ -z "$root" ]; then
    stop_all
fi
do_it rm --recursive --force "$program"
do_it mv "$new" "$program"
do_it install -D --mode 644 "$here/mimickit-runner@.service" "$unit"

write "$settings/allowed.conf" 644 << END
# What may run here; job-started.sh asks this file.
repository=$repository
events=$events
branch=$branch
END
write "$settings/runner.conf" 644 << END
api=$api
scope=$scope
group=$group
labels=$labels
END
if [ -n "$token_file$jit_command" ]; then
    do_it rm --force "$settings/token" "$settings/jit-command"
fi
if [ -n "$token_file" ]; then
    do_it install --mode 600 "$work/token" "$settings/token"
elif [ -n "$jit_command" ]; then
    do_it install --mode 700 "$work/jit-command" "$settings/jit-command"
fi

# --- start

if [ -z "$root" ]; then
    if [ "$dry_run" = yes ] || ! id "$user" > /dev/null 2>&1; then
        do_it useradd --uid "$uid" --user-group --no-create-home --home-dir "$folders" --shell /usr/sbin/nologin "$user"
    fi
    do_it systemctl daemon-reload
    for runner in "${runners[@]}"; do
        do_it systemctl enable --now "mimickit-runner@$runner"
    done
fi
if [ -n "$token_file" ] && ! [ "$token_file" -ef "$settings/token" ]; then
    echo "the token is in $settings/token now: remove $token_file"
fi
