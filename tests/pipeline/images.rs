//! Both images: built by `buildah` from base images that are made of this machine, and run as a container runs them: their own
//! entrypoint, as a uid that nobody knows, over a root that cannot be written to, without capabilities (`bwrap`), against a real
//! registry and a real S3 server.
//!
//! The programs are compiled once, by cargo, and handed to the build as its first stage; `MIMEOGRAPH_IMAGES=whole` has the
//! Containerfile compile them, too, with this machine's Rust.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use mimeograph_manifest::digest::Digest;
use mimeograph_tests::gap::Ran;
use mimeograph_tests::servers::{DockerRegistry, Weed};
use serde_json::Value;

use crate::client;
use crate::lab::{Lab, done};
use crate::user::{as_user, run, tree};

const ID: u32 = 1_000_660_000;

/// `buildah` with a storage of its own.
struct Storage {
    folder: tempfile::TempDir,
}

impl Storage {
    fn new() -> Self {
        let storage = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        storage.base("builder", |root| {
            // The rest is this machine's, mounted while it builds.
            for name in ["usr", "tmp", "root", "etc"] {
                fs::create_dir(root.join(name)).unwrap();
            }
            for name in ["bin", "sbin", "lib", "lib64"] {
                symlink(format!("usr/{name}"), root.join(name)).unwrap();
            }
            // By which root's home is found.
            fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
            // By which Debian finds its C compiler.
            fs::create_dir(root.join("etc/alternatives")).unwrap();
            for (name, compiler) in [("cc", "gcc"), ("c++", "g++")] {
                let link = root.join("etc/alternatives").join(name);
                symlink(Path::new("/usr/bin").join(compiler), link).unwrap();
            }
        });
        storage.base("runtime", |root| {
            let libraries = root.join("lib/x86_64-linux-gnu");
            fs::create_dir_all(&libraries).unwrap();
            for name in ["lib64", "proc", "dev", "tmp"] {
                fs::create_dir(root.join(name)).unwrap();
            }
            for name in ["libc.so.6", "libm.so.6", "libgcc_s.so.1"] {
                fs::copy(
                    Path::new("/lib/x86_64-linux-gnu").join(name),
                    libraries.join(name),
                )
                .unwrap();
            }
            let loader = "lib64/ld-linux-x86-64.so.2";
            fs::copy(Path::new("/").join(loader), root.join(loader)).unwrap();
        });
        storage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn buildah(&self, arguments: &[&str]) -> String {
        let ran = self.tried(arguments);
        done(&ran);
        ran.stdout.trim().to_owned()
    }

    fn tried(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(self.path("storage"))
            .arg("--runroot")
            .arg(self.path("run"))
            .args(["--storage-driver", "vfs"])
            .args(arguments);
        run(command)
    }

    fn base(&self, name: &str, fill: impl FnOnce(&Path)) {
        let root = self.path(name);
        fs::create_dir(&root).unwrap();
        fill(&root);
        let container = self.buildah(&["from", "scratch"]);
        self.buildah(&["add", "--quiet", &container, root.to_str().unwrap(), "/"]);
        let tag = format!("localhost/{name}:1");
        self.buildah(&["commit", "--quiet", &container, &tag]);
    }

    /// Builds one of the images of the two Containerfiles.
    ///
    /// `program` is put in; without one it is compiled within the build.
    fn build(
        &self,
        side: &str,
        program: Option<&Path>,
        name: &str,
        oc_mirror: &Path,
        sha256: &str,
    ) -> Ran {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let file = root.join(format!("deploy-{side}/Containerfile"));
        let context = self.path(&format!("{side}-context"));
        fs::create_dir_all(context.join("image")).unwrap();
        fs::copy(oc_mirror, context.join("image/oc-mirror")).unwrap();
        let mut arguments = vec![
            "bud".to_owned(),
            "--isolation=chroot".into(),
            "--pull-never".into(),
            "--timestamp=0".into(),
            "--volume=/usr:/usr:ro".into(),
            "--volume=/etc/ssl:/etc/ssl:ro".into(),
            "--build-arg=BUILDER_IMAGE=localhost/builder:1".into(),
            "--build-arg=RUNTIME_IMAGE=localhost/runtime:1".into(),
            format!("--build-arg=OC_MIRROR_SHA256={sha256}"),
            format!("--tag=localhost/{name}:1"),
            format!("--file={}", file.display()),
        ];
        if let Some(program) = program {
            let built = self.path(&format!("{side}-built"));
            let place = built.join("out/usr/local/bin");
            fs::create_dir_all(&place).unwrap();
            fs::copy(program, place.join(name)).unwrap();
            arguments.push(format!("--build-context=build={}", built.display()));
        } else {
            for part in [
                "Cargo.toml",
                "Cargo.lock",
                "mimeograph-manifest",
                "mimeograph-bundler",
                "mimeograph-populator",
                "tests",
            ] {
                let copied = Command::new("cp")
                    .arg("-r")
                    .arg(root.join(part))
                    .arg(&context)
                    .status();
                assert!(copied.unwrap().success(), "{part}");
            }
            let home = std::env::var("HOME").unwrap();
            for folder in [".cargo", ".rustup"] {
                arguments.push(format!("--volume={home}/{folder}:/root/{folder}"));
            }
        }
        arguments.push(context.display().to_string());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.tried(&arguments)
    }

    /// An image, unpacked, and what it says of itself.
    fn image(&self, name: &str) -> Image {
        let tag = format!("localhost/{name}:1");
        let container = self.buildah(&["from", "--pull-never", &tag]);
        let root = PathBuf::from(self.buildah(&["mount", &container]));
        // The way to it is closed to others.
        for folder in root
            .ancestors()
            .take_while(|folder| folder.starts_with(self.folder.path()))
        {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let told = self.buildah(&["inspect", "--type=image", &tag]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let config = told["OCIv1"]["config"].clone();
        Image { root, config }
    }
}

struct Image {
    root: PathBuf,
    config: Value,
}

impl Image {
    fn words(&self, member: &str) -> Vec<String> {
        let words = self.config[member].as_array().into_iter().flatten();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    }

    /// As a container: `arguments` in place of the image's own, where there are any.
    fn run(&self, lab: &Lab, side: &str, arguments: &[&str], more: &[&str]) -> Ran {
        let folder = lab.path("").display().to_string();
        let mut command = Command::new("bwrap");
        command
            .arg("--ro-bind")
            .arg(&self.root)
            .arg("/")
            .args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"])
            .args(["--bind", &folder, &folder])
            .args(more)
            .args([
                "--unshare-user",
                "--unshare-pid",
                "--unshare-ipc",
                "--die-with-parent",
            ])
            .args(["--uid", &ID.to_string(), "--cap-drop", "ALL"])
            .args(["--chdir", self.config["WorkingDir"].as_str().unwrap()])
            .args(["--clearenv", "--setenv", "HOME", "/tmp"]);
        let config = lab.path(&format!("{side}.yaml")).display().to_string();
        command.args(["--setenv", "MIMEOGRAPH_CONFIG", &config]);
        for (name, value) in &lab.environment {
            command.args(["--setenv", name, value]);
        }
        for variable in self.words("Env") {
            let (name, value) = variable.split_once('=').unwrap();
            command.args(["--setenv", name, value]);
        }
        command.arg("--").args(self.words("Entrypoint"));
        if arguments.is_empty() {
            command.args(self.words("Cmd"));
        } else {
            command.args(arguments);
        }
        run(as_user(&ID.to_string(), &command))
    }
}

fn give_away(folder: &Path) {
    for path in tree(folder).keys() {
        lchown(path, Some(ID), Some(ID)).unwrap();
    }
}

#[test]
fn real_images_go_the_whole_way() {
    let storage = Storage::new();
    let (source, target, weed) = (
        DockerRegistry::start(),
        DockerRegistry::start(),
        Weed::start(),
    );
    let lab = Lab::with(|gap| {
        for repository in ["apps/1", "apps/2"] {
            let image = client::read(&gap.source_host, repository, "v1");
            client::push(&source.host, repository, &image);
        }
        gap.source_host.clone_from(&source.host);
        gap.target_host.clone_from(&target.host);
        gap.ask_for(&["apps/1:v1", "apps/2:v1"]).unwrap();
        for (name, value) in Weed::environment() {
            gap.environment.push((name.to_owned(), value.to_owned()));
        }
        gap.configure(&format!(
            "s3:\n  bucket:\n    name: {}\n    endpoint: {}/\n    subDir: one\n",
            Weed::BUCKET,
            weed.endpoint
        ))
        .unwrap();
    });
    // The image's own `oc-mirror`, from its PATH.
    let ours = format!("path: {}", lab.path("bin/oc-mirror").display());
    for side in ["connected", "disconnected"] {
        crate::trouble::configure(&lab, side, &ours, "path: oc-mirror");
    }
    let found =
        mimeograph_tests::gap::real_oc_mirror().unwrap_or_else(|| lab.programs().standin.clone());
    // It may be built again meanwhile, which can take long.
    let oc_mirror = lab.path("oc-mirror-of-the-images");
    fs::copy(found, &oc_mirror).unwrap();
    let sha256 = Digest::of(&fs::read(&oc_mirror).unwrap()).to_string();
    let whole = std::env::var("MIMEOGRAPH_IMAGES").is_ok_and(|what| what == "whole");
    let programs = lab.programs();
    let sides = [
        ("connected", &programs.bundler, "mimeograph-bundler"),
        ("disconnected", &programs.populator, "mimeograph-populator"),
    ];
    for (side, program, name) in sides {
        let other = Digest::of(b"other").to_string();
        let wrong = storage.build(side, Some(program), name, &oc_mirror, &other);
        let is_told = wrong.stderr.contains("did NOT match");
        assert!(wrong.status != 0 && is_told, "another oc-mirror: {wrong}");
        let program = (!whole).then_some(&**program);
        done(&storage.build(side, program, name, &oc_mirror, &sha256));
    }
    let [bundler, populator] =
        ["mimeograph-bundler", "mimeograph-populator"].map(|name| storage.image(name));
    for image in [&bundler, &populator] {
        assert_eq!(image.words("Cmd"), ["run"]);
        assert_eq!(image.config["User"], "65532:65532");
        assert!(image.config["Labels"]["org.opencontainers.image.version"].is_string());
        // Nothing but what is needed.
        let mut names: Vec<_> = fs::read_dir(image.root.join("usr/local/bin"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(!image.root.join("bin/sh").exists());
        assert!(image.root.join("etc/pki/tls/certs/ca-bundle.crt").exists());
    }
    lab.let_others_in();
    give_away(&lab.path("."));
    // A root that can be written to would show here.
    let before = tree(&bundler.root);
    done(&bundler.run(&lab, "connected", &["check"], &[]));
    done(&bundler.run(&lab, "connected", &[], &[]));
    assert_eq!(tree(&bundler.root), before);
    done(&populator.run(&lab, "disconnected", &["check"], &[]));
    done(&populator.run(&lab, "disconnected", &[], &[]));
    for repository in ["apps/1", "apps/2"] {
        assert_eq!(
            client::read(&target.host, &format!("mirror/{repository}"), "v1"),
            client::read(&source.host, repository, "v1")
        );
    }

    // The credentials where the `podman run` of the script mounted them.
    let docker = lab.path("docker");
    fs::create_dir(&docker).unwrap();
    let secret = docker.join("config.json");
    fs::write(&secret, "{\"auths\": {}}").unwrap();
    let mount = ["--ro-bind", docker.to_str().unwrap(), "/root/.docker"];
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = bundler.run(&lab, "connected", &["run", "--full"], &mount);
    assert_ne!(ran.status, 0, "{ran}");
    assert!(
        ran.stderr.contains("/root/.docker/config.json") && ran.stderr.contains("uid 1000660000"),
        "{ran}"
    );
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    done(&bundler.run(&lab, "connected", &["run", "--full"], &mount));
    let unknown = bundler.run(&lab, "connected", &["no-such-command"], &[]);
    assert_eq!(unknown.status, 64, "{unknown}");
}
