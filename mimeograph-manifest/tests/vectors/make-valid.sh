# A stream of three bundles, whole: a full one, a delta that builds on it, a heartbeat.

cut=4000
valid=stores/valid-made-with-openssl
mkdir -p $valid/manifests
echo "Not ours; whoever reads the stream passes over it." > $valid/README.txt

cat > "$work/imageset-config.yaml" << 'END'
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
mirror:
  additionalImages:
    - name: registry.example/tiny/one:v1
    - name: registry.example/tiny/many:v1
END
mkdir -p "$work/one.tree/working-dir/.history"
tree=$work/one.tree
noise 9000 1 > "$work/layer-1"
printf 'text %.0s' {1..2000} > "$work/layer-2"
image tiny/one v1 "$work/layer-1"
image tiny/two v1 "$work/layer-2"
index tiny/many v1
# A stale link: its image is carried nowhere, and nobody asks for it.
tagged tiny/gone v1 "$(seed gone)"
echo "sha256:$(digest < "$work/layer-1"): ''" > "$tree/working-dir/.history/.history-2026-11-23T00:00:00Z"
cp "$work/imageset-config.yaml" "$tree/isc_2026-11-24T00:00:00Z"
archive "$tree" "$work/one.tar"
inventory "$(resolved tiny/one v1),$(resolved tiny/many v1)" > "$work/one.inventory"
printf 'read me\n' > "$work/readme"
: > "$work/empty"

bundle_files() { # STORE BUNDLE
  file "$1" mirror_000001.tar archive "$work/$2.tar"
  printf ,; file "$1" imageset-config.yaml imageset "$work/imageset-config.yaml"
  printf ,; file "$1" inventory.json inventory "$work/$2.inventory"
}
{
  bundle_files $valid one
  printf ,; file $valid history-1 history "$work/one.tree/working-dir/.history/.history-2026-11-23T00:00:00Z"
  printf ,; file $valid charts/one/templates/_helpers.tpl local "$work/empty"
  printf ,; file $valid tools/README+more@1.txt extra "$work/readme"
} | manifest 1 full null null > $valid/manifests/0000000001.json
sign $valid 1 release
sign $valid 1 second

# The second archive carries no layer that the first one brought, and its owner is a random uid of
# OpenShift's, which does not fit ustar and so travels in PAX records.
mkdir -p "$work/two.tree"
tree=$work/two.tree
image tiny/three v1 "$work/layer-1"
rm -r "$tree/docker/registry/v2/blobs/sha256/$(digest < "$work/layer-1" | sed 's|^..|&/&|')"
link tiny/one "_manifests/tags/v1/current" "$(cut -d: -f2 "$work/one.tree/docker/registry/v2/repositories/tiny/one/_manifests/tags/v1/current/link")"
link tiny/one "_manifests/revisions/sha256/$(resolved tiny/one v1 | sed 's/.*"\([0-9a-f]*\)"}/\1/')" "$(resolved tiny/one v1 | sed 's/.*"\([0-9a-f]*\)"}/\1/')"
cp "$work/imageset-config.yaml" "$tree/isc_2026-11-24T00:00:01Z"
archive "$tree" "$work/two.tar" --format=posix --pax-option=delete=atime,delete=ctime,delete=mtime,exthdr.name=%d/PaxHeaders.0/%f \
  --owner=+1000660000 --group=+1000660000
inventory "$(resolved tiny/one v1)" > "$work/two.inventory"
bundle_files $valid two | manifest 2 delta "$(place $valid 1)" "$(place $valid 1)" > $valid/manifests/0000000002.json
sign $valid 2 release

manifest 3 heartbeat "$(place $valid 2)" "$(place $valid 2)" < /dev/null > $valid/manifests/0000000003.json
sign $valid 3 release
