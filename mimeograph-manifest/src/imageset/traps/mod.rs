//! What `oc-mirror` is known to get wrong, found in the image set before it starts (contract §0, §12, §13).

mod version;

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;

use super::finding::{Finding, Findings};
use super::model::{Operator, Range, Text};
use super::names::{Reference, TagStyle};
use super::{ImageSet, OCI};
use crate::manifest::Generation;

/// What the judgement depends on besides the image set.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Major and minor number of the `oc-mirror`; `None` when it does not know itself: it is taken for a new one.
    pub minor: Option<(u32, u32)>,
    /// `mirror.localDir`.
    pub local_dir: &'a Path,
}

impl Around<'_> {
    fn is_from(&self, minor: (u32, u32)) -> bool {
        self.minor.is_none_or(|ours| ours >= minor)
    }
}

/// Looks for them.
pub fn traps(imageset: &ImageSet, around: Around<'_>) -> Findings {
    let mut search = Search {
        imageset,
        around,
        found: Vec::new(),
    };
    search.local_paths();
    if imageset.generation == Generation::V2 {
        search.nothing_asked();
        search.too_new();
        search.names();
        search.targets();
        search.catalogs();
        search.charts();
        search.releases();
        search.blocked();
    }
    search.ranges();
    Findings::new(search.found)
}

struct Search<'a> {
    imageset: &'a ImageSet,
    around: Around<'a>,
    found: Vec<Finding>,
}

impl Search<'_> {
    fn find(&mut self, text: &Text, problem: impl Into<String>, remedy: impl Into<String>) {
        self.found.push(Finding::new(text.at, problem, remedy));
    }

    fn style(&self) -> TagStyle {
        TagStyle::of(self.imageset.generation, self.around.minor)
    }

    /// 4.17 ends with 0 and an empty archive; later ones with 1, after the old archives were deleted.
    fn nothing_asked(&mut self) {
        let mirror = &self.imageset.mirror;
        let releases = mirror.platform.as_ref().is_some_and(|platform| {
            platform.graph || platform.release.is_some() || !platform.channels.is_empty()
        });
        if !releases
            && !self.imageset.has_charts()
            && mirror.operators.is_empty()
            && mirror.additional_images.is_empty()
        {
            self.found.push(Finding::new(
                super::Place { line: 1, column: 1 },
                "it asks for nothing",
                "name something under `mirror`: `platform`, `operators`, `additionalImages` or `helm`",
            ));
        }
    }

    fn names(&mut self) {
        let mirror = &self.imageset.mirror;
        for image in &mirror.additional_images {
            let name = &image.name;
            match Reference::of_image(image, self.style()) {
                None => self.malformed(name),
                Some(reference) if reference.host.is_none() => {}
                Some(_) if !has_host(name) => self.find(
                    name,
                    format!("`{name}` does not say which registry"),
                    "write it out, `docker.io/library/…` for instance",
                ),
                Some(Reference {
                    has_tag: false,
                    digest: None,
                    ..
                }) => self.untagged(name),
                Some(Reference {
                    has_tag: false,
                    host: Some(host),
                    ..
                }) if host.contains(':') && self.around.is_from((4, 22)) => self.find(
                    name,
                    format!("`{name}` has a digest only, and its registry a port: this `oc-mirror` takes the port for a tag"),
                    "give it a `targetTag`, or write it as `repository:tag@sha256:…`",
                ),
                Some(_) => {}
            }
        }
        for operator in &mirror.operators {
            let name = &operator.catalog;
            match Reference::parse(name, None, None, self.style()) {
                None => self.malformed(name),
                Some(Reference {
                    host: Some(_),
                    has_tag: false,
                    digest: None,
                    ..
                }) => self.untagged(name),
                Some(_) => {}
            }
        }
    }

    fn malformed(&mut self, name: &Text) {
        self.find(
            name,
            format!("`{name}` is not the name of an image"),
            "write it as `registry/repository:tag` or `registry/repository@sha256:…`, the repository in lower case",
        );
    }

    fn untagged(&mut self, name: &Text) {
        self.find(
            name,
            format!("`{name}` has neither tag nor digest, and `oc-mirror` skips it"),
            "give it one",
        );
    }

    /// Of two sources with one name in the target, `oc-mirror` ships one, and says nothing.
    fn targets(&mut self) {
        let (style, mirror) = (self.style(), &self.imageset.mirror);
        let images = mirror.additional_images.iter();
        let images =
            images.filter_map(|image| Some((&image.name, Reference::of_image(image, style)?)));
        let catalogs = mirror.operators.iter();
        let catalogs =
            catalogs.filter_map(|one| Some((&one.catalog, Reference::of_catalog(one, style)?)));
        let mut first: BTreeMap<(String, String), &Text> = BTreeMap::new();
        let mut found = Vec::new();
        for (name, reference) in images.chain(catalogs) {
            let target = (reference.repository, reference.tag);
            match first.get(&target) {
                Some(other) if other.value != name.value => found.push(Finding::new(
                    name.at,
                    format!(
                        "`{name}` and `{other}` (line {}) would both become `{}:{}` in the target, and one of them be lost",
                        other.at.line, target.0, target.1
                    ),
                    "give one of them a `targetRepo` or `targetTag` (a catalogue: `targetCatalog`), or leave it out",
                )),
                Some(_) => {}
                None => {
                    first.insert(target, name);
                }
            }
        }
        self.found.extend(found);
    }

    fn catalogs(&mut self) {
        let mut listed: BTreeMap<&str, (&Text, (String, String))> = BTreeMap::new();
        for operator in &self.imageset.mirror.operators {
            let catalog = &operator.catalog;
            let Some(reference) = Reference::of_catalog(operator, self.style()) else {
                continue;
            };
            let target = (reference.repository.clone(), reference.tag.clone());
            if let Some((first, _)) = listed.get(&**catalog).filter(|(_, other)| *other == target) {
                self.find(
                    catalog,
                    format!(
                        "`{catalog}` is listed twice (line {}), and `oc-mirror` refuses it",
                        first.at.line
                    ),
                    "list all of its packages in one place",
                );
                continue;
            }
            listed.insert(catalog, (catalog, target));
            if has_both(catalog) {
                self.find(
                    catalog,
                    format!("`{catalog}` has both a tag and a digest, and `oc-mirror` cannot read such a catalogue"),
                    "name it by digest, with the tag as its `targetTag`",
                );
                continue;
            }
            if !is_rebuilt(operator) || !self.around.is_from((4, 18)) {
                continue;
            }
            if !reference.has_tag && reference.digest.is_some() {
                self.find(
                    catalog,
                    format!("`{catalog}` is pinned by digest without a `targetTag`: the catalogue's tag in the target and the name of its CatalogSource would change with every rebuild"),
                    "add a `targetTag`",
                );
            }
            // `oc-mirror` replaces the first occurrence of the tag in `localhost:<port>/<repository>:<tag>`.
            if "localhost".contains(&*reference.tag)
                || reference.repository.contains(&*reference.tag)
            {
                self.find(
                    catalog,
                    format!(
                        "the tag `{}` also occurs in `localhost/{}`: `oc-mirror` packs such a catalogue under a wrong name, and it cannot be loaded",
                        reference.tag, reference.repository
                    ),
                    "add a `targetTag` and a `targetCatalog` in which it does not occur",
                );
            }
        }
    }

    fn charts(&mut self) {
        let mut repositories: BTreeMap<&str, &Text> = BTreeMap::new();
        let mut charts: BTreeMap<(&str, &str), &Text> = BTreeMap::new();
        for repository in &self.imageset.mirror.helm.repositories {
            let name = &repository.name;
            if let Some(first) = repositories.insert(name, name) {
                self.find(
                    name,
                    format!("two chart repositories are called `{name}` (line {}): `oc-mirror` takes both from the first one's `url`", first.at.line),
                    "give one of them another name",
                );
            }
            for chart in &repository.charts {
                let version = chart.version.as_deref().unwrap_or_default();
                if let Some(first) = charts.insert((&chart.name, version), &chart.name) {
                    self.find(
                        &chart.name,
                        format!("chart `{}` {version} is asked for twice (line {}): of two archives of one name one is lost", chart.name, first.at.line),
                        "take it from one repository",
                    );
                }
            }
            for chart in repository
                .charts
                .iter()
                .filter(|chart| chart.version.is_none())
            {
                self.find(
                    &chart.name,
                    format!("chart `{}` has no version: it is mirrored to disk, but cannot be loaded on the far side", chart.name),
                    "add its `version`",
                );
            }
        }
    }

    fn releases(&mut self) {
        let Some(platform) = &self.imageset.mirror.platform else {
            return;
        };
        let Some(release) = &platform.release else {
            return;
        };
        match Reference::parse(release, None, None, self.style()) {
            None => self.malformed(release),
            Some(Reference { digest: None, .. }) => self.find(
                release,
                format!("release `{release}` is named by tag: `oc-mirror` asks the source registry for it, on the far side too"),
                "name it by digest, `…/ocp-release@sha256:…`",
            ),
            Some(_) => {}
        }
    }

    /// A pattern that fits the images of releases takes components out of them, and nothing says so.
    fn blocked(&mut self) {
        let are_patterns = self.around.is_from((4, 19));
        for blocked in &self.imageset.mirror.blocked_images {
            let pattern = match regex_lite::Regex::new(blocked) {
                Ok(pattern) => pattern,
                // Up to 4.22 it passes over what is no pattern; what we cannot read may be one to it.
                Err(error) if self.around.is_from((4, 23)) => {
                    self.find(
                        blocked,
                        format!("`{blocked}` is not a pattern ({error})"),
                        "correct it: from 4.19 on `blockedImages` are regular expressions",
                    );
                    continue;
                }
                Err(_) => continue,
            };
            let hollows = self.imageset.mirror.platform.is_some()
                && RELEASE_IMAGES.iter().any(|repository| {
                    let example = format!("{repository}@sha256:{}", "0".repeat(64));
                    are_patterns && pattern.is_match(&example) || blocked.starts_with(repository)
                });
            if hollows {
                self.find(
                    blocked,
                    format!("`{blocked}` would take images out of the releases"),
                    "make it fit no image of `openshift-release-dev`",
                );
            }
        }
    }

    fn ranges(&mut self) {
        let mirror = &self.imageset.mirror;
        let channels = mirror
            .platform
            .iter()
            .flat_map(|platform| &platform.channels);
        let packages = mirror.operators.iter().flat_map(Operator::packages);
        let ranges = channels
            .map(|channel| &channel.range)
            .chain(packages.clone().map(|package| &package.range))
            .chain(
                packages.flat_map(|package| package.channels.iter().map(|channel| &channel.range)),
            );
        let found: Vec<_> = ranges.filter_map(upside_down).collect();
        self.found.extend(found);
    }

    fn local_paths(&mut self) {
        for path in self.imageset.local_paths() {
            let plain = path.strip_prefix(OCI).unwrap_or(path);
            if !Path::new(plain).starts_with(self.around.local_dir) {
                self.find(
                    path,
                    format!(
                        "the local file `{path}` is not below `mirror.localDir` ({})",
                        self.around.local_dir.display()
                    ),
                    "move it below that directory, which exists on both sides under the same path",
                );
            }
        }
    }
}

/// Where the images of releases come from, without the registry.
const RELEASE_IMAGES: [&str; 2] = [
    "quay.io/openshift-release-dev/ocp-v4.0-art-dev",
    "quay.io/openshift-release-dev/ocp-release",
];

/// Whether a name has a tag as well as a digest.
fn has_both(name: &str) -> bool {
    name.split_once('@').is_some_and(|(name, _)| {
        let last = name.rsplit('/').next().unwrap_or(name);
        last.contains(':')
    })
}

/// Whether `oc-mirror` builds it anew, from 4.18 on.
fn is_rebuilt(operator: &Operator) -> bool {
    !operator.full || !operator.packages().is_empty()
}

fn has_host(name: &str) -> bool {
    let name = name.strip_prefix("docker://").unwrap_or(name);
    name.split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

fn upside_down(range: &Range) -> Option<Finding> {
    let (min, max) = (range.min.as_ref()?, range.max.as_ref()?);
    let version = |text: &Text| Version::parse(text.trim_start_matches('v')).ok();
    (version(min)? > version(max)?).then(|| {
        Finding::new(
            min.at,
            format!("`minVersion` {min} is above `maxVersion` {max}"),
            "exchange them",
        )
    })
}
