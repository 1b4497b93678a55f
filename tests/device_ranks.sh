#!/bin/bash
# Models on the devices of several ranks write what they write on one: device_ranks.sh TRIT
# On one device all ranks share it (what they exchange goes through the host); with more each has its own, over NCCL.
set -euo pipefail
cd "$(dirname "$0")/.."
trit=$(realpath "$1")
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TRIT_THREADS=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if why=$("$trit" run models/tales-3m.gguf x -n 1 --device cuda 2>&1 >/dev/null); then :; else
  grep -q "without CUDA\|no NVIDIA device" <<<"$why" || { echo "$why"; exit 1; }
  echo "skipped: $why"
  exit 77
fi

# The shipped model has three heads. One whose heads two ranks can share: random weights, and a tokenizer for them.
"$trit" synth --preset mini "$folder/even" --family bitnet-2b4t >/dev/null
cat README.md docs/*.md >"$folder/words.txt"
"$trit" tokenizer train "$folder/words.txt" --vocab-size 4096 --min-frequency 1 --out "$folder/tokenizer" >/dev/null
cp "$folder"/tokenizer/* "$folder/even"

say() {  # MODEL LAUNCHER... : the text, and its figures but for speeds
  local model=$1
  shift
  "$@" "$trit" run "$model" "One day a fox" -n 60 --temperature 0 --quiet --device cuda ${stages:+--pipeline "$stages"}
}
compare() {  # MODEL "RANKS STAGES"...
  local model=$1 alone count
  shift
  stages='' && alone=$(say "$model" env)
  [[ ${#alone} -gt 100 ]]
  for job in "$@"; do
    read -r count stages <<<"$job"
    for way in peers nccl host; do
      [[ $(TRIT_EXCHANGE=$way say "$model" mpirun --oversubscribe --bind-to none -x TRIT_EXCHANGE -n "$count" 2>&1) == "$alone" ]] || {
        echo "$model: $count ranks in $stages stages (TRIT_EXCHANGE=$way) write something else"
        exit 1
      }
    done
  done
}
compare models/tales-3m.gguf "2 2" "3 1" "6 2"
compare "$folder/even" "2 1" "2 2" "4 2"

# A rank that cannot go on says so, and the job ends.
if message=$(timeout 60 mpirun --oversubscribe -n 1 "$trit" run models/tales-3m.gguf x --device cuda --pipeline 2 : \
    -n 1 "$trit" run models/tales-3m.gguf x --device cuda:99 --pipeline 2 2>&1); then
  echo "a rank without a device was not missed"
  exit 1
fi
grep -q "trit: rank 1: cuda:99: there is no such device" <<<"$message"
