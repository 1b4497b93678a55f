#!/bin/bash
# Training on a device that is killed at random moments ends with the bytes of a run that never was:
# resume_device.sh TRIT [KILLS [DEVICE]]
set -euo pipefail
trit=$(realpath "$1") kills=${2-20} device=${3-cuda}
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
sed 's/^#/<|endoftext|>\n#/' "$root"/docs/*.md > text.txt  # a document for each heading
"$trit" tokenizer train text.txt --vocab-size 512 --out tok 2>/dev/null >/dev/null
"$trit" data build text.txt --tokenizer tok --out data --valid-fraction 0.1 2>/dev/null >/dev/null
steps=$((kills * 500))
start=(train --data data --preset micro --sequence-length 64 --batch 8 --micro-batch 4 --steps $steps
  --save-every 20 --eval-every 1000 --device "$device")
if why=$("$trit" "${start[@]}" --out straight 2>&1 >/dev/null); then :; else
  grep -q "without CUDA\|no NVIDIA device" <<<"$why" || { echo "$why"; exit 1; }
  echo "skipped: $why"
  exit 77
fi

# A second or so until the first step; then anywhere, a checkpoint being written included.
done_with() { wc -l < killed/log.jsonl 2>/dev/null || echo 0; }
killed=0
for ((i = 0; i < kills; ++i)); do
  again=("${start[@]}" --out killed)
  [[ ! -d killed/checkpoint ]] || again=(train --resume killed --device "$device")
  moment=$(printf '%d.%03d' $((1 + RANDOM % 2)) $((RANDOM % 1000)))
  code=0
  timeout -s KILL "$moment" "$trit" "${again[@]}" 2>/dev/null >/dev/null || code=$?
  ((code == 0)) && break
  ((code == 137)) || { echo "run $i ended with $code"; exit 1; }
  killed=$((killed + 1))
  echo "killed after $moment s, $(done_with) of $steps steps in the log"
done
"$trit" train --resume killed --device "$device" 2>/dev/null >/dev/null
for file in model.safetensors trit_state.safetensors config.json; do
  cmp "straight/checkpoint/$file" "killed/checkpoint/$file"
done
without_times() { sed 's/"seconds":[^,}]*//' "$1/log.jsonl"; }
cmp <(without_times straight) <(without_times killed)
echo "$killed kills: the same bytes"
