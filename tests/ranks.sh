#!/bin/bash
# The shipped model on several ranks tells the story that it tells on one: ranks.sh TRIT
set -euo pipefail
cd "$(dirname "$0")/.."
trit=$1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TRIT_THREADS=1
say() {  # FLAGS... : the text and its figures but for speeds
  "$@" run models/tales-3m.gguf "One day a fox" -n 60 --temperature 0 --quiet ${stages:+--pipeline "$stages"}
}
ranks() {
  say mpirun --oversubscribe -n "$1" "$trit"
}

alone=$(say "$trit")
[[ ${#alone} -gt 100 ]]
for job in "3 1" "2 2" "6 2" "4 4"; do
  read -r count stages <<<"$job"
  [[ $(ranks "$count" 2>&1) == "$alone" ]] || { echo "$count ranks in $stages stages tell another story"; exit 1; }
done

# Three heads on two ranks: every rank says so, and the job ends.
stages=1
if message=$(ranks 2 2>&1); then echo "two ranks shared three heads"; exit 1; fi
grep -q "tensor parallelism over 2 ranks: the model has 3 heads" <<<"$message"
