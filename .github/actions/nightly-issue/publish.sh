#!/usr/bin/env bash
# The one issue about the nights, found by its label and by the marker in its body, brought to what issue.json says.
set -euo pipefail

: "${ISSUE_JSON:?the path of issue.json}" "${GH_REPO:?OWNER/NAME}" "${GH_TOKEN:?a token that may write issues}"
marker='<!-- mimickit-nightly -->'
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

refuse() {
    echo "::error title=nightly issue::$1"
    exit 1
}

sound="$(jq --arg marker "$marker" '
    (.state == "open" or .state == "closed") and (.title | type == "string" and length > 0)
    and (.body | type == "string" and startswith($marker)) and (.labels | type == "array" and length > 0)
' "$ISSUE_JSON")" || refuse "$ISSUE_JSON cannot be read"
[ "$sound" = true ] || refuse "$ISSUE_JSON is not what ci trend writes"
wanted="$(jq --raw-output .state "$ISSUE_JSON")"
title="$(jq --raw-output .title "$ISSUE_JSON")"
body="$work/body.md"
jq --join-output .body "$ISSUE_JSON" > "$body"
names="$(jq --raw-output '.labels[]' "$ISSUE_JSON")"
mapfile -t labels <<< "$names"

gh issue list --label "${labels[0]}" --state all --limit 1000 --json number,state,body > "$work/listed.json"
jq --arg marker "$marker" '[.[] | select(.body | contains($marker))]' "$work/listed.json" > "$work/found.json"
found="$(jq --raw-output '[.[] | "#\(.number)"] | join(", ")' "$work/found.json")"
if [ "$(jq length "$work/found.json")" -gt 1 ]; then
    refuse "$found have the marker $marker: take it out of all but one"
fi
number="$(jq --raw-output '.[0].number // ""' "$work/found.json")"
state="$(jq --raw-output '.[0].state // "none" | ascii_downcase' "$work/found.json")"

create() {
    gh label list --limit 1000 --json name > "$work/labels.json"
    local arguments=() label known
    for label in "${labels[@]}"; do
        known="$(jq --arg name "$label" 'any(.[]; (.name | ascii_downcase) == ($name | ascii_downcase))' \
            "$work/labels.json")"
        if [ "$known" = false ]; then
            gh label create "$label" --color B60205 --description "How the nightly runs are"
        fi
        arguments+=(--label "$label")
    done
    gh issue create --title "$title" --body-file "$body" "${arguments[@]}"
}

edit() {
    gh issue edit "$number" --title "$title" --body-file "$body"
}

case "$state, $wanted" in
    "none, open") create ;;
    "open, open") edit ;;
    "closed, open")
        gh issue reopen "$number"
        edit
        ;;
    "open, closed")
        edit
        gh issue close "$number" --reason completed
        ;;
    "none, closed" | "closed, closed") echo "all is well, and no issue is open" ;;
    *) refuse "the issue $found is in the state $state" ;;
esac
