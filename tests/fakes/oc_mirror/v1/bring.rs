//! v1, disk to mirror: sequences in order, layers that travelled before are taken from the target.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::client::Client;
use crate::failure::Failure;
use crate::hash::{digest_of, digest_of_copy};
use crate::manifest::Manifest;
use crate::misdeeds;
use crate::v1::archive::Archive;
use crate::v1::listing::{Listed, plan};
use crate::v1::metadata::{Association, FILE, Metadata};
use crate::v1::{Run, WORKSPACE, progress, result};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn run(run: &Run<'_>, from: &Path, target: &str) -> Result<(), Failure> {
    fs::write(".oc-mirror.log", "")?;
    let (host, namespace) = target.split_once('/').unwrap_or((target, ""));
    let namespace = if namespace.is_empty() {
        String::new()
    } else {
        format!("{namespace}/")
    };
    let client = run.client("dest");
    progress(&format!("Checking push permissions for {host}"));
    client.ping(host).map_err(|why| {
        Failure::new(
            1,
            format!("error checking push permissions for {host}: {why}"),
        )
    })?;
    let from = std::path::absolute(from)?;
    progress(&format!(
        "Publishing image set from archive {:?} to registry {host:?}",
        from.display().to_string()
    ));
    let archive = Archive::open(&from)?;
    let Some(bytes) = archive.read(FILE)? else {
        return Err(Failure::new(
            1,
            format!("no metadata found in {}", from.display()),
        ));
    };
    let incoming = Metadata::parse(&bytes)?;
    let place = Place {
        client: &client,
        host,
        namespace: &namespace,
    };
    let current = place.metadata(&incoming.uid)?;
    if !in_turn(run, &incoming, current.as_ref())? {
        return Ok(());
    }
    misdeeds::before_copying(run.settings)?;
    let images = &incoming.past_mirror.associations;
    for (index, image) in images.iter().enumerate() {
        misdeeds::while_copying(run.settings, index, images.len());
        place.publish(&archive, image, &incoming.past_associations)?;
    }
    let skip_pruning = run.flags.has("skip-pruning");
    if let Some(current) = current.filter(|_| !skip_pruning) {
        place.prune(&current, &incoming)?;
    }
    results(&place, images)?;
    incoming.write(Path::new(WORKSPACE))?;
    place.store(&incoming.uid, &bytes)
}

/// Whether this sequence is the next one; `false` if it was published before.
fn in_turn(
    run: &Run<'_>,
    incoming: &Metadata,
    current: Option<&Metadata>,
) -> Result<bool, Failure> {
    if run.flags.has("skip-metadata-check") || run.flags.has("skip-pruning") {
        return Ok(true);
    }
    let got = incoming.past_mirror.sequence;
    let past = current.map_or(0, |current| current.past_mirror.sequence);
    if got == past {
        result("No diff from previous mirror (sequence is the same), nothing to do");
        return Ok(false);
    }
    let want = past + 1;
    if got == want {
        Ok(true)
    } else {
        Err(Failure::new(
            1,
            format!(
                "error during publishing, invalid mirror sequence order, want {want}, got {got}"
            ),
        ))
    }
}

/// The target registry and namespace.
#[derive(Debug)]
struct Place<'a> {
    client: &'a Client,
    host: &'a str,
    /// Empty, or with `/` at its end.
    namespace: &'a str,
}

impl Place<'_> {
    /// The metadata image of a workspace.
    fn metadata(&self, uid: &str) -> Result<Option<Metadata>, Failure> {
        let repo = self.repo("oc-mirror");
        let Ok((bytes, _)) = self.client.manifest(self.host, &repo, uid) else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&bytes).map_err(|why| Failure::new(1, why))?;
        let Some(layer) = manifest.blobs.first() else {
            return Ok(None);
        };
        let mut found = Vec::new();
        self.client
            .blob(self.host, &repo, layer, &mut found)
            .map_err(|why| Failure::new(1, why))?;
        Metadata::parse(&found).map(Some)
    }

    fn store(&self, uid: &str, bytes: &[u8]) -> Result<(), Failure> {
        let repo = self.repo("oc-mirror");
        let config = json!({ "architecture": "amd64", "os": "linux", "config": {} })
            .to_string()
            .into_bytes();
        let put = |bytes: &[u8]| -> Result<serde_json::Value, Failure> {
            let digest = digest_of(bytes);
            let path = Path::new(WORKSPACE).join("part");
            fs::write(&path, bytes)?;
            self.client
                .push_blob(self.host, &repo, &digest, File::open(path)?)
                .map_err(|why| Failure::new(1, why))?;
            Ok(json!({ "digest": digest, "size": bytes.len() }))
        };
        let (config, layer) = (put(&config)?, put(bytes)?);
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer] });
        fs::remove_file(Path::new(WORKSPACE).join("part"))?;
        let pushed = self.client.push_manifest(
            (self.host, &repo, uid),
            IMAGE,
            manifest.to_string().as_bytes(),
        );
        pushed.map_err(|why| Failure::new(1, why))
    }

    fn publish(
        &self,
        archive: &Archive,
        image: &Association,
        known: &[Association],
    ) -> Result<(), Failure> {
        let repo = self.repo(&image.path);
        let name = format!("v2/{}/manifests/{}", image.path, image.id);
        // as in the real one, nobody compares these bytes with the digest that they lie under
        let bytes = archive
            .read(&name)?
            .ok_or_else(|| Failure::new(1, format!("{name} is not present in the archive")))?;
        let manifest = Manifest::parse(&bytes).map_err(|why| Failure::new(1, why))?;
        let mut blobs = Vec::new();
        for digest in &manifest.blobs {
            let there = self
                .client
                .has_blob(self.host, &repo, digest)
                .map_err(|why| Failure::new(1, why))?;
            match archive.unpack(&format!("blobs/{digest}"))? {
                Some(path) => {
                    let found = digest_of_copy(&mut File::open(&path)?, &mut std::io::sink())?;
                    if found != *digest {
                        return Err(Failure::new(
                            1,
                            format!(
                                "digest invalid: provided digest did not match uploaded content: {digest}"
                            ),
                        ));
                    }
                    blobs.push((digest.clone(), fs::metadata(&path)?.len()));
                    let pushed =
                        self.client
                            .push_blob(self.host, &repo, digest, File::open(&path)?);
                    pushed.map_err(|why| Failure::new(1, why))?;
                    fs::remove_file(path)?;
                }
                None if there => {}
                None => self.pull_back(known, &repo, digest)?,
            }
        }
        blobs.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        let reference = if image.tag_symlink.is_empty() {
            &image.id
        } else {
            &image.tag_symlink
        };
        let pushed =
            self.client
                .push_manifest((self.host, &repo, reference), &manifest.kind, &bytes);
        pushed.map_err(|why| Failure::new(1, why))?;
        let listed = [Listed {
            image: image.clone(),
            blobs,
        }];
        progress(&plan(
            &format!("{}/", self.host),
            &listed,
            "file://",
            self.host,
            self.namespace,
        ));
        result(&format!("{} {}/{repo}:{reference}", image.id, self.host));
        progress("info: Mirroring completed in 50ms (241.2kB/s)");
        Ok(())
    }

    /// A layer that an earlier sequence brought lies in another repository of the target.
    fn pull_back(&self, known: &[Association], repo: &str, digest: &str) -> Result<(), Failure> {
        fs::create_dir_all(WORKSPACE)?;
        let path = Path::new(WORKSPACE).join("part");
        let holders = known
            .iter()
            .filter(|image| image.layer_digests.iter().any(|layer| layer == digest));
        for holder in holders {
            let holder = self.repo(&holder.path);
            if self
                .client
                .blob(self.host, &holder, digest, &mut File::create(&path)?)
                .is_ok()
            {
                let pushed = self
                    .client
                    .push_blob(self.host, repo, digest, File::open(&path)?);
                fs::remove_file(&path)?;
                return pushed.map_err(|why| Failure::new(1, why));
            }
        }
        Err(Failure::new(
            1,
            format!("layer {digest} is not present in the archive"),
        ))
    }

    /// Delete what the last sequence had and this one has no more.
    fn prune(&self, current: &Metadata, incoming: &Metadata) -> Result<(), Failure> {
        for image in current
            .past_associations
            .iter()
            .filter(|image| !incoming.knows(image))
        {
            progress(&format!(
                "Deleting manifest {} from repo {}",
                image.id,
                self.repo(&image.path)
            ));
            let deleted = self
                .client
                .delete(self.host, &self.repo(&image.path), &image.id);
            deleted.map_err(|why| Failure::new(1, why))?;
        }
        Ok(())
    }

    fn repo(&self, path: &str) -> String {
        format!("{}{path}", self.namespace)
    }
}

fn results(place: &Place<'_>, images: &[Association]) -> Result<(), Failure> {
    let name = format!("{WORKSPACE}/results-{}", Timestamp::now().as_second());
    let dir = Path::new(&name);
    fs::create_dir_all(dir)?;
    result(&format!("Wrote release signatures to {name}"));
    let mapping = dir.join("mapping.txt");
    result(&format!("Writing image mapping to {}", mapping.display()));
    let (mut lines, mut mirrors) = (String::new(), BTreeSet::new());
    for image in images {
        let to = format!("{}/{}", place.host, place.repo(&image.path));
        // a string takes all
        let _ = writeln!(lines, "{}={to}:{}", image.name, image.tag_symlink);
        let source = image.name.split('@').next().unwrap_or_default();
        mirrors.insert(format!("  - mirrors:\n    - {to}\n    source: {source}\n"));
    }
    fs::write(mapping, lines)?;
    result(&format!("Writing ICSP manifests to {name}"));
    let mirrors: String = mirrors.into_iter().collect();
    let policy = format!(
        "---\napiVersion: operator.openshift.io/v1alpha1\nkind: ImageContentSourcePolicy\nmetadata:\n  name: generic-0\nspec:\n  repositoryDigestMirrors:\n{mirrors}"
    );
    Ok(fs::write(
        dir.join("imageContentSourcePolicy.yaml"),
        policy,
    )?)
}
