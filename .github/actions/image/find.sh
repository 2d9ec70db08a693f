#!/usr/bin/env bash
# The image whose name is the content it was made from: its digest if it is in the registry, else the tag to build.
set -euo pipefail

: "${REGISTRY:?}" "${VARIANT:?}" "${CONTENT:?hashFiles found no file}" "${GITHUB_REPOSITORY:?}" "${GITHUB_OUTPUT:?}"
name="$REGISTRY/${GITHUB_REPOSITORY,,}/environment"
tag="$name:$VARIANT-${CONTENT:0:16}"
echo "name=$name" >> "$GITHUB_OUTPUT"
echo "tag=$tag" >> "$GITHUB_OUTPUT"
if answer="$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}' 2>&1)"; then
    echo "$tag is there: $answer"
    echo "reference=$name@$answer" >> "$GITHUB_OUTPUT"
elif [[ "$answer" == *"not found"* ]]; then
    echo "$tag is not there, and will be built"
else
    echo "::error title=image::$REGISTRY does not say whether it has $tag: ${answer//$'\n'/ }"
    exit 1
fi
