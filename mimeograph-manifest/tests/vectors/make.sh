#!/usr/bin/env bash
# Makes the vectors below DIRECTORY, with stock tools alone: bash, coreutils, sed, openssl 3, tar, zstd.
# What a vector shows, and the error id that refuses it, is its name. README.md says how they are read.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C
mkdir -p "${1:?usage: make.sh DIRECTORY}"
cd "$1"
rm -rf stores lists keys chunks
mkdir stores lists keys chunks
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$here/lib.sh"
for word in release second stranger; do key "$word"; done
cp "$work/release.pub.pem" "$work/second.pub.pem" .

. "$here/make-valid.sh"
. "$here/make-signatures.sh"
. "$here/make-manifests.sh"
. "$here/make-contents.sh"
. "$here/make-lists.sh"
. "$here/make-chunks.sh"
. "$here/make-keys.sh"
