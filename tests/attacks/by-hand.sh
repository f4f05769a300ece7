#!/bin/sh
# What a person does with a drive, openssl, sed and sha256sum, and no Mimeograph (FORMAT.md, "By hand").
# by-hand.sh STORE PUBLIC_KEY.pem SEQUENCE: is this bundle's manifest signed by this key, and is every chunk as signed?
# Ends with 0 if so. It knows nothing of other bundles, enclaves, clocks and archives.
set -eu
cd "$1"
key=$2
n=$(printf %010d "$3")

refuse() {
  echo "refused: $1"
  exit 1
}

# No links, pipes or devices: a person copies files.
is_file() {
  [ -f "$1" ] && [ ! -L "$1" ]
}
is_file "manifests/$n.json" || refuse "there is no manifest $n"

id=$(openssl pkey -pubin -in "$key" -outform DER | sha256sum | sed 's/ .*//')
digest=$(sha256sum < "manifests/$n.json" | sed 's/ .*//')
short() {
  echo "$1" | sed 's/^\(.\{16\}\).*/\1/'
}
signature=manifests/$n.$(short "$digest").$(short "$id").sig
is_file "$signature" || refuse "there is no signature of this key over this manifest"
openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "manifests/$n.json" -sigfile "$signature" ||
  refuse "the signature does not verify"

# Signed, and ours: the type, and the number that the name has.
first=$(sed -n 1p "manifests/$n.json")
[ "$first" = '{"type":"application/vnd.mimeograph.manifest.v1+json",' ] || refuse "it is not a manifest of version 1"
number=$(sed -n 's/^"sequence":\([0-9]*\),$/\1/p' "manifests/$n.json")
[ "$number" = "$3" ] || refuse "it was signed as bundle $number"

# Every chunk. A heartbeat has none.
sums=$(sed -n 's|^{"stored":"\(\(..\)[0-9a-f]\{62\}\)",.*|\1  chunks/\2/\1|p' "manifests/$n.json")
[ -n "$sums" ] || exit 0
for chunk in $(echo "$sums" | sed 's/.* //'); do
  is_file "$chunk" || refuse "there is no $chunk"
done
echo "$sums" | sha256sum -c --strict --quiet || refuse "a chunk is not what was signed"
