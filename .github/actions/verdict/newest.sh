#!/usr/bin/env bash
# newest.sh FOLDER: of what a row of the matrix handed over in several attempts of a run, the newest stays.
set -euo pipefail

cd "$1"
shopt -s nullglob
for folder in *-of-attempt-*; do
    attempt="${folder##*-of-attempt-}"
    for other in "${folder%-of-attempt-*}"-of-attempt-*; do
        if [ "${other##*-of-attempt-}" -gt "$attempt" ]; then
            echo "$folder is left out: $other is newer"
            rm -r "$folder"
            break
        fi
    done
done
