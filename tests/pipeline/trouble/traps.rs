//! The facts of the contract's first section, each of which would lose or change something.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use super::{GOOD, all_arrives, argument, arrives, calls, configure, settled};
use crate::lab::{Lab, done, refused};

#[test]
fn the_port_never_holds_a_tag_of_the_image_set() {
    // Fact 12: a tag that stands in `localhost:<port>` breaks packing.
    let lab = Lab::with(|gap| {
        for tag in ["1", "2", "3"] {
            gap.source
                .put_image("apps/digit", tag, &[crate::lab::layer(9)]);
        }
        gap.ask_for(&["apps/digit:1", "apps/digit:2", "apps/digit:3"])
            .unwrap();
    });
    for _ in 0..3 {
        done(&lab.bundler(&["run"]));
    }
    let ports: Vec<_> = calls(&lab)
        .iter()
        .map(|call| argument(call, "-p").unwrap().to_owned())
        .collect();
    assert_eq!(ports.len(), 3);
    for port in ports {
        assert!(!port.contains(['1', '2', '3']), "{port}");
        // Fact 10: above lie the ports that the kernel gives to clients.
        assert!(port.parse::<u16>().unwrap() < 32_768, "{port}");
    }
}

#[test]
fn an_archive_without_an_end_at_exit_0_is_mirrored_again() {
    // Fact 11: the disk was full for the last kilobyte, and oc-mirror recorded the blobs as shipped.
    let lab = settled();
    lab.play("VERSION=5.2\nMISBEHAVE=no-end-marker\n").unwrap();
    refused(
        &lab.bundler(&["run"]),
        65,
        "ARCHIVE_DAMAGED",
        &["mirror_000001.tar", "end"],
    );
    all_arrives(&lab, 3);
}

#[test]
fn archives_lie_out_of_reach_when_oc_mirror_starts() {
    // Fact 2: it deletes every archive in its folder, whoever wrote it.
    let lab = settled();
    fs::rename(lab.path("store"), lab.path("away")).unwrap();
    fs::write(lab.path("store"), "in the way").unwrap();
    assert_ne!(lab.bundler(&["run"]).status, 0);
    fs::remove_file(lab.path("store")).unwrap();
    fs::rename(lab.path("away"), lab.path("store")).unwrap();
    all_arrives(&lab, 3);
}

#[test]
fn the_last_good_resources_outlive_a_load_that_fails() {
    // Fact 14: it empties `cluster-resources` before it asks the target.
    let lab = settled();
    done(&lab.bundler(&["run"]));
    let resources = lab.path("disconnected/metadata/resources");
    let before = crate::user::tree(&resources);
    assert!(before.len() > 2, "{:?}", before.keys());
    configure(&lab, "disconnected", &lab.target_host, "127.0.0.1:1");
    assert_ne!(lab.populator(&["run"]).status, 0);
    assert!(crate::user::tree(&resources) == before);
}

#[test]
fn a_reader_of_our_output_that_goes_away_does_not_kill_oc_mirror() {
    // A closed pipe ends oc-mirror with SIGPIPE (141).
    let lab = settled();
    lab.play("VERSION=5.2\nMISBEHAVE=noisy\nNOISE=5000\n")
        .unwrap();
    let program = lab.programs().bundler.clone();
    let mut child = lab
        .command(&program, "connected", &["run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    lab.play(GOOD).unwrap();
    arrives(&lab, 3);
}

#[test]
fn oc_mirror_sees_few_of_our_variables_and_a_loopback_registry() {
    // Fact 9: REGISTRY_AUTH_FILE makes it panic, other REGISTRY_* change its cache.
    let lab = Lab::with(|gap| {
        let auth = gap.path("auth.json");
        fs::write(&auth, r#"{"auths":{}}"#).unwrap();
        for (name, value) in [
            ("REGISTRY_AUTH_FILE", auth.to_str().unwrap()),
            ("REGISTRY_STORAGE_DELETE_ENABLED", "false"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("SOMETHING", "else"),
            ("NO_PROXY", "127.0.0.1"),
        ] {
            gap.environment.push((name.to_owned(), value.to_owned()));
        }
    });
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let calls = calls(&lab);
    assert!(calls.len() > 2);
    for call in calls {
        let names: Vec<_> = call["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert!(
            names.contains(&"REGISTRY_HTTP_ADDR") && names.contains(&"NO_PROXY"),
            "{names:?}"
        );
        for name in names.iter().filter(|name| name.starts_with("REGISTRY_")) {
            assert_eq!(*name, "REGISTRY_HTTP_ADDR");
        }
        assert!(
            !names.contains(&"AWS_SECRET_ACCESS_KEY") && !names.contains(&"SOMETHING"),
            "{names:?}"
        );
        assert!(argument(&call, "--authfile").is_some(), "{call}");
        assert_eq!(call["umask"], "0022");
    }
}

#[test]
fn words_that_oc_mirror_refuses_may_stand_in_our_paths() {
    let lab = settled();
    for side in ["connected", "disconnected"] {
        let below = |name: &str| lab.path(&format!("{side}/{name}")).display().to_string();
        configure(&lab, side, &below("bundle"), &below("helm/logs/delete"));
        let moved = lab.path(&format!("{side}/helm/logs"));
        fs::create_dir_all(&moved).unwrap();
        fs::rename(below("bundle"), moved.join("delete")).unwrap();
    }
    all_arrives(&lab, 3);
}

#[test]
fn our_umask_does_not_matter() {
    let lab = settled();
    for (program, side) in [
        (lab.programs().bundler.clone(), "connected"),
        (lab.programs().populator.clone(), "disconnected"),
    ] {
        let run = lab.command(&program, side, &["run"]);
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", r#"umask 0077; exec "$@""#, "sh"])
            .arg(run.get_program())
            .args(run.get_args());
        shell.env_clear();
        for (name, value) in run.get_envs() {
            shell.env(name, value.unwrap());
        }
        let output = shell
            .current_dir(lab.path(""))
            .process_group(0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    for call in calls(&lab) {
        assert_eq!(call["umask"], "0022");
    }
    arrives(&lab, 3);
}

#[test]
fn files_beside_the_archives_are_never_shown_to_oc_mirror() {
    // Fact 8: `--from` also takes `mirror_000001.tar.sha256`.
    let lab = settled();
    done(&lab.bundler(&["run"]));
    fs::write(lab.path("store/mirror_000001.tar.sha256"), "not ours").unwrap();
    fs::write(lab.path("store/chunks/mirror_000002.tar"), "not ours").unwrap();
    let ran = lab.populator(&["verify"]);
    done(&ran);
    assert!(ran.stdout.contains("2 objects are not ours"), "{ran}");
    arrives(&lab, 3);
}
