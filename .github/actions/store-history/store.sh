#!/usr/bin/env bash
# A file on a branch of its own, brought up to date by a command:  store.sh COMMAND ARGUMENT...
# Fetches the branch, runs COMMAND ARGUMENT... --history FOLDER/FILE on it, commits and pushes. When somebody else has
# pushed in between, all of it is done again on what they pushed.
set -euo pipefail

: "${REMOTE:?the repository to push to}" "${BRANCH:?}" "${FILE:?}" "${MESSAGE:?}" "${TOKEN?}" "${1:?a command}"
tries=3
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
basic="$(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\n')"
if [ "${GITHUB_ACTIONS:-}" = true ]; then
    echo "::add-mask::$basic"
fi

# Git with the token, which nothing writes to a file or to a command line.
remote_git() {
    GIT_TERMINAL_PROMPT=0 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$REMOTE.extraheader" \
        GIT_CONFIG_VALUE_0="Authorization: basic $basic" git "$@"
}

# The branch in a new folder; a branch without a commit where the remote has none.
check_out() {
    local folder="$1" code=0
    git init --quiet --initial-branch="$BRANCH" "$folder"
    remote_git ls-remote --exit-code "$REMOTE" "refs/heads/$BRANCH" > "$work/listed" || code=$?
    case "$code" in
        0)
            remote_git -C "$folder" fetch --quiet --depth=1 "$REMOTE" "refs/heads/$BRANCH"
            git -C "$folder" reset --quiet --hard FETCH_HEAD
            ;;
        2) echo "the branch $BRANCH is not there yet" ;; # it answers, and knows none
        *) return "$code" ;;
    esac
}

for ((try = 1; try <= tries; try++)); do
    folder="$work/$try"
    check_out "$folder"
    "$@" --history "$folder/$FILE"
    git -C "$folder" add -- "$FILE"
    if git -C "$folder" diff --cached --quiet; then
        echo "$FILE is as it was on the branch $BRANCH"
        exit 0
    fi
    git -C "$folder" -c user.name='github-actions[bot]' \
        -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
        -c commit.gpgsign=false -c core.hooksPath=/dev/null commit --quiet --message "$MESSAGE"
    if remote_git -C "$folder" push --quiet "$REMOTE" "HEAD:refs/heads/$BRANCH"; then
        echo "$FILE is on the branch $BRANCH"
        exit 0
    fi
    echo "try $try of $tries was not taken"
    sleep "${PAUSE_SECONDS:-5}"
done
echo "::error title=history::the branch $BRANCH took none of $tries tries, and this night is not in its $FILE"
exit 1
