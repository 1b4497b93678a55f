#!/bin/bash
# Installs the Debian packages that building needs and that are missing; with --test, those of the tests
# too. Says which; asks for root only then; does and prints nothing when all are there.
set -euo pipefail

packages=(
  make cmake ninja-build pkg-config g++ libcli11-dev libfmt-dev nlohmann-json3-dev
  libopenblas-pthread-dev libpcre2-dev libutf8proc-dev libcurl4-openssl-dev libssl-dev libboost1.81-dev
  ca-certificates libzstd-dev zlib1g-dev
)
[[ ${1-} != --test ]] ||
  packages+=(libgtest-dev libbenchmark-dev clang-14 libclang-rt-14-dev clang-format-14 python3
    g++-aarch64-linux-gnu qemu-user libopenmpi-dev openmpi-bin)

if ! command -v dpkg-query >/dev/null; then
  echo "not a Debian system: these must be there by other means: ${packages[*]}" >&2
  exit 0
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

echo "installing the Debian packages that are missing: ${missing[*]}"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "root is needed; run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get -qq install -y --no-remove --no-install-recommends "${missing[@]}" >/dev/null
