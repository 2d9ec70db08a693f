#!/usr/bin/env bash
# The image whose name is the content it was made from: its digest if it is in the registry, else the tag to build.
set -euo pipefail

: "${REGISTRY:?}" "${VARIANT:?}" "${CONTENT:?hashFiles found no file}" "${GITHUB_REPOSITORY:?}" "${GITHUB_OUTPUT:?}"
name="$REGISTRY/${GITHUB_REPOSITORY,,}/environment"
tag="$name:$VARIANT-${CONTENT:0:16}"
echo "name=$name" >> "$GITHUB_OUTPUT"
echo "tag=$tag" >> "$GITHUB_OUTPUT"
complaints="$(mktemp)"
trap 'rm -f "$complaints"' EXIT
if digest="$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}' 2> "$complaints")"; then
    if [[ ! "$digest" =~ ^sha256:[0-9a-f]{64}$ ]]; then
        echo "::error title=image::$REGISTRY gives $tag the digest '${digest//$'\n'/ }'"
        exit 1
    fi
    echo "$tag is there: $digest"
    echo "reference=$name@$digest" >> "$GITHUB_OUTPUT"
elif grep --quiet --ignore-case --extended-regexp 'not found|(name|manifest|repository name) (is )?unknown|denied|403' "$complaints"; then
    # A name that was never pushed is denied by some registries. Where it is the right that is missing, the push says so.
    echo "$tag is not there, and will be built"
else
    echo "::error title=image::$REGISTRY does not say whether it has $tag: $(tr '\n' ' ' < "$complaints")"
    exit 1
fi
