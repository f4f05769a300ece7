//! A recorded run of the real `oc-mirror`, and what Mimeograph makes of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
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
use mimeograph_manifest::manifest::{Flag, Generation, Producer};
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::wish::evidence::{Archives, Evidence};
use mimeograph_manifest::wish::{Judgement, Question, judge};

/// A recorded run: its version, and its folder in `tests/data/oc-mirror-<version>`.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub version: &'static str,
    pub name: &'static str,
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

    fn producer(self) -> Producer {
        let ignores = self.name.ends_with("ignore-signature");
        let flag = Flag::IgnoreReleaseSignature.as_str().to_owned();
        let version = if self.minor().is_some() {
            "4.17.0"
        } else {
            "v0.0.0-unknown"
        };
        Producer {
            mimeograph: String::new(),
            oc_mirror: version.to_owned(),
            oc_mirror_sha256: Digest::of(b""),
            generation: Generation::V2,
            flags: if ignores { vec![flag] } else { Vec::new() },
        }
    }

    /// Its image set, or why it cannot be read.
    pub fn imageset(self) -> Result<ImageSet, String> {
        let path = self.folder().join("imageset.yaml");
        ImageSet::parse(&read(&path)).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            source.unwrap_or_else(|| error.to_string())
        })
    }

    /// What is refused before the start.
    pub fn traps(self) -> Result<Findings, String> {
        let around = Around {
            minor: self.minor(),
            local_dir: Path::new("/mimeograph"),
        };
        Ok(traps(&self.imageset()?, around))
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
        let names = fs::read_dir(self.folder()).unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let mut failed = Vec::new();
        for path in names.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stamp = side.iter().find_map(|begin| name.strip_prefix(begin));
            if stamp.is_some_and(|stamp| stamp >= begun) {
                let text = String::from_utf8_lossy(&read(&path)).into_owned();
                failed.extend(text.lines().filter_map(FailedImage::parse));
            }
        }
        failed
    }

    /// What the run says that it copied, where there are charts.
    fn copied(self, imageset: &ImageSet) -> Vec<String> {
        let text = read(&self.folder().join("mirror-to-disk.log"));
        let mut summary = LogSummary::default();
        for line in String::from_utf8_lossy(&text).lines().skip(1) {
            summary.take(line);
        }
        if imageset.has_charts() {
            summary.copied
        } else {
            Vec::new()
        }
    }

    /// An archive's bytes: `mirror_000001`, or `mirror_000001-1` of a second run.
    pub fn archive(self, name: &str) -> Option<Vec<u8>> {
        let plain = self.folder().join(format!("{name}.tar"));
        if plain.exists() {
            return Some(read(&plain));
        }
        let packed = File::open(plain.with_extension("tar.gz")).ok()?;
        let mut bytes = Vec::new();
        let unpacked = GzDecoder::new(packed).read_to_end(&mut bytes);
        unpacked.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        Some(bytes)
    }

    /// What becomes of an archive; `Err` where it cannot even be read.
    pub fn judgement(
        self,
        name: &str,
        imageset: &ImageSet,
        before: &Before,
    ) -> Option<Result<(Judgement, Contents), String>> {
        self.edited(name, imageset, before, &|_, bytes| bytes)
    }

    /// The same with files of the working directory that are other than they were; `edit` is given each one's path and bytes.
    pub fn edited(
        self,
        name: &str,
        imageset: &ImageSet,
        before: &Before,
        edit: &dyn Fn(&str, Vec<u8>) -> Vec<u8>,
    ) -> Option<Result<(Judgement, Contents), String>> {
        let bytes = self.archive(name)?;
        let opened = || Cursor::new(bytes.as_slice());
        let headers = Headers::new("mirror_000001.tar", Generation::V2, opened());
        let contents = match inspect([headers], &mut |_| ()) {
            Ok(contents) => contents,
            Err(error) => return Some(Err(error.to_string())),
        };
        let archives = Archives::new(&contents.places, vec![opened()]);
        let mut evidence = Edited { archives, edit };
        let judgement = self.judge(imageset, &contents.structure, before, &mut evidence);
        Some(Ok((judgement, contents)))
    }

    /// What becomes of a run of which no archive was recorded, by the catalogue and what is left of the working directory.
    /// Every image of the catalogue is taken to be there: what is judged is the selection.
    pub fn selection(self, imageset: &ImageSet) -> Judgement {
        let (parts, structure) = Parts::of(self);
        self.judge(imageset, &structure, &Before::default(), &mut { parts })
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
            producer: &self.producer(),
            incomplete: &[],
            before,
            copied: &self.copied(imageset),
            release_keys: &release_keys(),
        };
        judge(&question, evidence).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// What arrived: the digest under each repository and tag.
    pub fn target(self) -> BTreeMap<(String, String), Digest> {
        let text = read(&self.folder().join("target.txt"));
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (repository, tag) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(((repository, tag), Digest::from_oci(words.next()?).ok()?))
        });
        lines.collect()
    }
}

/// Archives in which files of the working directory are other than they were.
struct Edited<'a, E> {
    archives: E,
    edit: &'a dyn Fn(&str, Vec<u8>) -> Vec<u8>,
}

impl<E: Evidence> Evidence for Edited<'_, E> {
    fn files(&self, below: &str) -> Vec<String> {
        self.archives.files(below)
    }

    fn file(&mut self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.archives.file(path, limit)?;
        Ok(bytes.map(|bytes| (self.edit)(path, bytes)))
    }

    fn blob(&mut self, digest: &Digest, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.archives.blob(digest, limit)
    }
}

fn release_keys() -> ReleaseKeys {
    let armoured = read(&data().join("release-key.asc"));
    let keys = ReleaseKeys::parse(&String::from_utf8_lossy(&armoured));
    keys.unwrap_or_else(|error| panic!("release-key.asc: {error}"))
}

/// The digest of `ops/catalog:v1`.
const CATALOG: &str = "fc4a2da0cc65271ef470b9cfa92620f75d716faab055055000e4133c1f2da596";

/// Files of a working directory.
struct Parts(BTreeMap<String, Vec<u8>>);

impl Parts {
    fn of(case: Case) -> (Self, Structure) {
        let mut files = BTreeMap::new();
        for package in ["alpha", "beta", "gamma"] {
            let bytes = read(&data().join("catalog").join(package).join("catalog.json"));
            for folder in ["hold-operator", "operator-catalogs"] {
                let below = if folder == "hold-operator" {
                    "configs"
                } else {
                    "catalog-config/configs"
                };
                let path = format!("{folder}/catalog/{CATALOG}/{below}/{package}/catalog.json");
                files.insert(path, bytes.clone());
            }
        }
        let mut structure = Structure::default();
        let mut tag = |repository: &str, tag: String, hex: &str| {
            let digest = hex.parse().unwrap_or_else(|_| panic!("{hex} is no digest"));
            let repository = structure
                .repositories
                .entry(repository.to_owned())
                .or_default();
            repository.tags.insert(tag, digest);
        };
        tag("ops/catalog", "v1".into(), CATALOG);
        let images: serde_json::Value =
            serde_json::from_slice(&read(&data().join("catalog/images.json")))
                .unwrap_or_else(|error| panic!("images.json: {error}"));
        for image in images.as_array().into_iter().flatten() {
            let text = |name: &str| image[name].as_str().unwrap_or_default();
            let hex = text("digest").trim_start_matches("sha256:");
            for style in [hex.to_owned(), format!("sha256-{hex}")] {
                tag(text("repo"), style, hex);
            }
        }
        let working = case.folder().join("working-dir");
        for path in all_files(&working) {
            let below = path
                .strip_prefix(&working)
                .unwrap_or(&path)
                .display()
                .to_string();
            let bytes = read(&path);
            if let Some((filter, "digest")) = below.rsplit_once('/') {
                let filter = filter.rsplit('/').next().unwrap_or_default().to_owned();
                tag(
                    "ops/catalog",
                    filter,
                    String::from_utf8_lossy(&bytes).trim(),
                );
            }
            files.insert(below, bytes);
        }
        (Self(files), structure)
    }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                all_files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

impl Evidence for Parts {
    fn files(&self, below: &str) -> Vec<String> {
        self.0
            .keys()
            .filter(|path| path.starts_with(below))
            .cloned()
            .collect()
    }

    fn file(&mut self, path: &str, _: u64) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }

    fn blob(&mut self, _: &Digest, _: u64) -> std::io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
