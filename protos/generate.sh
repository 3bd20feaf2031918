#!/usr/bin/env bash
# Compiles the contracts into protos/gen (or into the folder given), with types; also an image that buf lints.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-gen}
python=${PYTHON:-../.venv/bin/python}
common=$("$python" -c 'import google.api, os; print(os.path.dirname(os.path.dirname(list(google.api.__path__)[0])))')
mapfile -t sources < <(find hanse_protos -name '*.proto' | sort)
mkdir -p "$out"
export PATH="$(dirname "$(realpath -s "$python")"):$PATH"
"$python" -m grpc_tools.protoc -I. -I"$common" --python_out="$out" --mypy_out=quiet:"$out" \
  --grpc_python_out="$out" --mypy_grpc_out=quiet:"$out" "${sources[@]}"
"$python" -m grpc_tools.protoc -I. -I"$common" --python_out="$out" --mypy_out=quiet:"$out" buf/validate/validate.proto
"$python" -m grpc_tools.protoc -I. -I"$common" --include_imports --include_source_info \
  --descriptor_set_out="$out/image.binpb" "${sources[@]}"
