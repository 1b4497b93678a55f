#!/bin/bash
# Runs each fuzz target of build/fuzz for some seconds (300) from its corpus, or only the targets that are
# named: tools/fuzz.sh SECONDS [NAME...]. Finds go to build/fuzz/corpus/NAME, the input of a crash to
# build/fuzz/NAME-crash-*; copy that to tests/fuzz/corpus/NAME when the bug is mended.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-300}
names=("${@:2}")
if [[ ${#names[@]} -eq 0 ]]; then
  for source in tests/fuzz/*.cpp; do
    name=$(basename "$source" .cpp)
    [[ $name == replay ]] || names+=("$name")
  done
fi

for name in "${names[@]}"; do
  found=build/fuzz/corpus/$name
  mkdir -p "$found"
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64
    -artifact_prefix="build/fuzz/$name-")
  [[ ! -f tests/fuzz/$name.dict ]] || options+=(-dict="tests/fuzz/$name.dict")
  echo "fuzzing $name for $seconds seconds"
  "build/fuzz/fuzz_$name" "${options[@]}" "$found" "tests/fuzz/corpus/$name"
done
