# Manifests that are in order, over contents that are not.

cut=100000 # fewer files to keep
full() { # NAME: a full bundle alone, of $work/case.tar and $work/case.inventory
  s=stores/$1
  mkdir -p "$s/manifests"
  bundle_files "$s" case | manifest 1 full null null > "$s/manifests/0000000001.json"
  sign "$s" 1 release
}
again() { # the first bundle's tree, tar and inventory once more
  rm -rf "$work/case.tree" "$work/case.tree.manifests"
  cp -r "$work/one.tree" "$work/case.tree"
  cp "$work/one.tree.manifests" "$work/case.tree.manifests"
  cp "$work/one.tar" "$work/case.tar"
  cp "$work/one.inventory" "$work/case.inventory"
  tree=$work/case.tree
}
of_layer_1() { digest < "$work/layer-1" | sed 's|\(..\).*|docker/registry/v2/blobs/sha256/\1/&/data|'; }
of_extra() { echo "$s/chunks/65/65ce01fcc3e22e78b63419ef0f4493b0950daac7cee97329b428f5cafd395cda"; }
copy() { # NAME: the first bundle of the valid stream
  s=stores/$1
  mkdir -p "$s/manifests"
  sed -n 's/^{"stored":"\(\(..\)[0-9a-f]*\)".*/\2\/\1/p' "$valid/manifests/0000000001.json" | sort -u |
    while read -r hex; do mkdir -p "$s/chunks/${hex:0:2}"; cp "$valid/chunks/$hex" "$s/chunks/$hex"; done
  cp "$valid"/manifests/0000000001.* "$s/manifests/"
}

# Chunks as objects of a store.
copy chunk-missing__INCOMPLETE;                   rm "$(of_extra)"
copy chunk-still-short__INCOMPLETE;               truncate -s 5 "$(of_extra)"
copy chunk-with-a-flipped-byte__CHUNK_DAMAGED;    printf 'read us\n' > "$(of_extra)"
copy chunk-with-a-byte-more__CHUNK_DAMAGED;       echo >> "$(of_extra)"
copy chunk-of-zeros__CHUNK_DAMAGED;               head -c 8 /dev/zero > "$(of_extra)"

# Archives.
again; truncate -s -1024 "$work/case.tar"; full archive-without-its-end__ARCHIVE_DAMAGED
again; truncate -s -512 "$work/case.tar";  full archive-with-half-its-end__ARCHIVE_DAMAGED
again; truncate -s -9216 "$work/case.tar"; full archive-cut-on-an-entry__ARCHIVE_DAMAGED
again; head -c 512 /dev/zero >> "$work/case.tar"; full archive-with-zeros-after-its-end__ARCHIVE_DAMAGED
again; noise 9000 2 > "$tree/$(of_layer_1)"; archive "$tree" "$work/case.tar"; full archive-with-another-layer-under-the-name__ARCHIVE_DAMAGED
again; archive "$tree" "$work/case.tar" --format=gnu --transform='s|^isc_.*|&/'"$(printf '%0120d' 0)"'|'; full archive-in-gnus-own-format__ARCHIVE_DAMAGED
pax=delete=atime,delete=ctime,delete=mtime,exthdr.name=PaxHeaders/%f
again; archive "$tree" "$work/case.tar" --format=posix --pax-option="$pax,comment:=x"; full archive-with-an-unknown-pax-record__ARCHIVE_DAMAGED
owned() { archive "$tree" "$work/owned.tar" --format=posix --pax-option="$pax" --owner=+1000660000; }
again; owned; { head -c 1024 "$work/owned.tar"; cat "$work/owned.tar"; } > "$work/case.tar"; full archive-with-two-pax-headers-in-a-row__ARCHIVE_DAMAGED
again; owned; { head -c -1024 "$work/case.tar"; head -c 1024 "$work/owned.tar"; tail -c 1024 "$work/case.tar"; } > "$work/lone.tar"
mv "$work/lone.tar" "$work/case.tar"; full archive-with-a-pax-header-for-nothing__ARCHIVE_DAMAGED
refused() { archive "$tree" "$work/case.tar" "${@:2}"; full "archive-with-$1__ARCHIVE_ENTRY_REFUSED"; }
again; refused an-entry-that-leaves-its-folder -P --transform='s|^isc_.*|working-dir/../../evil|'
again; refused an-absolute-entry -P --transform='s|^isc_.*|/etc/cron.d/evil|'
again; refused an-entry-that-oc-mirror-does-not-write --transform='s|^isc_.*|README|'
again; refused another-archive-inside --transform='s|^isc_.*|mirror_000002.tar|'
again; ln "$tree/isc_2026-11-24T00:00:00Z" "$tree/isc_again"; refused a-hard-link
again; refused a-setuid-entry --mode=4644
again; ln -s /etc/passwd "$tree/isc_link"
(cd "$tree" && find . \( -type f -o -type l \) -printf '%P\n' | sort) > "$work/names"
tar -C "$tree" --blocking-factor=1 --no-recursion --mtime=@0 --numeric-owner --format=ustar --owner=0 --group=0 --mode=0644 -T "$work/names" -cf "$work/case.tar"
full archive-with-a-symbolic-link__ARCHIVE_ENTRY_REFUSED
again; printf 'sha256:%s' "$(seed x)" > "$tree/docker/registry/v2/repositories/tiny/one/_manifests/revisions/sha256/$(resolved tiny/one v1 | sed 's/.*"\([0-9a-f]*\)"}/\1/')/link"
refused a-link-that-holds-another-digest
again; link tiny/one _manifests/tags/v1/current x; refused a-link-that-holds-no-digest

# Inventories.
again; sed -i 's/"v1":"[0-9a-f]*"/"v1":"'"$(seed x)"'"/' "$work/case.inventory"; full inventory-with-another-tag__INVENTORY_MISMATCH
again; sed -i 's/:9000,/:9001,/' "$work/case.inventory"; full inventory-with-another-size__INVENTORY_MISMATCH
again; sed -i 's/"tiny\/gone":{[^}]*}[^}]*},//' "$work/case.inventory"; full inventory-without-a-stale-link__INVENTORY_MISMATCH
again; sed -i 's/,"wish":/,"extra":1&/' "$work/case.inventory"; full inventory-with-an-unknown-member__INVENTORY_MISMATCH
again; echo '[]' > "$work/case.inventory"; full inventory-that-is-not-one__INVENTORY_MISMATCH
again; sed -i 's/\.v1+json/.v2+json/' "$work/case.inventory"; full inventory-of-a-newer-version__TOO_NEW

# Closure.
closes() { archive "$tree" "$work/case.tar"; inventory "" > "$work/case.inventory"; full "$1"; }
again; rm -r "$tree/$(dirname "$(of_layer_1)")"; closes layer-nowhere__NOT_CLOSED
again; rm -r "$tree/$(resolved tiny/two v1 | sed 's|.*"\(..\)\([0-9a-f]*\)"}|docker/registry/v2/blobs/sha256/\1/\1\2|')"
sed -i "/^\"$(resolved tiny/two v1 | sed 's/.*"\([0-9a-f]*\)"}/\1/')/d" "$tree.manifests"
closes member-of-an-index-nowhere__NOT_CLOSED
s=stores/delta-without-what-it-builds-on__NOT_CLOSED
mkdir -p $s/manifests; cp $valid/manifests/0000000002.* $s/manifests/; cut=4000; bundle_files $s two > /dev/null
