#!/bin/bash
# same_story.sh COMMAND...: runs story_bits, as each of the commands starts it, with every instruction set that its
# machine has and both forms of tiles. All must print the same.
set -euo pipefail

first=
failed=0
for command in "$@"; do
  read -ra words <<<"$command"
  if [[ ! -x $(command -v "${words[0]}") ]]; then
    echo "$command is not there: left out"
    continue
  fi
  isas=$("${words[@]}" isas)
  for isa in $isas; do
    for tiles in 2-bit base-3; do
      story=$(TRIT_ISA=$isa TRIT_TILES=$tiles "${words[@]}")
      [[ -n $first ]] || { first=$story && echo "$story"; }
      verdict=same
      [[ $story == "$first" ]] || { verdict=$'DIFFERENT:\n'$story && failed=1; }
      echo "$(basename "${words[0]}") $isa, $tiles tiles: $verdict"
    done
  done
done
[[ -n $first ]] || { echo "nothing was run" && failed=1; }
exit $failed
