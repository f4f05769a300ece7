//! A recorded run of the real `oc-mirror`, and what Mimeograph makes of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use mimeograph_manifest::archive::{Contents, Headers, inspect};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::imageset::{Around, Findings, ImageSet, traps};
use mimeograph_manifest::inventory::{Before, Structure};
use mimeograph_manifest::io::oc_mirror::image::FailedImage;
use mimeograph_manifest::io::oc_mirror::outcome::{Outcome, judge as judge_run};
use mimeograph_manifest::io::oc_mirror::summary::LogSummary;
use mimeograph_manifest::io::process::{Ended, Status};
use mimeograph_manifest::manifest::Generation;
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::wish::evidence::{Archives, Evidence};
use mimeograph_manifest::wish::{Judgement, Question, judge};

/// A recorded run: its version, and its folder in `tests/data/oc-mirror-<version>`.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub version: &'static str,
    pub name: &'static str,
}

/// What the recordings of one direction show.
pub struct Recorded {
    pub imageset: ImageSet,
    pub outcome: Outcome,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Case {
    pub fn folder(self) -> PathBuf {
        data()
            .join(format!("oc-mirror-{}", self.version))
            .join(self.name)
    }

    /// 5.2 was built from source and does not know its version.
    pub fn minor(self) -> Option<(u32, u32)> {
        (self.version == "4.17").then_some((4, 17))
    }

    pub fn imageset(self) -> ImageSet {
        let path = self.folder().join("imageset.yaml");
        ImageSet::parse(&read(&path)).unwrap_or_else(|error| panic!("{self:?}: {error:?}"))
    }

    /// What is refused before the start.
    pub fn traps(self) -> Findings {
        let around = Around {
            minor: self.minor(),
            local_dir: Path::new("/mimeograph"),
        };
        traps(&self.imageset(), around)
    }

    /// How the run is judged by its log and its error files; `log` is `mirror-to-disk.log`, for instance.
    pub fn outcome(self, log: &str) -> Outcome {
        let text = read(&self.folder().join(log));
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines: Vec<&str> = text.lines().skip(1).collect();
        let last = lines.pop().unwrap_or_default();
        let status = last.strip_prefix("exit status: ").map(str::parse);
        let Some(Ok(status)) = status else {
            panic!("{self:?}: {log} ends with {last:?}");
        };
        let mut summary = LogSummary::default();
        for line in lines {
            summary.take(line);
        }
        let ended = Ended {
            status: Status::Exited(status),
            timed_out: false,
            interrupted: false,
            duration: Duration::ZERO,
        };
        let failed = self.failed(log, summary.begun.as_deref().unwrap_or_default());
        judge_run(Generation::V2, self.minor(), &ended, &summary, &failed)
    }

    /// The images of the run's own error files.
    fn failed(self, log: &str, begun: &str) -> Vec<FailedImage> {
        let side = if log.starts_with("mirror-to-disk") {
            ["m2d-mirroring_errors_", "mirroring_errors_"]
        } else {
            ["d2m-mirroring_errors_", "d2m-mirroring_errors_"]
        };
        let mut failed = Vec::new();
        for entry in fs::read_dir(self.folder()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let stamp = side.iter().find_map(|begin| name.strip_prefix(begin));
            if stamp.is_some_and(|stamp| stamp >= begun) {
                let text = String::from_utf8(read(&path)).unwrap();
                failed.extend(text.lines().filter_map(FailedImage::parse));
            }
        }
        failed
    }

    /// An archive's bytes: `mirror_000001`, or `mirror_000001-1` of a second run.
    pub fn archive(self, name: &str) -> Option<Vec<u8>> {
        let plain = self.folder().join(format!("{name}.tar"));
        if plain.exists() {
            return Some(read(&plain));
        }
        let packed = File::open(plain.with_extension("tar.gz")).ok()?;
        let mut bytes = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    /// What becomes of an archive; `Err` where it cannot even be read.
    pub fn judgement(
        self,
        name: &str,
        imageset: &ImageSet,
        before: &Before,
    ) -> Option<Result<(Judgement, Contents), String>> {
        let bytes = self.archive(name)?;
        let opened = || Cursor::new(bytes.as_slice());
        let headers = Headers::new("mirror_000001.tar", Generation::V2, opened());
        let contents = match inspect([headers], &mut |_| ()) {
            Ok(contents) => contents,
            Err(error) => return Some(Err(error.to_string())),
        };
        let mut evidence = Archives::new(&contents.places, vec![opened()]);
        let judgement = self.judge(imageset, &contents.structure, before, &mut evidence);
        Some(Ok((judgement, contents)))
    }

    pub fn judge(
        self,
        imageset: &ImageSet,
        structure: &Structure,
        before: &Before,
        evidence: &mut dyn Evidence,
    ) -> Judgement {
        let question = Question {
            imageset,
            structure,
            minor: self.minor(),
            failed: &[],
            before,
            release_keys: &release_keys(),
            ignores_release_signatures: self.name.ends_with("ignore-signature"),
        };
        judge(&question, evidence).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// What arrived: the digest under each repository and tag.
    pub fn target(self) -> BTreeMap<(String, String), Digest> {
        let text = String::from_utf8(read(&self.folder().join("target.txt"))).unwrap();
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (repository, tag) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(((repository, tag), Digest::from_oci(words.next()?).ok()?))
        });
        lines.collect()
    }
}

fn release_keys() -> ReleaseKeys {
    let armoured = String::from_utf8(read(&data().join("release-key.asc"))).unwrap();
    ReleaseKeys::parse(&armoured).unwrap()
}
