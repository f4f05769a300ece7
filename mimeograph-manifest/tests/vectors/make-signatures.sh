# Manifests that are well-formed; their signatures are what differs.

store() { # NAME [BUNDLE]: a store with that manifest of the valid stream, by default the heartbeat
  s=stores/$1 n=${2:-3}
  mkdir -p "$s/manifests"
  cp "$valid/manifests/000000000$n.json" "$s/manifests/"
}
trusts() { # THRESHOLD KEY…
  echo "$1" > "$s/threshold"
  shift
  mkdir -p "$s/trusted"
  for word in "$@"; do cp "$work/$word.pub.pem" "$s/trusted/"; done
}

store valid-one-signature;                   sign "$s" 3 release
store valid-a-strangers-signature-beside-it; sign "$s" 3 release; sign "$s" 3 stranger
store valid-a-broken-signature-beside-it;    sign "$s" 3 release; noise 64 7 > "$(signature "$s" 3 second)"; trusts 1 release second
store valid-two-of-two;                      sign "$s" 3 release; sign "$s" 3 second; trusts 2 release second
store valid-a-heartbeat-with-one-of-two;     sign "$s" 3 release; trusts 2 release second
store one-of-two__PENDING_APPROVAL 2;        sign "$s" 2 release; trusts 2 release second
store one-key-trusted-twice__PENDING_APPROVAL 2; sign "$s" 2 release; trusts 2 release; cp "$work/release.pub.pem" "$s/trusted/again.pem"
store one-of-two-and-a-broken-one__UNTRUSTED 2; sign "$s" 2 release; noise 64 7 > "$(signature "$s" 2 second)"; trusts 2 release second
store no-signature__INCOMPLETE
store signed-by-a-stranger__UNTRUSTED;       sign "$s" 3 stranger
store signed-by-another-key-than-trusted__UNTRUSTED; sign "$s" 3 release; trusts 1 second
store a-strangers-signature-under-the-trusted-keys-name__UNTRUSTED
sign "$s" 3 stranger; mv "$(signature "$s" 3 stranger)" "$(signature "$s" 3 release)"
store a-signature-counted-for-two-keys__UNTRUSTED 2
sign "$s" 2 release; cp "$(signature "$s" 2 release)" "$(signature "$s" 2 second)"; trusts 2 release second
store signature-over-another-manifest__UNTRUSTED
cp "$(signature $valid 2 release)" "$(signature "$s" 3 release)"
store signature-named-for-another-manifest__UNTRUSTED
cp "$(signature $valid 3 release)" "$s/manifests/0000000003.$(basename "$(signature $valid 2 release)" | cut -d. -f2-)"
store flipped-byte-in-manifest__UNTRUSTED
cp "$(signature $valid 3 release)" "$s/manifests/"; sed -i 's/enclave-a/enclave-b/' "$s/manifests/0000000003.json"
store flipped-byte-and-the-signature-renamed__UNTRUSTED
sed -i 's/enclave-a/enclave-b/' "$s/manifests/0000000003.json"; cp "$(signature $valid 3 release)" "$(signature "$s" 3 release)"
store last-byte-of-manifest-cut__UNTRUSTED
truncate -s -1 "$s/manifests/0000000003.json"; cp "$(signature $valid 3 release)" "$(signature "$s" 3 release)"
store byte-after-manifest__UNTRUSTED
echo >> "$s/manifests/0000000003.json"; cp "$(signature $valid 3 release)" "$(signature "$s" 3 release)"
store signature-truncated__UNTRUSTED;        sign "$s" 3 release; truncate -s 63 "$(signature "$s" 3 release)"
store signature-empty__UNTRUSTED;            : > "$(signature "$s" 3 release)"
store signature-with-a-byte-more__UNTRUSTED; sign "$s" 3 release; echo >> "$(signature "$s" 3 release)"
store signature-of-zeros__UNTRUSTED;         head -c 64 /dev/zero > "$(signature "$s" 3 release)"
store signature-in-base64__UNTRUSTED
sign "$s" 3 release; openssl base64 -in "$(signature "$s" 3 release)" -out "$work/sig"; mv "$work/sig" "$(signature "$s" 3 release)"
store signature-over-the-digest__UNTRUSTED
openssl dgst -sha256 -binary "$s/manifests/0000000003.json" > "$work/digest"
openssl pkeyutl -sign -inkey "$work/release.pem" -rawin -in "$work/digest" -out "$(signature "$s" 3 release)"
store trusted-key-is-weak__KEY_INVALID;      sign "$s" 3 release; trusts 1 release
pem "PUBLIC KEY" "302a300506032b65700321000100000000000000000000000000000000000000000000000000000000000000" > "$s/trusted/weak.pem"
store sequence-differs-from-its-name__FORK;  sign "$s" 3 release
for name in "$s"/manifests/*; do mv "$name" "${name/0000000003/0000000004}"; done
store newer-version-by-a-stranger__UNTRUSTED
sed -i '1s/\.v1+json/.v2+json/' "$s/manifests/0000000003.json"; sign "$s" 3 stranger
