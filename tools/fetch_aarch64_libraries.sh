#!/bin/bash
# Unpacks into a folder the arm64 packages of Debian whose static libraries the preset aarch64 links. apt keeps
# its lists for this below the folder too: the machine's own apt learns of no foreign architecture.
set -euo pipefail
folder=$1
packages=(zlib1g-dev libpcre2-dev libutf8proc-dev)

rm -rf "$folder"
mkdir -p "$folder"/apt/{lists/partial,cache/archives/partial}
cd "$folder"
: >apt/status
options=(
  -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Acquire::Languages=none
  -o APT::Sandbox::User=root -o Debug::NoLocking=1
  -o Dir::State::lists="$PWD/apt/lists" -o Dir::State::status="$PWD/apt/status"
  -o Dir::Cache="$PWD/apt/cache"
)
apt-get "${options[@]}" update
apt-get "${options[@]}" download "${packages[@]}"
for package in *.deb; do dpkg-deb -x "$package" .; done
rm -rf apt ./*.deb
touch done
