#!/bin/bash
# Makes a Debian or Ubuntu machine with NVIDIA GPUs a host of GitHub runners that do one job each and are then wiped.
# See docs/self-hosted-runners.md for what it protects from what, and what it does not.
set -euo pipefail
shopt -s nullglob

usage() {
    cat << END
usage: setup.sh --repository OWNER/NAME --runner-version X.Y.Z --runner-sha256 HEX --token-file FILE [option...]
       setup.sh --remove [--dry-run]

  --repository OWNER/NAME    the one repository that may run jobs here
  --runner-version X.Y.Z     version of the runner's program
  --runner-sha256 HEX        SHA-256 of actions-runner-linux-x64-X.Y.Z.tar.gz; it is in the release's notes:
                             https://github.com/actions/runner/releases
  --runner-archive FILE      that archive, already here; otherwise it is downloaded from there
  --token-file FILE          token that may register runners; copied for root alone, so remove FILE afterwards
  --jit-command FILE         instead of a token: a program that prints ACTIONS_RUNNER_INPUT_JITCONFIG=... for a name
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
readonly program="$root/opt/mimickit-runner" settings="$root/etc/mimickit-runner"
readonly folders="$root/var/lib/mimickit-runner"
readonly unit="$root/etc/systemd/system/mimickit-runner@.service"
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

remove_all() {
    local name
    if [ "$dry_run" = no ]; then
        [ "$(id -u)" = 0 ] || fail "must be root"
        for name in $(running_units); do
            systemctl disable --now "$name"
        done
    else
        echo "+ systemctl disable --now every mimickit-runner@N"
    fi
    do_it rm --force "$unit"
    do_it systemctl daemon-reload
    do_it rm --recursive --force "$program" "$settings" "$folders" "$root/run/mimickit-runner"
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
if [ -n "$token_file" ] && [ -n "$jit_command" ] || [ -z "$token_file$jit_command" ]; then
    fail "give one of --token-file and --jit-command"
fi
for file in "$archive" "$token_file" "$jit_command"; do
    [ -z "$file" ] || [ -r "$file" ] || [ "$dry_run" = yes ] || fail "cannot read $file"
done
IFS=, read -r -a runners <<< "$gpus"

# --- the machine

check_machine() {
    local tool free
    [ "$(id -u)" = 0 ] || fail "must be root"
    for tool in awk comm curl docker install logger python3 sha256sum systemctl tar; do
        command -v "$tool" > /dev/null || fail "$tool is missing"
    done
    [ -x /usr/bin/docker ] || fail "docker must be /usr/bin/docker, as Docker's and Debian's packages have it"
    /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "/usr/bin/python3 must be 3.10 or newer"
    docker run --rm --gpus all "$base_image" nvidia-smi --list-gpus ||
        fail "a container sees no GPU: install the driver and the NVIDIA container toolkit, and run" \
            "nvidia-ctk runtime configure --runtime=docker"
    for runner in "${runners[@]}"; do
        [ "$runner" = all ] ||
            [ "$(docker run --rm --gpus "device=$runner" "$base_image" nvidia-smi --list-gpus | wc -l)" = 1 ] ||
            fail "a container cannot have GPU $runner to itself"
    done
    free="$(df --output=avail --block-size=1G "$(docker info --format '{{.DockerRootDir}}')" | tail -n 1 | tr -d ' ')"
    [ "$free" -ge 60 ] || fail "Docker has $free GB left, and jobs want 60"
    if id "$user" > /dev/null 2>&1; then
        [ "$(id -u "$user")" = "$uid" ] || fail "user $user exists and is not number $uid"
    elif getent passwd "$uid" > /dev/null; then
        fail "number $uid belongs to $(getent passwd "$uid" | cut -d: -f1), but the job's files will belong to it"
    fi
}

if [ "$dry_run" = yes ]; then
    echo "+ check: root, tools, python3 3.10, 60 GB for Docker, user number $uid free, and"
    do_it docker run --rm --gpus all "$base_image" nvidia-smi --list-gpus
elif [ -z "$root" ]; then
    check_machine
    for name in $(running_units); do
        systemctl disable --now "$name" # it ends the job that is running
    done
fi

# --- the runner's program

name="actions-runner-linux-x64-$version.tar.gz"
work=download
if [ "$dry_run" = no ]; then
    work="$(mktemp --directory)"
    trap 'rm --recursive --force "$work"' EXIT
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
do_it rm --recursive --force "$program"
do_it install --directory "$program" "$program/hooks" "$program/bin" "$program/runner" "$settings" "$folders"
do_it tar --extract --gzip --no-same-owner --file "$archive" --directory "$program/runner"
if [ -z "$root" ]; then
    do_it "$program/runner/bin/installdependencies.sh"
fi

# --- ours: of root, and nobody else can write to it

do_it install --mode 755 "$here/job-started.sh" "$here/job-completed.sh" "$program/hooks/"
do_it install --mode 644 "$here/admission.py" "$program/hooks/"
do_it install --mode 755 "$here/prepare.sh" "$program/bin/"
do_it install --mode 644 "$here/jit_config.py" "$program/bin/"
for runner in "${runners[@]}"; do
    do_it install -D --mode 755 "$here/docker-gate.sh" "$program/docker/$runner/docker"
done
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
do_it rm --force "$settings/token" "$settings/jit-command"
if [ -n "$token_file" ]; then
    do_it install --mode 600 "$token_file" "$settings/token"
else
    do_it install --mode 700 "$jit_command" "$settings/jit-command"
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
if [ -n "$token_file" ]; then
    echo "the token is in $settings/token now: remove $token_file"
fi
