//! Both sides, what lies between them, and a plain model of what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use mimeograph_tests::gap::{Gap, Ran, copy_folder};

use super::judge::{Published, is_named};
use super::step::{Extent, Object, Step, Volume, Writer};
use crate::end::{self, files};
use crate::ground::{Ground, Side, done, layer, run};

/// Images that an image set may ask for.
const MOST: u8 = 4;

/// Everything.
pub(crate) struct World {
    ground: Ground,
    images: u8,
    /// Every bundle that was ever published, by number.
    pub(super) published: BTreeMap<u64, Published>,
    /// Whether any may have been pruned.
    pub(super) pruned: bool,
    /// Images that a run said are in the target: repository and digest.
    pub(super) promised: BTreeSet<(String, String)>,
    /// How far the far side came, as a run that ended well told.
    mark: Option<u64>,
    /// Volumes of which there is a copy.
    kept: BTreeSet<&'static str>,
}

impl World {
    pub(crate) fn new() -> Self {
        let ground = Ground::new();
        let gap = &ground.gap;
        fs::create_dir(gap.path("far")).unwrap();
        let far = fs::read_to_string(gap.path("disconnected.yaml")).unwrap();
        let near = gap.path("store").display().to_string();
        let far = far.replace(&near, &gap.path("far").display().to_string());
        fs::write(gap.path("disconnected.yaml"), far).unwrap();
        let second = fs::read_to_string(gap.path("connected.yaml")).unwrap();
        let second = second.replace("/connected/", "/second/");
        fs::write(gap.path("second.yaml"), second).unwrap();
        fs::create_dir(gap.path("kept")).unwrap();
        Self {
            ground,
            images: 2,
            published: BTreeMap::new(),
            pruned: false,
            promised: BTreeSet::new(),
            mark: None,
            kept: BTreeSet::new(),
        }
    }

    pub(super) fn gap(&self) -> &Gap {
        &self.ground.gap
    }

    /// Something happens; then all that must hold is looked at.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::AddImage => {
                self.images = (self.images + 1).min(MOST);
                crate::ground::ask_for(self.gap(), self.images);
            }
            Step::MoveTag { image, version } => self.move_tag(*image, *version),
            Step::Publish { writer, extent } => self.publish(*writer, extent)?,
            Step::PublishAtOnce => self.publish_at_once()?,
            Step::CarryAll => self.carry(|_| true, 0),
            Step::CarrySome { order, share } => {
                let taken = |number: u64| number % 100 < u64::from(*share);
                self.carry(taken, *order);
            }
            Step::Lose { kind, which } => {
                for path in self.objects(*kind, *which) {
                    fs::remove_file(path).unwrap();
                }
            }
            Step::Tamper { kind, which } => {
                for path in self.objects(*kind, *which) {
                    let mut bytes = fs::read(&path).unwrap();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    fs::write(path, bytes).unwrap();
                }
            }
            Step::Populate => self.populate().map(drop)?,
            Step::Prune => {
                self.pruned = true;
                self.look_after(Side::Connected, &["prune", "--keep-full", "1"])?;
            }
            Step::PruneFar => self.look_after(Side::Disconnected, &["prune"])?,
            Step::Repair => self.look_after(Side::Connected, &["check-store", "--repair"])?,
            Step::LoseNear(which) => {
                let chunks = files(&self.gap().path("store/chunks"));
                if let Some(chunk) = chunks.get(which % chunks.len().max(1)) {
                    fs::remove_file(chunk).unwrap();
                }
            }
            Step::Keep(volume) => self.keep(*volume),
            Step::Restore(volume) => self.restore(*volume),
        }
        self.nothing_promised_is_missing()
    }

    fn move_tag(&self, image: u8, version: u8) {
        let layers = [layer(0), layer(image), layer(100 + version)];
        let kept = if version == 0 { &layers[..2] } else { &layers };
        let repository = format!("apps/{image}");
        self.gap().source.put_image(&repository, "v1", kept);
    }

    fn publish(&mut self, writer: Writer, extent: &Extent) -> Result<(), String> {
        let arguments = match extent {
            Extent::New => vec!["run".to_owned()],
            Extent::Full => vec!["run".to_owned(), "--full".to_owned()],
            Extent::Since(which) => {
                let number = *which as u64 % (self.published.len() as u64 + 1) + 1;
                ["run", "--since-sequence", &number.to_string()]
                    .map(str::to_owned)
                    .into()
            }
        };
        let ran = self.bundler(writer, &arguments);
        self.judge_bundler(&ran)
    }

    fn bundler(&self, writer: Writer, arguments: &[String]) -> Ran {
        let side = match writer {
            Writer::First => "connected",
            Writer::Second => "second",
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = &self.gap().programs().bundler;
        mimeograph_tests::wrap::run(self.gap().command(program, side, &arguments)).unwrap()
    }

    fn judge_bundler(&mut self, ran: &Ran) -> Result<(), String> {
        is_named(ran)?;
        let new = self.look_at_the_near_store()?;
        if ran.status == 0 && new == 0 {
            return Err(format!("it ended well and published nothing: {ran}"));
        }
        Ok(())
    }

    fn publish_at_once(&mut self) -> Result<(), String> {
        let begin = |side| -> Child {
            let program = &self.gap().programs().bundler;
            let mut command = self.gap().command(program, side, &["run"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let both = [begin("connected"), begin("second")];
        let both = both.map(|child| {
            let output = child.wait_with_output().unwrap();
            Ran {
                command: "one of two bundlers at once".to_owned(),
                status: output.status.code().unwrap_or(-1),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }
        });
        both.iter().try_for_each(is_named)?;
        let new = self.look_at_the_near_store()?;
        // Two heartbeats of one second are the same bytes, and so one bundle.
        let ended_well = both.iter().filter(|ran| ran.status == 0);
        let told: BTreeSet<_> = ended_well.map(|ran| &ran.stdout).collect();
        if new < told.len() {
            let [one, other] = both;
            return Err(format!(
                "two say that they published, and one did: {one}\n{other}"
            ));
        }
        Ok(())
    }

    /// Carries objects to the far store. With an order of 0 in that of their names; else in another.
    fn carry(&self, is_taken: impl Fn(u64) -> bool, order: u64) {
        let (near, far) = (self.gap().path("store"), self.gap().path("far"));
        let mut objects = files(&near);
        objects.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
        let number = |path: &Path| -> u64 {
            let name = path.file_name().unwrap().to_string_lossy();
            let sum = name.bytes().fold(order, |sum, byte| {
                (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            sum >> 16
        };
        if order != 0 {
            objects.sort_by_key(|path| number(path));
        }
        for path in objects.iter().filter(|path| is_taken(number(path))) {
            let to = far.join(path.strip_prefix(&near).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(path, to).unwrap();
        }
    }

    /// One object of the far store, or those of one bundle.
    fn objects(&self, kind: Object, which: usize) -> Vec<PathBuf> {
        let far = self.gap().path("far");
        let ends = |ending: &str| {
            let mut found = files(&far.join("manifests"));
            found.retain(|path| path.extension().is_some_and(|end| end == ending));
            found
        };
        let objects = match kind {
            Object::Chunk => files(&far.join("chunks")),
            Object::Manifest | Object::Bundle => ends("json"),
            Object::Signature => ends("sig"),
        };
        let Some(one) = objects.get(which % objects.len().max(1)).cloned() else {
            return Vec::new();
        };
        if kind != Object::Bundle {
            return vec![one];
        }
        let number = one.file_stem().unwrap().to_string_lossy().into_owned();
        let mut all = files(&far.join("manifests"));
        all.retain(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(&number)
        });
        all
    }

    /// The populator runs. What it says it has applied is from now on promised.
    fn populate(&mut self) -> Result<Ran, String> {
        let before = end::mark(self.gap());
        let ran = run(self.gap(), Side::Disconnected, &["run", "--output", "json"]);
        is_named(&ran)?;
        self.the_state_is_of_the_stream(&ran)?;
        if ran.status != 0 {
            return Ok(ran);
        }
        let (told, now) = (ran.json(), end::mark(self.gap()));
        if now < self.mark {
            return Err(format!("from {:?} back to {now:?}: {ran}", self.mark));
        }
        if told["outcome"] == "applied" && now <= before {
            return Err(format!("applied, and the mark stays at {before:?}: {ran}"));
        }
        self.mark = now;
        let applied = told["result"]["applied"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for one in applied {
            self.promise(one["sequence"].as_u64().unwrap())?;
        }
        Ok(ran)
    }

    /// A command that keeps a store in order: it says why where it does not, and publishes nothing.
    fn look_after(&mut self, side: Side, arguments: &[&str]) -> Result<(), String> {
        let ran = run(self.gap(), side, arguments);
        is_named(&ran)?;
        match self.look_at_the_near_store()? {
            0 => Ok(()),
            new => Err(format!("{new} bundles were published: {ran}")),
        }
    }

    fn keep(&mut self, volume: Volume) {
        let kept = self.kept_at(volume);
        let _ = fs::remove_dir_all(&kept);
        let folder = self.gap().path(volume.folder());
        if folder.exists() {
            copy_folder(&folder, &kept).unwrap();
            self.kept.insert(volume.folder());
        }
    }

    fn restore(&mut self, volume: Volume) {
        let folder = self.gap().path(volume.folder());
        let _ = fs::remove_dir_all(&folder);
        if self.kept.contains(volume.folder()) {
            copy_folder(&self.kept_at(volume), &folder).unwrap();
        }
    }

    fn kept_at(&self, volume: Volume) -> PathBuf {
        self.gap()
            .path("kept")
            .join(volume.folder().replace('/', "-"))
    }

    /// Once everything is carried over, what the image set asks for is there, at its newest: the bundler goes on, and
    /// where the far side has lost what the deltas build on, a full bundle heals it.
    pub(crate) fn heals(&mut self) -> Result<(), String> {
        for extent in [Extent::New, Extent::Full] {
            let ran = self.bundler(Writer::First, &arguments(&extent));
            // One that was overtaken says so, and goes on from there the next time.
            if ran.status != 0 {
                done(&self.bundler(Writer::First, &arguments(&extent)))?;
            }
            self.look_at_the_near_store()?;
            let _ = fs::remove_dir_all(self.gap().path("far"));
            fs::create_dir(self.gap().path("far")).unwrap();
            self.carry(|_| true, 0);
            let ran = self.populate()?;
            if extent_is_full(&extent) || ran.status == 0 {
                done(&ran)?;
                self.nothing_promised_is_missing()?;
            }
        }
        for n in 1..=self.images {
            let sent = self.gap().source.digest_of(&format!("apps/{n}"), "v1");
            let arrived = self
                .gap()
                .target
                .digest_of(&format!("mirror/apps/{n}"), "v1");
            if sent != arrived {
                return Err(format!("apps/{n} is {arrived:?} instead of {sent:?}"));
            }
        }
        Ok(())
    }
}

fn arguments(extent: &Extent) -> Vec<String> {
    let mut arguments = vec!["run".to_owned()];
    if extent_is_full(extent) {
        arguments.push("--full".to_owned());
    }
    arguments
}

fn extent_is_full(extent: &Extent) -> bool {
    matches!(extent, Extent::Full)
}
