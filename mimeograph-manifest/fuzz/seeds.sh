#!/usr/bin/env bash
# Fills the fuzzers' corpora from the seeds and from the vectors of FORMAT.md: `bash fuzz/seeds.sh`.
set -euo pipefail
cd "$(dirname "$0")"
for target in manifest names chunk_plan archive_walk chunk_open; do mkdir -p "corpus/$target"; done
for target in names chunk_plan archive_walk; do cp "seeds/$target"/* "corpus/$target/"; done
cp seeds/archive_walk/* corpus/chunk_plan/
n=0
for document in ../tests/vectors/{stores,lists}/*/{manifests,pruned}/*.json; do
  [ ! -f "$document" ] || [ "$(stat -c %s "$document")" -gt 65536 ] || cp "$document" "corpus/manifest/$((n += 1)).json"
done
for stored in ../tests/vectors/chunks/*/stored; do cp "$stored" "corpus/chunk_open/$((n += 1))"; done
