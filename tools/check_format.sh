#!/bin/bash
# Fails when a source file is not as clang-format writes it; with --fix, rewrites it.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(--dry-run -Werror)
[[ ${1-} != --fix ]] || mode=(-i)

folders=()
for folder in src tests bench; do
  [[ ! -d $folder ]] || folders+=("$folder")
done
find "${folders[@]}" \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0 |
  xargs -0 clang-format-14 "${mode[@]}"
