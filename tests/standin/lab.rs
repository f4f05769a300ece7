//! A folder, two registries and a stand-in that is told which release to play.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use mimeograph_manifest::io::oc_mirror::port::Port;
use mimeograph_tests::registry::Registry;

/// The port of the recorded runs is free for nobody else to guess; each lab takes its own.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) source: Registry,
    pub(crate) target: Registry,
    pub(crate) port: u16,
    pub(crate) release: &'static str,
}

/// What a run left: its status, and stdout and stderr as one text.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) text: String,
}

impl Lab {
    pub(crate) fn new(release: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let program = dir.path().join("bin/oc-mirror");
        let built = env!("CARGO_BIN_EXE_oc-mirror-standin");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).unwrap();
        }
        let lab = Self {
            dir,
            source: Registry::start(),
            target: Registry::start(),
            port: Port::choose(&[]).unwrap().number,
            release,
        };
        lab.set("");
        lab
    }

    /// A lab whose source holds the images of the additional-image recordings.
    pub(crate) fn with_all_kinds(release: &'static str) -> Self {
        let lab = Self::new(release);
        for archive in [
            "4.17/additional/blocked-substring",
            "5.2/additional/kinds",
            "5.2/additional/target-repo",
        ] {
            lab.source
                .put_archive(&data(&format!("oc-mirror-{archive}/mirror_000001.tar")));
        }
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Write the settings beside the program.
    pub(crate) fn set(&self, lines: &str) {
        let resolve = format!("RESOLVE=quay.io={}", self.source.host());
        let text = format!("VERSION={}\n{resolve}\n{lines}\n", self.release);
        fs::write(self.path("bin/oc-mirror.settings"), text).unwrap();
    }

    pub(crate) fn misbehave(&self, misdeed: &str) {
        self.set(&format!("MISBEHAVE={misdeed}"));
    }

    /// Write an image set in which the recorded hosts are replaced.
    pub(crate) fn image_set(&self, text: &str) {
        fs::write(self.path("imageset.yaml"), self.localise(text)).unwrap();
    }

    /// An image set of these additional images.
    pub(crate) fn images(&self, names: &[&str]) {
        let list: Vec<String> = names
            .iter()
            .map(|name| format!("    - name: 127.0.0.1:5100/{name}"))
            .collect();
        let list = list.join(
            "
",
        );
        self.image_set(&format!(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n{list}\n"
        ));
    }

    pub(crate) fn m2d(&self, extra: &[&str]) -> Ended {
        self.run(&self.m2d_arguments(extra))
    }

    pub(crate) fn m2d_arguments(&self, extra: &[&str]) -> Vec<String> {
        let out = format!("file://{}", self.path("bundle").display());
        let mut all = self.v2_arguments("cache", &["--src-tls-verify=false"]);
        all.extend(extra.iter().map(|&argument| argument.to_owned()));
        all.push(out);
        all
    }

    pub(crate) fn d2m(&self, extra: &[&str]) -> Ended {
        self.d2m_to("", extra)
    }

    pub(crate) fn d2m_to(&self, namespace: &str, extra: &[&str]) -> Ended {
        let from = format!("file://{}", self.path("in").display());
        let mut all = self.v2_arguments("cache2", &["--dest-tls-verify=false", "--from", &from]);
        all.extend(extra.iter().map(|&argument| argument.to_owned()));
        all.push(format!("docker://{}{namespace}", self.target.host()));
        self.run(&all)
    }

    /// Move what mirror-to-disk wrote to where disk-to-mirror looks.
    pub(crate) fn carry(&self) {
        let _ = fs::create_dir(self.path("in"));
        fs::rename(self.archive(), self.path("in/mirror_000001.tar")).unwrap();
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.path("bundle/mirror_000001.tar")
    }

    pub(crate) fn run(&self, arguments: &[String]) -> Ended {
        let mut child = self.start(arguments);
        let status = child.wait().unwrap().code();
        Ended {
            status,
            text: fs::read_to_string(self.path("output")).unwrap(),
        }
    }

    pub(crate) fn start(&self, arguments: &[String]) -> Child {
        let _ = fs::remove_file(self.path("output"));
        let output: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("output"))
            .unwrap();
        self.command(arguments)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap()
    }

    pub(crate) fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(self.path("bin/oc-mirror"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.path("home"));
        if self.release == "4.17" && arguments.iter().any(|argument| argument == "--v2") {
            let cache = if arguments.iter().any(|argument| argument == "--from") {
                "cache2"
            } else {
                "cache"
            };
            command.env("OC_MIRROR_CACHE", self.path(cache));
        }
        command
    }

    /// Recorded hosts and port to this lab's.
    pub(crate) fn localise(&self, text: &str) -> String {
        text.replace("127.0.0.1:5100", &self.source.host())
            .replace("127.0.0.1:5101", &self.target.host())
    }

    /// This lab's hosts, port and folder to the recorded ones.
    pub(crate) fn recorded(&self, text: &str) -> String {
        text.replace(&self.source.host(), "127.0.0.1:5100")
            .replace(&self.target.host(), "127.0.0.1:5101")
            .replace(&format!("localhost:{}", self.port), "localhost:23999")
            .replace(&self.dir.path().display().to_string(), "/mimeograph")
    }

    fn v2_arguments(&self, cache: &str, extra: &[&str]) -> Vec<String> {
        let mut all = vec![
            "--v2".to_owned(),
            "-c".to_owned(),
            "imageset.yaml".to_owned(),
        ];
        all.extend(extra.iter().map(|&argument| argument.to_owned()));
        if self.release != "4.17" {
            all.extend([
                "--cache-dir".to_owned(),
                self.path(cache).display().to_string(),
            ]);
        }
        all.extend(["-p".to_owned(), self.port.to_string()]);
        all
    }
}

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(data(name)).unwrap()
}
