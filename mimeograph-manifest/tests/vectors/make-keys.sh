# Key files. Private ones begin with `private`, public ones with `public`; the valid ones are `release`'s.

der=302e020100300506032b657004220420
v1=$der$(seed release)
public=302a300506032b6570032100
bad_key() { cat > "keys/$1__KEY_INVALID.pem"; }

cp "$work/release.pem" keys/private-valid-as-openssl-writes-it.pem
# Version 2 (RFC 5958) with the public half, as ed25519-dalek writes it.
v2() { pem "PRIVATE KEY" "3051020101300506032b657004220420$(seed release)812100$1"; }
v2 "$(raw_public release)" > keys/private-valid-version-2-with-its-public-half.pem
v2 "$(raw_public second)" | bad_key private-version-2-with-another-public-half
{ cat "$work/release.pem" | tr -d '\n' | sed 's/-----B/&/;s/KEY-----/KEY-----\r\n/;s/-----END/\r\n&/;s/$/\r\n/'; } > keys/private-valid-with-carriage-returns.pem
pem "PRIVATE KEY" "302e020100300506032b656e04220420$(seed release)" | bad_key private-x25519
pem "PRIVATE KEY" "3047020100300506032b6571043b0439$(seed a)$(seed b | cut -c1-50)" | bad_key private-ed448
pem "PRIVATE KEY" "302d020100300506032b65700421041f$(seed release | cut -c1-62)" | bad_key private-of-31-bytes
pem "PRIVATE KEY" "${v1}00" | bad_key private-with-a-byte-after-it
pem "ED25519 PRIVATE KEY" "$v1" | bad_key private-under-another-label
pem "PUBLIC KEY" "$v1" | bad_key private-under-a-public-label
cat "$work/release.pem" "$work/second.pem" | bad_key private-two-in-one-file
cat "$work/release.pub.pem" | bad_key private-that-is-public
unhex "$v1" | bad_key private-without-pem
printf '' | bad_key private-empty

cp "$work/release.pub.pem" keys/public-valid-as-openssl-writes-it.pem
tr -d '\n' < "$work/release.pub.pem" | sed 's/KEY-----/KEY-----\r\n/;s/-----END/\r\n&/;s/$/\r\n/' > keys/public-valid-with-carriage-returns.pem
cat "$work/release.pem" | bad_key public-that-is-private
cat "$work/release.pub.pem" "$work/second.pub.pem" | bad_key public-two-in-one-file
cat "$work/release.pub.pem" "$work/release.pem" | bad_key public-with-its-private-half
pem "PUBLIC KEY" "302a300506032b656e032100$(raw_public release)" | bad_key public-x25519
pem "PUBLIC KEY" "$public$(raw_public release)00" | bad_key public-with-a-byte-after-it
pem "CERTIFICATE" "$public$(raw_public release)" | bad_key public-under-another-label
printf '' | bad_key public-empty
unhex "$public$(raw_public release)" | bad_key public-without-pem
# The points of small order, each in every spelling (RFC 8032, section 5.1.3; p = 2^255 - 19).
z62=$(printf '%062d' 0) f60=$(printf '%060d' 0 | tr 0 f)
small() { pem "PUBLIC KEY" "$public$2" | bad_key "public-weak-$1"; }
small order-1 "01$z62"
small order-1-with-a-sign "01$(printf '%060d' 0)80"
small order-1-beyond-p "ee${f60}7f"
small order-1-beyond-p-with-a-sign "ee${f60}ff"
small order-2 "ec${f60}7f"
small order-2-with-a-sign "ec${f60}ff"
small order-4 "00$z62"
small order-4-with-a-sign "00$(printf '%060d' 0)80"
small order-4-beyond-p "ed${f60}7f"
small order-4-beyond-p-with-a-sign "ed${f60}ff"
small order-8 26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05
small order-8-with-a-sign 26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85
small another-order-8 c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a
small another-order-8-with-a-sign c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
pem "PUBLIC KEY" "${public}02$z62" | bad_key public-not-on-the-curve
