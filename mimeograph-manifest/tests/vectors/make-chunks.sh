# One chunk each: `record.json` as it stands in a manifest, `stored` as it lies in a store.

printf 'some text that comes again and again, %.0s' {1..100} > "$work/raw"
one() { # NAME STORED RAW ENCODING
  mkdir -p "chunks/$1"
  cp "$2" "chunks/$1/stored"
  record "$2" "$3" "$4" > "chunks/$1/record.json"
}
damaged() { one "$1__CHUNK_DAMAGED" "$work/stored" "${2:-$work/raw}" zstd; }
zstd -q -3 -c "$work/raw" > "$work/frame"

one valid-plain "$work/raw" "$work/raw" none
one valid-zstd "$work/frame" "$work/raw" zstd
zstd -q -3 -c < "$work/raw" > "$work/stored"; one valid-zstd-that-does-not-say-its-size "$work/stored" "$work/raw" zstd
zstd -q -3 --no-check -c "$work/raw" > "$work/stored"; one valid-zstd-without-a-checksum "$work/stored" "$work/raw" zstd
zstd -q --ultra -22 --long=27 -c "$work/raw" > "$work/stored"; one valid-zstd-of-the-highest-level "$work/stored" "$work/raw" zstd

cat "$work/frame" "$work/frame" > "$work/stored"; damaged zstd-twice
cat "$work/raw" "$work/raw" > "$work/raw-twice"; damaged zstd-of-two-frames-that-make-the-raw-bytes "$work/raw-twice"
{ cat "$work/frame"; printf x; } > "$work/stored"; damaged zstd-with-a-byte-after-it
{ cat "$work/frame"; unhex 502a4d180400000041424344; } > "$work/stored"; damaged zstd-with-a-skippable-frame-after-it
{ unhex 502a4d180400000041424344; cat "$work/frame"; } > "$work/stored"; damaged zstd-with-a-skippable-frame-before-it
unhex 502a4d180400000041424344 > "$work/stored"; damaged zstd-skippable-frame-alone
head -c -5 "$work/frame" > "$work/stored"; damaged zstd-cut
cp "$work/raw" "$work/stored"; truncate -s 100 "$work/stored"; damaged zstd-that-is-none
gzip -nc "$work/raw" > "$work/stored"; damaged zstd-that-is-gzip
tail -c +101 "$work/raw" | head -c 2000 > "$work/dictionary"
zstd -q -3 -D "$work/dictionary" -c "$work/raw" > "$work/stored"; damaged zstd-with-raw-bytes-as-a-dictionary
# A frame that asks for dictionary 1: magic, descriptor (single segment, one byte of id), id, size, one raw block.
unhex 28b52ffd210103190000414243 > "$work/stored"
printf ABCABCABCABCABCABCABC > "$work/abc"; damaged zstd-that-names-a-dictionary "$work/abc"
head -c 10000000 /dev/zero | zstd -q -19 > "$work/stored"; damaged zstd-bomb
head -c 4000 /dev/zero > "$work/zeros"; damaged zstd-bomb-that-claims-to-be-small "$work/zeros"
cp "$work/frame" "$work/stored"
head -c -1 "$work/raw" > "$work/shorter"; damaged zstd-of-a-byte-more-than-signed "$work/shorter"
{ cat "$work/raw"; echo; } > "$work/longer"; damaged zstd-of-a-byte-less-than-signed "$work/longer"
tr a b < "$work/raw" > "$work/other"; damaged zstd-of-other-bytes-than-signed "$work/other"
one stored-with-a-flipped-byte__CHUNK_DAMAGED "$work/frame" "$work/raw" zstd; unhex 00 | dd of=chunks/stored-with-a-flipped-byte__CHUNK_DAMAGED/stored bs=1 seek=20 conv=notrunc status=none
one plain-with-a-byte-more__CHUNK_DAMAGED "$work/raw" "$work/raw" none; echo >> chunks/plain-with-a-byte-more__CHUNK_DAMAGED/stored
one plain-with-a-byte-less__CHUNK_DAMAGED "$work/raw" "$work/raw" none; truncate -s -1 chunks/plain-with-a-byte-less__CHUNK_DAMAGED/stored
