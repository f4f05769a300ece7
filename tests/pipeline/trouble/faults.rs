//! Whole programs over a wire, and before a server, that are unwell: each run ends complete and correct, or says what is
//! wrong; the next one without a fault completes what it left; and no bundle is ever there in half.

use std::fs;
use std::os::unix::fs::symlink;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::location::S3Location;
use mimeograph_manifest::io::s3::{Patience, S3Store};
use mimeograph_manifest::io::store::Fetch as _;
use mimeograph_manifest::layout::{CHUNKS, MANIFESTS, PRUNED};
use mimeograph_tests::faults::{Asked, Fault, Faults};
use mimeograph_tests::gap::Ran;
use mimeograph_tests::s3::{Quirk, S3Server, Seen};

use super::GOOD;
use super::upkeep::{ask, chunk, chunks_of, large, names, sequences};
use crate::client;
use crate::lab::{Lab, done, refused};

/// Both sides over a bucket by way of the proxy. The bucket's folder stands in the place of the directory store.
struct Unwell {
    lab: Lab,
    proxy: Faults,
    server: S3Server,
}

impl Unwell {
    fn new(quirk: Quirk) -> Self {
        Self::with(quirk, |_| Vec::new())
    }

    /// The same with more variables for both programs.
    fn with(quirk: Quirk, more: fn(&Faults) -> Vec<(&'static str, String)>) -> Self {
        let server = S3Server::start_with(quirk);
        let proxy = Faults::before(&server.endpoint);
        let lab = Lab::with(|gap| {
            gap.play(GOOD).unwrap();
            for n in 1..=3 {
                gap.source
                    .put_image(&format!("apps/{n}"), "v1", &[large(n)]);
            }
            gap.ask_for(&["apps/1:v1"]).unwrap();
            for (name, value) in server.environment().into_iter().chain(more(&proxy)) {
                gap.environment.push((name.to_owned(), value));
            }
            let store = format!(
                "s3:\n  bucket:\n    name: {}\n    endpoint: {}\n    subDir: one\n",
                server.bucket, proxy.endpoint
            );
            gap.configure(&store).unwrap();
            fs::remove_dir(gap.path("store")).unwrap();
            symlink(server.objects().join("one"), gap.path("store")).unwrap();
        });
        Self { lab, proxy, server }
    }

    /// Lists what both programs list: what the proxy remembers.
    fn look(&self) {
        let place = S3Location {
            endpoint: Some(self.proxy.endpoint.clone()),
            ..self.server.location("one")
        };
        let store = S3Store::open_as(&place, self.server.login(), Patience::default()).unwrap();
        for folder in ["", MANIFESTS, CHUNKS, PRUNED] {
            store.list(folder, &mut |_| ()).unwrap();
        }
    }

    /// Every `nth` request meets with the next of these faults, in turn.
    fn strike_every(&self, nth: usize, faults: Vec<Fault>) {
        let mut count = 0;
        let mut next = faults.into_iter().cycle();
        self.proxy.strike(move |_| {
            count += 1;
            (count % nth == 0).then(|| next.next()).flatten()
        });
    }

    /// All goes well with so many requests, and then with none.
    fn strike_after(&self, well: usize, fault: &Fault) {
        let (mut count, fault) = (0, fault.clone());
        self.proxy.strike(move |_| {
            count += 1;
            (count > well).then(|| fault.clone())
        });
    }

    /// No bundle is there in half: each manifest has its signature, and all its chunks, byte for byte.
    #[track_caller]
    fn has_no_half_bundle(&self) {
        let papers = names(&self.lab, "manifests");
        for sequence in sequences(&self.lab) {
            let signature = |name: &String| {
                name.starts_with(&format!("{sequence:010}.")) && name.strip_suffix(".sig").is_some()
            };
            assert!(papers.iter().any(signature), "{papers:?}");
            for name in chunks_of(&self.lab, sequence) {
                let bytes = fs::read(chunk(&self.lab, &name)).unwrap();
                assert_eq!(Digest::of(&bytes).to_string(), name);
            }
        }
    }

    /// The target serves these images, and nothing else, byte for byte.
    #[track_caller]
    fn has_arrived(&self, images: &[u8]) {
        assert_eq!(self.lab.loaded().len(), images.len());
        for n in images {
            let sent = client::read(&self.lab.source_host, &format!("apps/{n}"), "v1");
            let arrived = client::read(&self.lab.target_host, &format!("mirror/apps/{n}"), "v1");
            assert!(sent == arrived, "apps/{n} is not what it was");
        }
    }

    /// A full bundle and a delta go the whole way, whatever is going wrong.
    #[track_caller]
    fn goes_the_whole_way(&self) {
        for images in [&[1][..], &[1, 2]] {
            ask(&self.lab, images);
            done(&self.lab.bundler(&["run"]));
            self.has_no_half_bundle();
            done(&self.lab.populator(&["run"]));
            self.has_arrived(images);
        }
    }
}

fn refusals() -> Vec<Fault> {
    vec![
        Fault::error(500, "InternalError"),
        Fault::slow_down(0),
        Fault::error(400, "RequestTimeout"),
    ]
}

fn breaks() -> Vec<Fault> {
    vec![
        Fault::ResetRequest,
        Fault::ResetBody,
        Fault::LoseAnswer,
        Fault::TruncateBody,
    ]
}

#[test]
fn refusals_that_pass_are_overcome() {
    let unwell = Unwell::new(Quirk::None);
    unwell.strike_every(11, refusals());
    unwell.goes_the_whole_way();
}

#[test]
fn broken_connections_are_overcome() {
    let unwell = Unwell::new(Quirk::None);
    unwell.strike_every(7, breaks());
    unwell.goes_the_whole_way();
}

#[test]
fn faults_are_overcome_where_the_condition_is_ignored() {
    let unwell = Unwell::new(Quirk::IgnoresConditions);
    unwell.strike_every(8, [breaks(), refusals()].concat());
    unwell.goes_the_whole_way();
}

/// From one request on, all meet with a fault; in the next run from a later one on, until a run gets through.
#[track_caller]
fn breaks_off_and_is_completed(first: usize, fault: &Fault, status: i32, id: &str) {
    let unwell = Unwell::with(Quirk::None, |_| vec![("AWS_MAX_ATTEMPTS", "1".to_owned())]);
    let lab = &unwell.lab;
    let until_done = |run: &dyn Fn() -> Ran, each: &dyn Fn()| {
        // Ever later: each run that publishes before it fails leaves more to read to the next.
        let mut well = first;
        for step in 4.. {
            unwell.strike_after(well, fault);
            let ran = run();
            each();
            if ran.status == 0 {
                return well;
            }
            refused(&ran, status, id, &["s3://mimeograph-bucket/one"]);
            well += step;
        }
        unreachable!()
    };
    let asked = |images: &[u8]| {
        ask(lab, images);
        let sent = until_done(&|| lab.bundler(&["run"]), &|| unwell.has_no_half_bundle());
        assert!(sent > first);
        let before = lab.loaded();
        let applied = until_done(&|| lab.populator(&["run"]), &|| {
            assert!(lab.loaded() == before || lab.loaded().len() == images.len());
        });
        assert!(applied > first);
        unwell.has_arrived(images);
    };
    asked(&[1]);
    asked(&[1, 2]);
    unwell.proxy.calm();
    done(&lab.bundler(&["check-store"]));
}

#[test]
fn forbidden_in_mid_run_ends_it_and_the_next_completes_it() {
    breaks_off_and_is_completed(1, &Fault::error(403, "AccessDenied"), 77, "STORE_FORBIDDEN");
}

#[test]
fn a_server_that_fails_in_mid_run_ends_it_and_the_next_completes_it() {
    breaks_off_and_is_completed(
        2,
        &Fault::error(500, "InternalError"),
        69,
        "STORE_UNREACHABLE",
    );
}

#[test]
fn answers_that_are_lost_in_mid_run_end_it_and_the_next_completes_it() {
    breaks_off_and_is_completed(3, &Fault::LoseAnswer, 69, "STORE_UNREACHABLE");
}

#[test]
fn short_chunks_that_say_so_are_not_taken_for_whole_ones() {
    let unwell = Unwell::new(Quirk::None);
    let lab = &unwell.lab;
    done(&lab.bundler(&["run"]));
    let is_read = |asked: &Asked| asked.is_chunk() && asked.method == "GET";
    for nth in 0..3 {
        let mut count = 0;
        unwell.proxy.strike(move |asked| {
            count += usize::from(is_read(asked));
            (is_read(asked) && count > nth).then_some(Fault::ShortenBody)
        });
        let ran = lab.populator(&["run", "--output", "json"]);
        done(&ran);
        assert_eq!(ran.json()["outcome"], "waiting", "{ran}");
        refused(
            &lab.populator(&["verify"]),
            75,
            "INCOMPLETE",
            &["still short"],
        );
        assert_eq!(lab.loaded().len(), 0);
    }
    unwell.proxy.calm();
    done(&lab.populator(&["run"]));
    unwell.has_arrived(&[1]);
}

fn stale(asked: &Asked) -> Option<Fault> {
    asked.is_list().then_some(Fault::StaleList)
}

#[test]
fn lists_that_lag_behind_hold_things_up_and_spoil_nothing() {
    let unwell = Unwell::new(Quirk::None);
    let (lab, proxy) = (&unwell.lab, &unwell.proxy);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    unwell.look();
    ask(lab, &[1, 2]);
    done(&lab.bundler(&["run"]));
    // The lists are as they were before the delta.
    proxy.strike(stale);
    ask(lab, &[1, 2, 3]);
    let words = ["bundle 2", "list does not show it"];
    refused(&lab.bundler(&["run"]), 69, "STORE_UNREACHABLE", &words);
    done(&lab.populator(&["run"]));
    unwell.has_arrived(&[1]);
    proxy.calm();
    done(&lab.bundler(&["run"]));
    unwell.has_no_half_bundle();
    done(&lab.populator(&["run"]));
    unwell.has_arrived(&[1, 2, 3]);
}

#[test]
fn lists_that_show_what_is_gone_spoil_nothing() {
    let unwell = Unwell::new(Quirk::None);
    let (lab, proxy) = (&unwell.lab, &unwell.proxy);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    ask(lab, &[2]);
    done(&lab.bundler(&["run", "--full"]));
    unwell.look();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    assert_eq!(sequences(lab), [2]);
    // The lists are as they were before the first bundle went, with all that it alone needs. It is needed again.
    proxy.strike(stale);
    ask(lab, &[1, 2]);
    done(&lab.bundler(&["run"]));
    unwell.has_no_half_bundle();
    done(&lab.populator(&["run"]));
    proxy.calm();
    done(&lab.populator(&["run"]));
    unwell.has_arrived(&[1, 2]);
}

#[test]
fn credentials_that_expire_in_mid_run_are_renewed() {
    let unwell = Unwell::with(Quirk::None, |proxy| {
        let uri = format!("{}/credentials", proxy.endpoint);
        vec![
            ("AWS_ACCESS_KEY_ID", String::new()),
            ("AWS_SECRET_ACCESS_KEY", String::new()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri),
        ]
    });
    let server = &unwell.server;
    let (id, secret) = (server.access_key.clone(), server.secret_key.clone());
    // Each token is good for eight requests, though it says an hour.
    let (mut given, mut used) = (0, 0);
    unwell.proxy.strike(move |asked| {
        if asked.target == "/credentials" {
            (given, used) = (given + 1, 0);
            return Some(Fault::credentials(&id, &secret, &format!("token-{given}")));
        }
        used += 1;
        let is_old = asked.header("x-amz-security-token") != Some(&format!("token-{given}"));
        (is_old || used > 8).then(|| Fault::error(400, "ExpiredToken"))
    });
    unwell.goes_the_whole_way();
    let asked = unwell.proxy.asked();
    let renewed = asked.iter().filter(|asked| asked.target == "/credentials");
    assert!(renewed.count() > 4);
}

#[test]
fn every_body_of_a_run_goes_plain_with_its_own_digest_once() {
    let unwell = Unwell::new(Quirk::None);
    unwell.goes_the_whole_way();
    let seen = unwell.server.seen();
    let puts: Vec<_> = seen.iter().filter(|seen| seen.method == "PUT").collect();
    assert!(puts.len() > 10);
    for put in puts {
        goes_plain(&unwell, put);
    }
}

fn goes_plain(unwell: &Unwell, put: &Seen) {
    let path = put.target.split('?').next().unwrap();
    let name = path
        .trim_start_matches('/')
        .trim_start_matches(&unwell.server.bucket);
    let bytes = fs::read(unwell.server.objects().join(name.trim_start_matches('/'))).unwrap();
    put.assert_plain(bytes.len(), &Digest::of(&bytes));
}
