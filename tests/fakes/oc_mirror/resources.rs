//! `cluster-resources`: which mirror stands for which source.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::log::Log;
use crate::plan::Planned;
use crate::release::Release;

/// Write IDMS and ITMS for the images that were copied.
pub(crate) fn write(
    working: &Path,
    target: &str,
    copied: &[&Planned],
    version: &str,
    log: &Log,
    release: Release,
) -> Result<(), Failure> {
    if release.is_strict() {
        log.info("📄 Generating cluster resources...");
    }
    if copied.is_empty() {
        log.info("📄 Nothing mirrored. Skipping IDMS and ITMS files generation.");
    } else {
        // the newest release writes what has tag and digest into both
        let by_digest = |image: &&&Planned| {
            image.source.digest.is_some()
                && (image.source.tag.is_none() || release == Release::V5_2)
        };
        let digests: Vec<&Planned> = copied.iter().filter(by_digest).copied().collect();
        let by_tag = |image: &&&Planned| {
            image.source.tag.is_some()
                || release == Release::V5_2 && image.tag != release.tag_of(image.source.wanted())
        };
        let tags: Vec<&Planned> = copied.iter().filter(by_tag).copied().collect();
        let sets = Sets {
            working,
            target,
            version,
            log,
            release,
        };
        sets.one(
            "idms",
            "ImageDigestMirrorSet",
            "imageDigestMirrors",
            &digests,
            "digests",
        )?;
        sets.one("itms", "ImageTagMirrorSet", "imageTagMirrors", &tags, "tag")?;
    }
    log.info("📄 No catalogs mirrored. Skipping CatalogSource file generation.");
    if release.is_strict() {
        log.info("📄 No catalogs mirrored. Skipping ClusterCatalog file generation.");
    }
    Ok(())
}

#[derive(Debug)]
struct Sets<'a> {
    working: &'a Path,
    target: &'a str,
    version: &'a str,
    log: &'a Log,
    release: Release,
}

impl Sets<'_> {
    fn one(
        &self,
        short: &str,
        kind: &str,
        field: &str,
        images: &[&Planned],
        by: &str,
    ) -> Result<(), Failure> {
        let upper = short.to_uppercase();
        if images.is_empty() {
            self.log.info(&format!(
                "📄 No images by {by} were mirrored. Skipping {upper} generation."
            ));
            return Ok(());
        }
        self.log.info(&format!("📄 Generating {upper} file..."));
        let dir = self.working.join("cluster-resources");
        fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{short}-oc-mirror.yaml"));
        fs::write(&path, self.text(short, kind, field, images))?;
        self.log.info(&format!("{} file created", path.display()));
        Ok(())
    }

    fn text(&self, short: &str, kind: &str, field: &str, images: &[&Planned]) -> String {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for image in images {
            let pair = self.pair(image);
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        let mirror = |(source, mirror): &(String, String)| {
            format!("  - mirrors:\n    - {mirror}\n    source: {source}\n")
        };
        let mirrors: String = pairs.iter().map(mirror).collect();
        let (annotations, status) = if self.release.is_strict() {
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
            let version = self.version;
            (
                format!(
                    "  annotations:\n    createdAt: \"{now}\"\n    createdBy: oc-mirror v2\n    oc-mirror_version: {version}\n"
                ),
                "",
            )
        } else {
            (String::new(), "status: {}\n")
        };
        format!(
            "---\napiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata:\n{annotations}  name: {short}-generic-0\nspec:\n  {field}:\n{mirrors}{status}"
        )
    }

    /// Namespaces where the name stays, else whole names.
    fn pair(&self, image: &Planned) -> (String, String) {
        let source = format!("{}/{}", image.source.host, image.source.path);
        let mirror = format!("{}/{}", self.target, image.repo);
        if image.repo == image.source.path {
            (parent(&source), parent(&mirror))
        } else {
            (source, mirror)
        }
    }
}

fn parent(name: &str) -> String {
    name.rsplit_once('/')
        .map_or(name, |(parent, _)| parent)
        .to_owned()
}
