#!/bin/bash
# Training over several ranks takes the steps of one, and goes on after a rank was killed: train_ranks.sh TRIT [HOSTS]
# HOSTS: what mpirun is started with in place of this machine alone (tests/two_hosts.sh).
set -euo pipefail
trit=$(realpath "$1")
hosts=${2:-}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TRIT_THREADS=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { echo "$1"; exit 1; }
ranks() {  # COUNT ARGUMENTS... of trit train
  local count=$1
  shift
  # shellcheck disable=SC2086  # several words
  mpirun --oversubscribe -x TRIT_THREADS $hosts -n "$count" "$trit" train "$@" >"$folder/out" 2>&1
}
losses() { sed -E 's/.*"loss":([^,]+),.*/\1/' "$1/log.jsonl"; }
same_bytes() {  # RUN RUN
  for file in model.safetensors trit_state.safetensors config.json tokenizer.json; do
    cmp "$1/checkpoint/$file" "$2/checkpoint/$file" || fail "$1 and $2 differ"
  done
  [[ $(losses "$1") == $(losses "$2") ]] || fail "the losses of $1 and $2 differ"
}
near() {  # RUN RUN STEPS
  paste <(losses "$1") <(losses "$2") | head -n "$3" |
    awk '{ d = $1 - $2; if (d > 1e-6 || d < -1e-6) { print "step " NR ": " $1 " and " $2; bad = 1 } } END { exit bad }' ||
    fail "the losses of $1 and $2 differ"
}

for who in cat dog king bird child; do
  for where in house garden forest river castle field town hill; do
    for other in cat dog king bird child; do
      echo "The $who went to the $where. There it met a $other. They sat by the $where and told stories."
    done
    echo "<|endoftext|>"
  done
done >text.txt
"$trit" tokenizer train text.txt --vocab-size 320 --out tok >/dev/null 2>&1
"$trit" data build text.txt --tokenizer tok --out data --valid-fraction 0.2 >/dev/null 2>&1

options=(--data data --preset nano --layers 2 --hidden 96 --heads 3 --ffn 208 --sequence-length 32 --batch 8 --steps 60
         --lr 5e-3 --save-every 7 --eval-every 20)

# Bit for bit the steps of one rank. One that sums its gradient otherwise takes the same to rounding (ternary models for
# a step or two: what is rounded to levels feeds on every bit).
"$trit" train "${options[@]}" --out straight >/dev/null 2>&1
ranks 2 "${options[@]}" --out two || fail "$(cat out)"
same_bytes straight two
"$trit" train "${options[@]}" --gradient-parts 1 --out whole >/dev/null 2>&1
near whole two 1
"$trit" train "${options[@]}" --family llama --gradient-parts 1 --out llama >/dev/null 2>&1
ranks 2 "${options[@]}" --family llama --out llama2 || fail "$(cat out)"
near llama llama2 8

# A rank that is killed ends the job with its number, host and step; the run then goes on, with one rank too.
ranks 2 "${options[@]}" --out killed &
job=$!
while [[ $(cat killed/log.jsonl 2>/dev/null | wc -l) -lt 20 ]]; do
  kill -0 "$job" 2>/dev/null || fail "the job ended: $(cat out)"
done
for process in $(pgrep -x trit); do
  tr '\0' '\n' 2>/dev/null <"/proc/$process/environ" | grep -qx "OMPI_COMM_WORLD_RANK=1" || continue
  [[ $(readlink "/proc/$process/cwd") == "$folder" ]] && kill -9 "$process"
done
code=0
wait "$job" || code=$?
[[ $code == 1 ]] || fail "a job with a killed rank ended with $code: $(cat out)"
grep -Eq "^trit: rank 1 on [^ ]+ died in step (19|[2-5][0-9]): signal 9" out || fail "$(cat out)"
[[ $(wc -l <killed/log.jsonl) -lt 60 ]] || fail "the job had ended before its rank was killed"
saved=$(grep -aoE '"step":"[0-9]+' killed/checkpoint/trit_state.safetensors | grep -oE '[0-9]+$')
cp -r killed killed4
cp -r killed killed8
if [[ -n $hosts ]]; then
  grep -q "^trit: rank 1 on host-b died" out || fail "$(cat out)"
  ranks 2 --resume killed || fail "$(cat out)"
  same_bytes straight killed
  exit
fi
"$trit" train --resume killed >/dev/null 2>&1
same_bytes straight killed
ranks 4 --resume killed4 || fail "$(cat out)"
same_bytes straight killed4
ranks 8 --resume killed8 || fail "$(cat out)"  # more than there are parts of the gradient
near straight killed8 $((saved + 1))
[[ $(losses straight) != $(losses killed8) ]] || fail "eight ranks sum as two"

# Three ranks cannot share eight sequences.
if ranks 3 "${options[@]}" --out three; then fail "three ranks shared eight sequences"; fi
grep -q -- "--batch: 8 is out of range; it must be a multiple of the 3 ranks" out || fail "$(cat out)"
