#!/usr/bin/env bash
# Lints the contracts, refuses changes that break released clients, and finds generated code that is out of date.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-../.venv/bin/python}
buf="$(dirname "$python")/buf"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
./generate.sh "$fresh"
"$buf" lint "$fresh/image.binpb" --config buf.yaml
"$buf" breaking "$fresh/image.binpb" --against released.binpb --config buf.yaml
if ! diff -rq -x __pycache__ "$fresh" gen; then
  echo "The generated code is out of date: run \`make protos\` and commit what it changes." >&2
  exit 1
fi
echo "The contracts are linted, compatible with the released ones, and generated."
