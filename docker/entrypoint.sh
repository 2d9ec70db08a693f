#!/bin/sh
# Says what would fail later and less clearly, then becomes the command.
set -eu

# Motions and models that are mounted to be read only are whole already.
is_read_only() { awk -v place="$1" '$5 == place && $6 ~ /(^|,)ro(,|$)/ {found = 1} END {exit !found}' /proc/self/mountinfo; }

for folder in /opt/mimickit/output /opt/mimickit/data/motions /opt/mimickit/data/models /var/cache/mimickit \
    /var/cache/mimickit/kernels; do
    if [ -d "$folder" ] && [ ! -w "$folder" ]; then
        case "$folder" in
            /opt/mimickit/data/*) if is_read_only "$folder"; then continue; fi ;;
        esac
        echo "$folder cannot be written by user $(id -u), as whom this container runs. Run it as the owner of what is" \
            "mounted there, user $(stat -c %u "$folder"): with docker, --user; with docker compose, MIMICKIT_UID and" \
            "MIMICKIT_GID in a file .env" >&2
        exit 2
    fi
done

# MIMICKIT_REQUIRE_GPU=1: no GPU is an error, and not a slow run on the CPU.
if [ "${MIMICKIT_REQUIRE_GPU:-0}" = 1 ] && ! nvidia-smi -L >&2; then
    echo "no GPU in this container: run it with --gpus all, on a host with the NVIDIA container toolkit" >&2
    exit 2
fi

exec "$@"
