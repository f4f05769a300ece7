# What the vectors are made of: keys, chunks, images, archives, inventories, manifests, signatures.
# Written from FORMAT.md, with stock tools; nothing of Mimeograph runs. Read by make.sh.

digest() { sha256sum | cut -c1-64; }
size() { stat -c %s "$1"; }
unhex() { printf '%b' "$(printf %s "$1" | sed 's/../\\x&/g')"; }
# Bytes that do not compress, and are the same each time.
noise() { head -c "$1" /dev/zero | openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "$2")" -iv "$(printf '%032x' 0)"; }

# Keys. Everybody can make these: their seeds are digests of words.
seed() { printf %s "$1" | digest; }
key() { # WORD
  unhex "302e020100300506032b657004220420$(seed "$1")" | openssl pkey -inform DER -out "$work/$1.pem"
  openssl pkey -in "$work/$1.pem" -pubout -out "$work/$1.pub.pem"
}
key_id() { openssl pkey -pubin -in "$work/$1.pub.pem" -outform DER | digest; }
raw_public() { openssl pkey -pubin -in "$work/$1.pub.pem" -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n'; }
pem() { # LABEL, DER in hexadecimal
  printf -- '-----BEGIN %s-----\n' "$1"
  unhex "$2" | openssl base64
  printf -- '-----END %s-----\n' "$1"
}

# Chunks and files.
record() { # STORED RAW ENCODING
  printf '{"stored":"%s","storedSize":%s,"encoding":"%s","raw":"%s","rawSize":%s}' \
    "$(digest < "$1")" "$(size "$1")" "$3" "$(digest < "$2")" "$(size "$2")"
}
chunk() { # STORE FILE: compressed where that saves a half
  local stored=$2 encoding=none hex
  zstd -q -19 -c "$2" > "$work/packed"
  if [ $((2 * $(size "$work/packed"))) -lt "$(size "$2")" ]; then stored=$work/packed encoding=zstd; fi
  hex=$(digest < "$stored")
  mkdir -p "$1/chunks/${hex:0:2}"
  cp "$stored" "$1/chunks/${hex:0:2}/$hex"
  record "$stored" "$2" $encoding
}
file() { # STORE NAME ROLE PATH: cut every $cut bytes, which no Mimeograph would do
  local before=$'\n' part
  rm -f "$work"/part.*
  [ ! -s "$4" ] || split -b "$cut" -a 3 "$4" "$work/part."
  printf '\n{"name":"%s","role":"%s","size":%s,"chunks":[' "$2" "$3" "$(size "$4")"
  for part in "$work"/part.*; do
    [ -e "$part" ] || break
    printf %s "$before"
    chunk "$1" "$part"
    before=$',\n'
  done
  printf ']}'
}

# Images, in the layout of oc-mirror's cache. $tree is the archive to be; $tree.manifests notes what
# each image manifest needs, for the inventory.
blob() { # FILE -> its digest
  local hex
  hex=$(digest < "$1")
  mkdir -p "$tree/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex"
  cp "$1" "$tree/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
  echo "$hex"
}
link() { # REPOSITORY PLACE DIGEST
  mkdir -p "$tree/docker/registry/v2/repositories/$1/$2"
  printf 'sha256:%s' "$3" > "$tree/docker/registry/v2/repositories/$1/$2/link"
}
tagged() { # REPOSITORY TAG DIGEST
  link "$1" "_manifests/revisions/sha256/$3" "$3"
  link "$1" "_manifests/tags/$2/current" "$3"
  link "$1" "_manifests/tags/$2/index/sha256/$3" "$3"
}
descriptor() { # TYPE FILE
  printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' "$1" "$(digest < "$2")" "$(size "$2")"
}
needs() { # DIGEST BLOBS MANIFESTS
  local list='s/.*/"&"/'
  printf '"%s":{"blobs":[%s],"manifests":[%s]}\n' "$1" \
    "$(printf %s "$2" | tr ' ' '\n' | sort -u | sed "$list" | paste -sd,)" \
    "$(printf %s "$3" | tr ' ' '\n' | sort -u | sed "$list" | paste -sd,)" >> "$tree.manifests"
}
image() { # REPOSITORY TAG LAYER: leaves the image manifest in $work/image
  local config layer hex
  printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$(digest < "$3")" > "$work/config"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
    "$(descriptor config.v1+json "$work/config")" "$(descriptor layer.v1.tar "$3")" > "$work/image"
  config=$(blob "$work/config") layer=$(blob "$3") hex=$(blob "$work/image")
  link "$1" "_layers/sha256/$config" "$config"
  link "$1" "_layers/sha256/$layer" "$layer"
  tagged "$1" "$2" "$hex"
  needs "$hex" "$config $layer" ""
}
index() { # REPOSITORY TAG: of the one image in $work/image
  local hex member
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' \
    "$(descriptor manifest.v1+json "$work/image")" > "$work/index"
  member=$(digest < "$work/image") hex=$(blob "$work/index")
  link "$1" "_manifests/revisions/sha256/$member" "$member"
  tagged "$1" "$2" "$hex"
  needs "$hex" "" "$member"
}
# The archive itself: ustar, regular files, two blocks of zeros at the end and nothing after.
archive() { # TREE TAR [more options of tar]
  local from=$1 to=$2
  shift 2
  (cd "$from" && find . -type f -printf '%P\n' | sort) > "$work/names"
  tar -C "$from" --blocking-factor=1 --no-recursion --mtime=@0 --mode=0644 --numeric-owner \
    --format=ustar --owner=0 --group=0 "$@" -T "$work/names" -cf "$to"
}

# The inventory, by FORMAT.md's rules, out of the tree that became the archive.
each() { # COMMAND: what the command prints for each line read, joined by commas
  local first=1 line
  while read -r line; do
    [ $first ] || printf ,
    first=
    "$@" "$line"
  done
}
inventory_blob() { printf '"%s":%s' "$(basename "$(dirname "$1")")" "$(size "$1")"; }
inventory_tag() { printf '"%s":"%s"' "$(basename "$(dirname "$(dirname "$1")")")" "$(cut -d: -f2 "$1")"; }
inventory_revision() { printf '"%s"' "$(basename "$(dirname "$1")")"; }
inventory_repository() {
  printf '"%s":{"tags":{%s},"revisions":[%s]}' "${1#"$tree"/docker/registry/v2/repositories/}" \
    "$(find "$1/_manifests/tags" -path '*/current/link' | sort | each inventory_tag)" \
    "$(find "$1/_manifests/revisions" -name link | sort | each inventory_revision)"
}
inventory() { # RESOLVED
  printf '{"type":"application/vnd.mimeograph.inventory.v1+json","structure":{"repositories":{%s},"manifests":{%s},"blobs":{%s}},"wish":{"releases":[],"graph":null,"operators":[],"charts":[],"chartImages":[],"images":[%s]}}\n' \
    "$(find "$tree/docker/registry/v2/repositories" -name _manifests -printf '%h\n' | sort | each inventory_repository)" \
    "$(sort "$tree.manifests" | paste -sd,)" \
    "$(find "$tree/docker/registry/v2/blobs" -name data 2> /dev/null | sort | each inventory_blob)" "$1"
}
resolved() { # REPOSITORY TAG
  printf '{"reference":"registry.example/%s:%s","repository":"%s","tag":"%s","digest":"%s"}' "$1" "$2" "$1" "$2" \
    "$(cut -d: -f2 "$tree/docker/registry/v2/repositories/$1/_manifests/tags/$2/current/link")"
}

# Manifests and signatures.
manifest() { # SEQUENCE KIND PREVIOUS REQUIRES; the files on standard input
  cat << END
{"type":"application/vnd.mimeograph.manifest.v1+json",
"stream":"000102030405060708090a0b0c0d0e0f",
"name":"vectors",
"audience":["enclave-a"],
"sequence":$1,
"kind":"$2",
"previous":$3,
"requires":$4,
"created":"2026-11-24T00:00:0$1Z",
"expires":"2027-02-22T00:00:00Z",
"producer":{"mimeograph":"none, by hand","ocMirror":"4.20.0","ocMirrorSha256":"$(seed oc-mirror)","generation":"v2","flags":[]},
"incomplete":[],
"localDir":"/mimeograph/local",
"files":[$(cat)],
"annotations":{"made":"with openssl, sed, tar and zstd"}}
END
}
place() { printf '{"sequence":%s,"sha256":"%s"}' "$2" "$(digest < "$1/manifests/000000000$2.json")"; } # STORE SEQUENCE
sign() { # STORE SEQUENCE KEY
  local json=$1/manifests/000000000$2.json
  openssl pkeyutl -sign -inkey "$work/$3.pem" -rawin -in "$json" -out "$(signature "$@")"
}
signature() { # STORE SEQUENCE KEY -> the name of the signature
  echo "$1/manifests/000000000$2.$(digest < "$1/manifests/000000000$2.json" | cut -c1-16).$(key_id "$3" | cut -c1-16).sig"
}
