//! What becomes of each recorded case.

use crate::case::Case;
use Arrived::{NotAsked, Refused, Whole};

/// A row: what is seen at each step.
#[derive(Clone, Debug)]
pub struct Expected<T = &'static str, L = &'static [&'static str]> {
    pub case: Case,
    /// The runs of the same stream before it, oldest first: their folders and archives.
    pub after: &'static [(&'static str, &'static str)],
    /// What is refused before the start; empty: nothing.
    pub trap: T,
    /// What its log and error files show; empty: nothing is wrong.
    pub log: T,
    /// What is found in its archive; empty: it is what was asked for.
    pub archive: L,
    /// What arrived, where all of the above is good.
    pub arrived: Arrived,
}

/// What is in the target afterwards, and what `oc-mirror` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The case is stopped before, or was not loaded.
    NotAsked,
    /// Everything, and it ended well.
    Whole,
    /// Everything, and it says that something failed.
    WholeButRefused,
    /// Less, and it says so.
    Refused,
    /// Less, without a word: only asking the target tells.
    SilentlyLess,
}

impl Expected {
    /// Each text must be in what is seen; an empty one means that nothing is.
    pub fn is_met_by(&self, seen: &Expected<String, Vec<String>>) -> bool {
        let says = |expected: &str, seen: &str| match expected {
            "" => seen.is_empty(),
            text => seen.contains(text),
        };
        says(self.trap, &seen.trap)
            && says(self.log, &seen.log)
            && self.archive.len() == seen.archive.len()
            && self
                .archive
                .iter()
                .zip(&seen.archive)
                .all(|(text, seen)| seen.contains(text))
            && self.arrived == seen.arrived
    }
}

const fn row(
    version: &'static str,
    name: &'static str,
    trap: &'static str,
    log: &'static str,
    archive: &'static [&'static str],
    arrived: Arrived,
) -> Expected {
    Expected {
        case: Case { version, name },
        after: &[],
        trap,
        log,
        archive,
        arrived,
    }
}

/// One at which nothing is found before, in the log and in the archive.
const fn good(version: &'static str, name: &'static str, arrived: Arrived) -> Expected {
    row(version, name, "", "", &[], arrived)
}

impl Expected {
    const fn after(self, after: &'static [(&'static str, &'static str)]) -> Self {
        Self { after, ..self }
    }
}

pub const TABLE: &[Expected] = &[
    // 4.17, operators
    good("4.17", "operators", Whole),
    row("4.17", "operators-catalogue-missing", "", "left out what the image set asks for: `[OperatorImageCollector] catalog reading manifest v1 in", &["no archive"], NotAsked),
    good("4.17", "operators-full", NotAsked),
    row("4.17", "operators-missing-image", "", "did not mirror `127.0.0.1:5100/ops/beta-agent@", &["no archive"], NotAsked),
    row("4.17", "operators-mistyped-channel", "", "", &["line 10, column 15: package `alpha` has no channel `fsat`"], NotAsked),
    row("4.17", "operators-mistyped-package", "", "left out what the image set asks for: `[OperatorImageCollector] package betaa not found in cata", &["line 8, column 13: there is no package `betaa`"], NotAsked),
    row("4.17", "operators-only-mistyped", "", "left out what the image set asks for: `[OperatorImageCollector] package betaa not found in cata", &["no archive"], NotAsked),
    row("4.17", "operators-range-empty", "", "", &["line 11, column 21: channel `fast` of package `alpha` has nothing from 9.0.0"], NotAsked),
    row("4.17", "operators-range-empty-default", "", "left out what the image set asks for: `[OperatorImageCollector] no bundles matching filtering f", &["no archive"], NotAsked),
    // 4.17, additional
    good("4.17", "additional/blocked", Whole),
    row("4.17", "additional/blocked-all", "", "left out what the image set asks for: `there were no images to copy`", &[], NotAsked),
    good("4.17", "additional/blocked-bad-pattern", Whole),
    good("4.17", "additional/blocked-pattern", Whole),
    good("4.17", "additional/blocked-substring", Whole),
    good("4.17", "additional/digest", Whole),
    row("4.17", "additional/digest-malformed", "line 5, column 13: `quay.io/tiny/t2@", "left out what the image set asks for: `quay.io/tiny/t2@", &["line 5, column 13: `quay.io/tiny/t2@"], NotAsked),
    good("4.17", "additional/digest-registry-with-port", Whole),
    good("4.17", "additional/digest-registry-with-port-beside-an-image", Whole),
    good("4.17", "additional/duplicate", Whole),
    good("4.17", "additional/kinds", Whole),
    row("4.17", "additional/malformed", "line 5, column 13: `127.0.0.1:5100/Tiny/T1:v1` is not the name of an image", "did not mirror `127.0.0.1:5100/Tiny/T1:v1` (invalid source name docker://127.0.0.1:5100/Tiny/T1", &["line 5, column 13: `127.0.0.1:5100/Tiny/T1:v1` is not the name of an image"], NotAsked),
    row("4.17", "additional/malformed-only", "line 5, column 13: `127.0.0.1:5100/Tiny/T1:v1` is not the name of an image", "did not mirror `127.0.0.1:5100/Tiny/T1:v1` (invalid source name docker://127.0.0.1:5100/Tiny/T1", &["line 5, column 13: `127.0.0.1:5100/Tiny/T1:v1` is not the name of an image"], NotAsked),
    row("4.17", "additional/missing", "", "did not mirror `127.0.0.1:5100/tiny/absent:v1` (initializing source docker://127.0.0.1:5100/tin", &["line 6, column 13: image `127.0.0.1:5100/tiny/absent:v1` is not there"], NotAsked),
    good("4.17", "additional/oci-layout", Whole),
    good("4.17", "additional/oci-layout-alone", Whole),
    row("4.17", "additional/oci-layout-missing", "", "did not mirror `oci:///mimeograph/layouts/six` (invalid source name oci:///mimeograph/layouts/s", &["line 5, column 13: image `oci:///mimeograph/layouts/six` is not there"], NotAsked),
    row("4.17", "additional/short-name", "line 5, column 13: `short:v1` does not say which registry", "did not mirror `short:v1` (initializing source docker://short:v1: pinging container registry re", &["line 5, column 13: image `short:v1` is not there"], NotAsked),
    row("4.17", "additional/short-name-only", "line 5, column 13: `short:v1` does not say which registry", "did not mirror `short:v1` (initializing source docker://short:v1: pinging container registry re", &["line 5, column 13: image `short:v1` is not there"], NotAsked),
    good("4.17", "additional/tag-and-digest", Whole),
    good("4.17", "additional/tag-and-wrong-digest", Whole),
    good("4.17", "additional/target-namespace", Whole),
    row("4.17", "additional/target-repo", "line 6, column 19: `targetRepo` is not known to this `oc-mirror`; use one from 4.22 on", "failed (status 1): decode ImageSetConfiguration: json: unknown field \"targetRepo\"", &["no archive"], NotAsked),
    row("4.17", "additional/target-repo-invalid", "line 5, column 13: `127.0.0.1:5100/tiny/t1:v1` is not the name of an image", "failed (status 1): decode ImageSetConfiguration: json: unknown field \"targetRepo\"", &["no archive"], NotAsked),
    row("4.17", "additional/two-sources-one-target", "line 6, column 13: `quay.io/tiny/t1:v1` and `127.0.0.1:5100/tiny/t1:v1` (line 5) would both become `tiny/t1:v1", "", &[], Whole),
    row("4.17", "additional/unknown-field", "", "failed (status 1): decode ImageSetConfiguration: json: unknown field \"targetRegistry\"", &["no archive"], NotAsked),
    row("4.17", "additional/untagged", "line 5, column 13: `127.0.0.1:5100/tiny/latest` has neither tag nor digest, and `oc-mirror` skips it", "left out what the image set asks for: `127.0.0.1:5100/tiny/latest unable to parse image correct", &["line 5, column 13: image `127.0.0.1:5100/tiny/latest` is not there"], NotAsked),
    row("4.17", "additional/untagged-only", "line 5, column 13: `127.0.0.1:5100/tiny/latest` has neither tag nor digest, and `oc-mirror` skips it", "left out what the image set asks for: `127.0.0.1:5100/tiny/latest unable to parse image correct", &["line 5, column 13: image `127.0.0.1:5100/tiny/latest` is not there"], NotAsked),
    // 4.17, platform
    row("4.17", "platform/blocked-component", "", "", &["line 6, column 9: component `installer` of release 4.99.1 is not there: `blockedImages` (line 10) takes it out"], NotAsked),
    row("4.17", "platform/channel-mistyped", "", "left out what the image set asks for: `there were no images to copy`", &["line 6, column 15: channel `stabel-4.99` (amd64) has no update graph here"], NotAsked),
    row("4.17", "platform/channel-mistyped-warm", "", "left out what the image set asks for: `there were no images to copy`", &["line 6, column 15: channel `stabel-4.99` has no releases"], NotAsked).after(&[("platform/channel-mistyped-warm", "mirror_000001-0")]),
    row("4.17", "platform/component-missing", "", "failed (status 1): initializing source docker://127.0.0.1:5100/openshift-release-dev/ocp-v4.0-a", &["archive `mirror_000001.tar` ends without its end marker (at byte 0)"], NotAsked),
    row("4.17", "platform/component-missing-beside-an-image", "", "failed (status 1): initializing source docker://127.0.0.1:5100/openshift-release-dev/ocp-v4.0-a", &["archive `mirror_000001.tar` ends without its end marker (at byte 0)"], NotAsked),
    good("4.17", "platform/component-missing-then-retry", Whole),
    row("4.17", "platform/component-missing-warm", "", "failed (status 1): initializing source docker://127.0.0.1:5100/openshift-release-dev/ocp-v4.0-a", &["archive `mirror_000001.tar` ends without its end marker (at byte 0)"], NotAsked).after(&[("platform/component-missing-warm", "mirror_000001-0")]),
    good("4.17", "platform/component-unsigned", Whole),
    good("4.17", "platform/d2m-component-lost", Refused),
    good("4.17", "platform/d2m-wider-range", Refused),
    good("4.17", "platform/d2m-without-key", Refused),
    good("4.17", "platform/graph", Whole),
    row("4.17", "platform/graph-base-image-missing", "", "left out what the image set asks for: `error during graph image processing - SKIPPING: GET", &["line 5, column 5: the image of the update graph (`graph: true`) is not there"], NotAsked),
    good("4.17", "platform/graph-d2m-component-lost", Refused),
    row("4.17", "platform/graph-override", "", "left out what the image set asks for: `error during graph image processing - SKIPPING: no graph", &["line 5, column 5: the image of the update graph (`graph: true`) is not there"], NotAsked),
    good("4.17", "platform/graph-override-cached", Whole).after(&[("platform/graph", "mirror_000001")]),
    row("4.17", "platform/graph-server-down", "", "failed (status 1): get release images: error list APIRequestError: channel \"stable-4.99\": Remot", &["line 6, column 15: channel `stable-4.99` (amd64) has no update graph here"], NotAsked),
    row("4.17", "platform/graph-server-down-warm", "", "failed (status 0): get release images: error list APIRequestError: channel \"stable-4.99\": Remot", &["line 6, column 9: release 4.99.2 ("], NotAsked).after(&[("platform/graph-server-down-warm", "mirror_000001-0")]),
    good("4.17", "platform/head-only", Whole),
    row("4.17", "platform/max-not-in-graph", "", "", &["line 8, column 21: release 4.99.9 (`maxVersion`) is not in channel `stable-4.99`"], NotAsked),
    row("4.17", "platform/min-and-max-not-in-graph", "", "left out what the image set asks for: `there were no images to copy`", &["line 6, column 15: channel `stable-4.99` (amd64) has no update graph here"], NotAsked),
    row("4.17", "platform/one-of-two-channels-mistyped", "", "failed (status 0): get release images: error list error calculating cross channel upgrades: fai", &["line 9, column 15: channel `stabel-4.99` has no releases"], NotAsked),
    row("4.17", "platform/range-upside-down", "line 7, column 21: `minVersion` 4.99.2 is above `maxVersion` 4.99.1", "left out what the image set asks for: `there were no images to copy`", &["line 6, column 15: channel `stable-4.99` (amd64) has no update graph here"], NotAsked),
    good("4.17", "platform/release-digest", Whole),
    row("4.17", "platform/release-missing", "", "failed (status 1): [ReleaseImageCollector] initializing source docker://127.0.0.1:5100/openshif", &["archive `mirror_000001.tar` ends without its end marker (at byte 0)"], NotAsked),
    good("4.17", "platform/release-missing-then-clean-retry", Whole),
    row("4.17", "platform/release-missing-then-retry", "", "failed (status 1): [ReleaseImageCollector] open /mimeograph/bundle/working-dir/release-images/o", &["archive `mirror_000001.tar` ends without its end marker (at byte 0)"], NotAsked),
    row("4.17", "platform/release-tag", "line 5, column 14: release `127.0.0.1:5100/openshift-release-dev/ocp-release:4.99.1-x86_64` is named by tag: `", "", &["line 5, column 14: release `127.0.0.1:5100/openshift-release-dev/ocp-release:4.99.1-x86_64` has no digest to b"], NotAsked),
    row("4.17", "platform/release-tag-https", "line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` is named by tag: `oc-mirr", "", &["line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` has no digest to be judge"], NotAsked),
    row("4.17", "platform/release-tag-https-source-reachable", "line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` is named by tag: `oc-mirr", "", &["line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` has no digest to be judge"], NotAsked),
    good("4.17", "platform/releases", Whole),
    good("4.17", "platform/releases-next", Whole).after(&[("platform/releases", "mirror_000001")]),
    good("4.17", "platform/releases-next-only", Whole).after(&[("platform/releases", "mirror_000001"), ("platform/releases-next", "mirror_000001"), ("platform/releases-nothing-new", "mirror_000001")]),
    good("4.17", "platform/releases-nothing-new", Whole).after(&[("platform/releases", "mirror_000001"), ("platform/releases-next", "mirror_000001")]),
    row("4.17", "platform/shortest-path-none", "", "", &["line 6, column 9: channel `stable-4.99` has no path of updates from 4.99.1 to 4.99.3"], NotAsked),
    row("4.17", "platform/signature-missing", "", "failed (status 1): generate release signatures: error list no signature found for 46a78c1ad251a", &["line 6, column 15: channel `stable-4.99` (amd64) has no update graph here"], NotAsked),
    row("4.17", "platform/signature-missing-warm", "", "failed (status 0): generate release signatures: error list no signature found for 46a78c1ad251a", &["line 6, column 9: release 4.99.2 ("], NotAsked).after(&[("platform/signature-missing-warm", "mirror_000001-0")]),
    row("4.17", "platform/signature-of-another-release", "", "", &["line 6, column 9: the signature of release 4.99.2 is that of another release (127.0.0.1:5100/openshift-release"], NotAsked),
    good("4.17", "platform/signature-preplaced", Whole),
    row("4.17", "platform/signature-server-down", "", "failed (status 2): http request Get \"", &["archive `mirror_000001.tar` ends without its end marker (at byte 0)"], NotAsked),
    row("4.17", "platform/tag-moved", "", "", &["line 6, column 9: release 4.99.2 is not there: `openshift-release-dev/ocp-release:4.99.2-x86_64` is"], NotAsked),
    row("4.17", "platform/tag-moved-then-back", "", "", &["line 6, column 9: component `installer` of release 4.99.2 is not there ("], NotAsked).after(&[("platform/tag-moved-then-back", "mirror_000001-1")]),
    good("4.17", "platform/tag-moved-then-back-clean", Whole).after(&[("platform/tag-moved-then-back-clean", "mirror_000001-1")]),
    // 5.2, operators
    good("5.2", "operators", Whole),
    row("5.2", "operators-catalogue-missing", "", "failed (status 4: operator): collection error: collect catalog \"127.0.0.1:5100/ops/catalogue:v1", &["no archive"], NotAsked),
    good("5.2", "operators-full", NotAsked),
    row("5.2", "operators-missing-image", "", "did not mirror `127.0.0.1:5100/ops/beta-agent@", &["no archive"], NotAsked),
    row("5.2", "operators-mistyped-channel", "", "", &["line 10, column 15: package `alpha` has no channel `fsat`"], NotAsked),
    row("5.2", "operators-mistyped-package", "", "", &["line 8, column 13: there is no package `betaa`"], NotAsked),
    row("5.2", "operators-only-mistyped", "", "failed (status 4: operator): collection error: collect catalog \"127.0.0.1:5100/ops/catalog@", &["no archive"], NotAsked),
    row("5.2", "operators-range-empty", "", "", &["line 11, column 21: channel `fast` of package `alpha` has nothing from 9.0.0"], NotAsked),
    row("5.2", "operators-range-empty-default", "", "failed (status 4: operator): collection error: collect catalog \"127.0.0.1:5100/ops/catalog@", &["no archive"], NotAsked),
    // 5.2, additional
    good("5.2", "additional/blocked", Whole),
    row("5.2", "additional/blocked-all", "", "failed (status 1: generic): no images to copy", &["no archive"], NotAsked),
    row("5.2", "additional/blocked-bad-pattern", "line 8, column 13: `*t1*` is not a pattern (uncounted repetition operator must be applied to a sub-expression)", "failed (status 1: generic): invalid configuration: blocked image \"*t1*\": invalid regular expres", &["no archive"], NotAsked),
    good("5.2", "additional/blocked-pattern", Whole),
    good("5.2", "additional/blocked-substring", Whole),
    good("5.2", "additional/digest", Whole),
    row("5.2", "additional/digest-malformed", "line 5, column 13: `quay.io/tiny/t2@", "failed (status 8: additional): collection error: parse image \"quay.io/tiny/t2@", &["no archive"], NotAsked),
    row("5.2", "additional/digest-registry-with-port", "line 5, column 13: `127.0.0.1:5100/tiny/t2@", "failed (status 8: additional): collection error: parse destination \"localhost:23999/tiny/t2:\":", &["no archive"], NotAsked),
    row("5.2", "additional/digest-registry-with-port-beside-an-image", "line 5, column 13: `127.0.0.1:5100/tiny/t2@", "failed (status 8: additional): collection error: parse destination \"localhost:23999/tiny/t2:\":", &["no archive"], NotAsked),
    good("5.2", "additional/duplicate", Whole),
    good("5.2", "additional/kinds", Whole),
    row("5.2", "additional/malformed", "line 5, column 13: `127.0.0.1:5100/Tiny/T1:v1` is not the name of an image", "did not mirror `127.0.0.1:5100/Tiny/T1:v1` (invalid source name docker://127.0.0.1:5100/Tiny/T1", &["no archive"], NotAsked),
    row("5.2", "additional/malformed-only", "line 5, column 13: `127.0.0.1:5100/Tiny/T1:v1` is not the name of an image", "did not mirror `127.0.0.1:5100/Tiny/T1:v1` (invalid source name docker://127.0.0.1:5100/Tiny/T1", &["no archive"], NotAsked),
    row("5.2", "additional/missing", "", "did not mirror `127.0.0.1:5100/tiny/absent:v1` (initializing source docker://127.0.0.1:5100/tin", &["no archive"], NotAsked),
    good("5.2", "additional/oci-layout", Whole),
    good("5.2", "additional/oci-layout-alone", Whole),
    row("5.2", "additional/oci-layout-missing", "", "did not mirror `oci:///mimeograph/layouts/six` (invalid source name oci:///mimeograph/layouts/s", &["no archive"], NotAsked),
    row("5.2", "additional/short-name", "line 5, column 13: `short:v1` does not say which registry", "did not mirror `short:v1` (initializing source docker://short:v1: fetching manifest v1 in docke", &["no archive"], NotAsked),
    row("5.2", "additional/short-name-only", "line 5, column 13: `short:v1` does not say which registry", "did not mirror `short:v1` (initializing source docker://short:v1: fetching manifest v1 in docke", &["no archive"], NotAsked),
    good("5.2", "additional/tag-and-digest", Whole),
    good("5.2", "additional/tag-and-wrong-digest", Whole),
    good("5.2", "additional/target-namespace", Whole),
    good("5.2", "additional/target-repo", Whole),
    row("5.2", "additional/target-repo-invalid", "line 5, column 13: `127.0.0.1:5100/tiny/t1:v1` is not the name of an image", "failed (status 8: additional): collection error: invalid targetRepo Moved/One for image 127.0.0", &["no archive"], NotAsked),
    row("5.2", "additional/two-sources-one-target", "line 6, column 13: `quay.io/tiny/t1:v1` and `127.0.0.1:5100/tiny/t1:v1` (line 5) would both become `tiny/t1:v1", "", &[], Whole),
    row("5.2", "additional/unknown-field", "", "failed (status 1: generic): decode ImageSetConfiguration: json: unknown field \"targetRegistry\"", &["no archive"], NotAsked),
    row("5.2", "additional/untagged", "line 5, column 13: `127.0.0.1:5100/tiny/latest` has neither tag nor digest, and `oc-mirror` skips it", "failed (status 8: additional): collection error: parse image \"127.0.0.1:5100/tiny/latest\": 127.", &["no archive"], NotAsked),
    row("5.2", "additional/untagged-only", "line 5, column 13: `127.0.0.1:5100/tiny/latest` has neither tag nor digest, and `oc-mirror` skips it", "failed (status 8: additional): collection error: parse image \"127.0.0.1:5100/tiny/latest\": 127.", &["no archive"], NotAsked),
    // 5.2, helm
    row("5.2", "helm/chart-without-images", "", "failed (status 1: generic): no images to copy", &["no archive"], NotAsked),
    row("5.2", "helm/image-malformed", "", "did not mirror `127.0.0.1:5100/apps/web:!!` (invalid source name docker://127.0.0.1:5100/apps/w", &["no archive"], NotAsked),
    row("5.2", "helm/image-missing", "", "did not mirror `127.0.0.1:5100/apps/web:v9` (initializing source docker://127.0.0.1:5100/apps/w", &["no archive"], NotAsked),
    good("5.2", "helm/image-untagged", Whole),
    good("5.2", "helm/local", Whole),
    good("5.2", "helm/local-chart-other-far", Refused),
    good("5.2", "helm/local-directory", Whole),
    good("5.2", "helm/local-image-paths", Whole),
    row("5.2", "helm/local-missing", "", "failed (status 16: helm): collection error: failed to load /mimeograph/charts/tiny-1.0.0.tgz: s", &["no archive"], NotAsked),
    row("5.2", "helm/local-missing-beside-an-image", "", "failed (status 16: helm): collection error: failed to load /mimeograph/charts/tiny-1.0.0.tgz: s", &["no archive"], NotAsked),
    good("5.2", "helm/local-path-absent-far", Refused),
    good("5.2", "helm/local-path-absent-far-beside-an-image", Refused),
    row("5.2", "helm/needs-values", "", "failed (status 16: helm): collection error: failed to get template needy: error rendering chart", &["no archive"], NotAsked),
    good("5.2", "helm/repository", Whole),
    good("5.2", "helm/repository-all-charts", Whole),
    row("5.2", "helm/repository-chart-mistyped", "", "failed (status 16: helm): collection error: chart \"tinny\" matching 1.0.0 not found in shelf ind", &["no archive"], NotAsked),
    good("5.2", "helm/repository-next", Whole).after(&[("helm/repository-next", "mirror_000001-1")]),
    row("5.2", "helm/repository-no-version", "line 9, column 19: chart `simple` has no version: it is mirrored to disk, but cannot be loaded on the far side", "", &[], Refused),
    row("5.2", "helm/repository-one-chart-mistyped", "", "failed (status 16: helm): collection error: chart \"tinny\" matching 1.0.0 not found in shelf ind", &["no archive"], NotAsked),
    good("5.2", "helm/repository-same-name-other-url", NotAsked),
    row("5.2", "helm/repository-unreachable", "", "failed (status 16: helm): collection error: invalid chart repository \"", &["no archive"], NotAsked),
    row("5.2", "helm/repository-version-missing", "", "failed (status 16: helm): collection error: chart \"simple\" matching 9.9.9 not found in shelf in", &["no archive"], NotAsked),
    // 5.2, platform
    row("5.2", "platform/blocked-component", "", "", &["line 6, column 9: component `installer` of release 4.99.1 is not there: `blockedImages` (line 10) takes it out"], NotAsked),
    row("5.2", "platform/channel-mistyped", "", "failed (status 2: release): collection error: [GetReleaseReferenceImages] no release images fou", &["no archive"], NotAsked),
    row("5.2", "platform/channel-mistyped-warm", "", "failed (status 2: release): collection error: [GetReleaseReferenceImages] no release images fou", &["no archive"], NotAsked).after(&[("platform/channel-mistyped-warm", "mirror_000001-0")]),
    row("5.2", "platform/component-missing", "", "did not mirror `127.0.0.1:5100/openshift-release-dev/ocp-v4.0-art-dev@", &["no archive"], NotAsked),
    row("5.2", "platform/component-missing-beside-an-image", "", "did not mirror `127.0.0.1:5100/openshift-release-dev/ocp-v4.0-art-dev@", &["no archive"], NotAsked),
    good("5.2", "platform/component-missing-then-retry", Whole),
    row("5.2", "platform/component-missing-warm", "", "did not mirror `127.0.0.1:5100/openshift-release-dev/ocp-v4.0-art-dev@", &["no archive"], NotAsked).after(&[("platform/component-missing-warm", "mirror_000001-0")]),
    row("5.2", "platform/component-unsigned", "", "failed (status 1: generic): unable to add image blobs to the archive : archive error: error whe", &["line 6, column 15: channel `stable-4.99` (amd64) has no update graph here"], NotAsked),
    good("5.2", "platform/component-unsigned-remove-signatures", Whole),
    good("5.2", "platform/component-unsigned-then-remove-signatures", Whole),
    good("5.2", "platform/d2m-component-lost", Refused),
    good("5.2", "platform/d2m-wider-range", Refused),
    good("5.2", "platform/d2m-without-key", Refused),
    good("5.2", "platform/graph", Whole),
    row("5.2", "platform/graph-base-image-missing", "", "failed (status 2: release): collection error: [ReleaseImageCollector] error processing graph im", &["no archive"], NotAsked),
    good("5.2", "platform/graph-d2m-component-lost", Refused),
    row("5.2", "platform/graph-override", "", "failed (status 2: release): collection error: [ReleaseImageCollector] error processing graph im", &["no archive"], NotAsked),
    good("5.2", "platform/graph-override-cached", Whole).after(&[("platform/graph", "mirror_000001")]),
    row("5.2", "platform/graph-server-down", "", "failed (status 2: release): collection error: [GetReleaseReferenceImages] no release images fou", &["no archive"], NotAsked),
    row("5.2", "platform/graph-server-down-warm", "", "failed (status 2: release): collection error: [GetReleaseReferenceImages] no release images fou", &["no archive"], NotAsked).after(&[("platform/graph-server-down-warm", "mirror_000001-0")]),
    good("5.2", "platform/head-only", Whole),
    row("5.2", "platform/max-not-in-graph", "", "", &["line 8, column 21: release 4.99.9 (`maxVersion`) is not in channel `stable-4.99`"], NotAsked),
    row("5.2", "platform/min-and-max-not-in-graph", "", "failed (status 2: release): collection error: [GetReleaseReferenceImages] no release images fou", &["no archive"], NotAsked),
    row("5.2", "platform/one-of-two-channels-mistyped", "", "failed (status 2: release): collection error: [GetReleaseReferenceImages] error list [[GetRelea", &["no archive"], NotAsked),
    row("5.2", "platform/range-upside-down", "line 7, column 21: `minVersion` 4.99.2 is above `maxVersion` 4.99.1", "failed (status 2: release): collection error: [GetReleaseReferenceImages] no release images fou", &["no archive"], NotAsked),
    good("5.2", "platform/release-digest", Whole),
    good("5.2", "platform/release-digest-ignore-signature", Whole),
    row("5.2", "platform/release-missing", "", "failed (status 2: release): collection error: [ReleaseImageCollector] copy release index image:", &["no archive"], NotAsked),
    good("5.2", "platform/release-missing-then-clean-retry", Whole),
    row("5.2", "platform/release-missing-then-retry", "", "failed (status 2: release): collection error: [ReleaseImageCollector] failed to find release im", &["no archive"], NotAsked),
    row("5.2", "platform/release-tag", "line 5, column 14: release `127.0.0.1:5100/openshift-release-dev/ocp-release:4.99.1-x86_64` is named by tag: `", "failed (status 2: release): collection error: retrieving digest get manifest: error when creati", &["no archive"], NotAsked),
    row("5.2", "platform/release-tag-https", "line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` is named by tag: `oc-mirr", "", &["line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` has no digest to be judge"], NotAsked),
    row("5.2", "platform/release-tag-https-source-reachable", "line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` is named by tag: `oc-mirr", "", &["line 5, column 14: release `quay.io/openshift-release-dev/ocp-release:4.99.1-x86_64` has no digest to be judge"], NotAsked),
    good("5.2", "platform/releases", Whole),
    good("5.2", "platform/releases-next", Whole).after(&[("platform/releases", "mirror_000001")]),
    good("5.2", "platform/releases-next-only", Whole).after(&[("platform/releases", "mirror_000001"), ("platform/releases-next", "mirror_000001"), ("platform/releases-nothing-new", "mirror_000001")]),
    good("5.2", "platform/releases-nothing-new", Whole).after(&[("platform/releases", "mirror_000001"), ("platform/releases-next", "mirror_000001")]),
    row("5.2", "platform/shortest-path-none", "", "", &["line 6, column 9: channel `stable-4.99` has no path of updates from 4.99.1 to 4.99.3"], NotAsked),
    row("5.2", "platform/signature-missing", "", "failed (status 2: release): collection error: [GenerateReleaseSignatures] no signature found fo", &["no archive"], NotAsked),
    row("5.2", "platform/signature-missing-warm", "", "failed (status 2: release): collection error: [GenerateReleaseSignatures] no signature found fo", &["no archive"], NotAsked).after(&[("platform/signature-missing-warm", "mirror_000001-0")]),
    row("5.2", "platform/signature-of-another-release", "", "", &["line 6, column 9: the signature of release 4.99.2 is that of another release (127.0.0.1:5100/openshift-release"], NotAsked),
    good("5.2", "platform/signature-preplaced", Whole),
    row("5.2", "platform/signature-server-down", "", "failed (status 2: release): collection error: http request Get \"", &["no archive"], NotAsked),
    row("5.2", "platform/tag-moved", "", "", &["line 6, column 9: release 4.99.2 is not there: `openshift/release-images:4.99.2-x86_64` is"], NotAsked),
    row("5.2", "platform/tag-moved-then-back", "", "", &["line 6, column 9: component `installer` of release 4.99.2 is not there (", "line 6, column 9: component `machine-os-content` of release 4.99.2 is not there ("], NotAsked).after(&[("platform/tag-moved-then-back", "mirror_000001-1")]),
    good("5.2", "platform/tag-moved-then-back-clean", Whole).after(&[("platform/tag-moved-then-back-clean", "mirror_000001-1")]),
];
