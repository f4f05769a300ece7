//! As OpenShift runs containers: a uid that no one knows, a home that it may not write to.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use mimeograph_tests::gap::Ran;

use crate::lab::{Lab, done};
use crate::user::{as_user, run, tree};

const ID: u32 = 1_000_660_000;

/// Gives everything below a folder to the user.
fn give_away(folder: &Path) {
    if rustix::process::geteuid().is_root() {
        for path in tree(folder).keys() {
            lchown(path, Some(ID), Some(ID)).unwrap();
        }
    }
}

fn bundler(lab: &Lab, arguments: &[&str]) -> Ran {
    let mut command = lab.command(&lab.programs().bundler, "connected", arguments);
    run(as_user(&ID.to_string(), command.env("HOME", "/")))
}

fn populator(lab: &Lab, arguments: &[&str]) -> Ran {
    let mut command = lab.command(&lab.programs().populator, "disconnected", arguments);
    run(as_user(&ID.to_string(), command.env("HOME", "/")))
}

/// A lab that belongs to the user; the stand-in plays what it is told.
fn lab(play: &str) -> Lab {
    let lab = Lab::new();
    lab.play(&format!("VERSION=5.2\n{play}")).unwrap();
    lab.let_others_in();
    give_away(&lab.path("."));
    lab
}

/// The whole way, twice, so that a delta is among it.
fn whole_way(lab: &Lab) {
    for ran in [bundler(lab, &["check"]), populator(lab, &["check"])] {
        done(&ran);
    }
    done(&bundler(lab, &["run"]));
    lab.add_image(3);
    done(&bundler(lab, &["run"]));
    done(&populator(lab, &["verify"]));
    done(&populator(lab, &["run"]));
    for n in 1..=3 {
        let manifest = lab.source.manifest(&format!("apps/{n}"), "v1").unwrap();
        assert_eq!(
            lab.target.manifest(&format!("mirror/apps/{n}"), "v1"),
            Some(manifest)
        );
    }
}

/// The archive of bundle 1 as bytes.
fn archive(lab: &Lab) -> Vec<u8> {
    let to = lab.path("there").display().to_string();
    done(&populator(
        lab,
        &["unpack", "1", "--to", &to, "--role", "archive"],
    ));
    fs::read(lab.path("there/mirror_000001.tar")).unwrap()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn the_whole_way_works_for_a_user_that_no_one_knows() {
    let lab = lab("");
    whole_way(&lab);
    let ours = fs::metadata(lab.path("home")).unwrap().uid();
    for side in ["connected", "disconnected", "store"] {
        for path in tree(&lab.path(side)).keys() {
            assert_eq!(
                fs::symlink_metadata(path).unwrap().uid(),
                ours,
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn archives_with_records_of_such_a_user_are_taken() {
    let lab = lab("MISBEHAVE=random-uid\n");
    whole_way(&lab);
    assert!(
        holds(&archive(&lab), &format!("uid={ID}\n")),
        "the stand-in added no records"
    );
}
