# Lists of what is dropped: one of the valid stream's first two bundles, and what is wrong with others.

list_signature() { # STORE KEY -> the name of the signature
  local json=$1/pruned/0000000001.json
  echo "$1/pruned/0000000001.$(digest < "$json" | cut -c1-16).$(key_id "$2" | cut -c1-16).sig"
}
sign_list() { # STORE KEY
  openssl pkeyutl -sign -inkey "$work/$2.pem" -rawin -in "$1/pruned/0000000001.json" -out "$(list_signature "$@")"
}
# The chunks of the first two bundles, in order of their digests, each once.
dropped_chunks() {
  sed -n 's/^{"stored":"\([0-9a-f]*\)","storedSize":\([0-9]*\),.*/{"stored":"\1","storedSize":\2}/p' \
    $valid/manifests/000000000[12].json | sort -u | sed '$!s/$/,/'
}
list=lists/valid-of-two-bundles
mkdir -p $list/pruned
cat > $list/pruned/0000000001.json << END
{"type":"application/vnd.mimeograph.pruned.v1+json",
"stream":"000102030405060708090a0b0c0d0e0f",
"number":1,
"created":"2026-11-24T00:00:09Z",
"manifests":[
$(place $valid 1),
$(place $valid 2)],
"chunks":[
$(dropped_chunks)]}
END
sign_list $list release

refuse_list() { # NAME SED-OPTION…: a change to that list, signed
  s=lists/$1
  shift
  mkdir -p "$s/pruned"
  sed "$@" $list/pruned/0000000001.json > "$s/pruned/0000000001.json"
  if cmp -s $list/pruned/0000000001.json "$s/pruned/0000000001.json"; then
    echo "$s: nothing changed" >&2
    exit 1
  fi
  sign_list "$s" release
}
bad_list() { local name=$1; shift; refuse_list "${name}__MANIFEST_MALFORMED" "$@"; }

refuse_list valid-of-chunks-alone ':a;N;$!ba;s/"manifests":\[[^]]*\]/"manifests":[]/'
refuse_list valid-of-a-heartbeat ':a;N;$!ba;s/"chunks":\[[^]]*\]/"chunks":[]/'
refuse_list newer-version__TOO_NEW '1s/\.v1+json/.v2+json/'
refuse_list number-differs-from-its-name__FORK 's/^"number":1,/"number":2,/'
bad_list type-of-a-manifest '1s/pruned/manifest/'
bad_list of-nothing ':a;N;$!ba;s/"\(manifests\|chunks\)":\[[^]]*\]/"\1":[]/g'
bad_list manifests-out-of-order ':a;N;$!ba;s/\({"sequence":1[^}]*}\),\n\({"sequence":2[^}]*}\)/\2,\n\1/'
bad_list manifest-twice ':a;N;$!ba;s/\({"sequence":1[^}]*},\n\)/\1\1/'
bad_list manifest-twice-with-two-digests ':a;N;$!ba;s/{"sequence":2,/{"sequence":1,/'
bad_list chunk-twice ':a;N;$!ba;s/\({"stored":[^}]*},\n\)/\1\1/'
bad_list chunk-twice-with-two-sizes ':a;N;$!ba;s/\({"stored":"[0-9a-f]*","storedSize":\)\([0-9]*\)},\n/&\17},\n/'
bad_list chunks-out-of-order ':a;N;$!ba;s/\({"stored":[^}]*}\),\n\({"stored":[^}]*}\)/\2,\n\1/'
bad_list chunk-of-nothing '0,/"storedSize":[0-9]*/s//"storedSize":0/'
bad_list chunk-too-large '0,/"storedSize":[0-9]*/s//"storedSize":33554433/'
bad_list member-unknown 's/^"created"/"keeps":[],\n&/'
bad_list member-missing '/^"created"/d'
bad_list form-extra-space 's/"number":1/"number": 1/'
bad_list form-chunks-on-one-line ':a;N;$!ba;s/\n{"stored/{"stored/g'
bad_list form-no-line-feed-at-the-end -z 's/\n$//'

mkdir -p lists/signed-by-a-stranger__UNTRUSTED/pruned
cp $list/pruned/0000000001.json lists/signed-by-a-stranger__UNTRUSTED/pruned/
sign_list lists/signed-by-a-stranger__UNTRUSTED stranger
mkdir -p lists/no-signature__INCOMPLETE/pruned
cp $list/pruned/0000000001.json lists/no-signature__INCOMPLETE/pruned/
s=lists/flipped-byte__UNTRUSTED
mkdir -p $s/pruned
cp $list/pruned/* $s/pruned/
sed -i 's/:09Z/:08Z/' $s/pruned/0000000001.json
