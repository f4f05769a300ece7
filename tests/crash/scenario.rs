//! What is killed: a run of one of the programs, what lay before it, and what comes after.

use std::fs;

use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_tests::gap::{Gap, copy_folder};
use mimeograph_tests::s3::S3Server;

use crate::end::{End, all_is_named, mark};
use crate::ground::{Ground, Side, ask_for, command, done, run};

/// A run.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) side: Side,
    pub(crate) arguments: &'static [&'static str],
    /// What lies before it.
    before: fn(&Gap),
    /// The part of a run that comes after it.
    other_part: Option<&'static str>,
    store: Store,
}

/// Over what kind of store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Directory,
    S3,
}

/// A scenario that is laid out.
pub(crate) struct Laid {
    pub(crate) scenario: Scenario,
    ground: Ground,
    server: Option<S3Server>,
}

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![
        on("full", Side::Connected, &["run"], |_| ()),
        on("delta", Side::Connected, &["run"], |gap| {
            publish(gap, 2);
            ask_for(gap, 3);
        }),
        on("heartbeat", Side::Connected, &["run"], |gap| {
            publish(gap, 2);
        }),
        on(
            "since",
            Side::Connected,
            &["run", "--since-sequence", "1"],
            |gap| {
                publish(gap, 2);
                publish(gap, 3);
                ask_for(gap, 4);
            },
        ),
        on("volume lost", Side::Connected, &["run"], |gap| {
            publish(gap, 2);
            publish(gap, 3);
            fs::remove_dir_all(gap.path("connected")).unwrap();
            ask_for(gap, 4);
        }),
        on(
            "repair",
            Side::Connected,
            &["check-store", "--repair"],
            |gap| {
                publish(gap, 2);
                fs::remove_dir_all(gap.path("store/chunks")).unwrap();
            },
        ),
        over(Store::S3, "full over S3", Side::Connected, &["run"], |_| ()),
        over(
            Store::S3,
            "delta over S3",
            Side::Connected,
            &["run"],
            |gap| {
                publish(gap, 2);
                ask_for(gap, 3);
            },
        ),
        on("prune", Side::Connected, PRUNE, to_be_pruned),
        over(
            Store::S3,
            "prune over S3",
            Side::Connected,
            PRUNE,
            to_be_pruned,
        ),
        on(
            "prune far unlisted",
            Side::Disconnected,
            &["prune", "--unlisted"],
            |gap| {
                to_be_pruned(gap);
                populate(gap);
            },
        ),
        on("populate full", Side::Disconnected, &["run"], |gap| {
            publish(gap, 2);
        }),
        on(
            "populate delta",
            Side::Disconnected,
            &["run"],
            a_delta_is_new,
        ),
        on("prune far", Side::Disconnected, &["prune"], |gap| {
            to_be_pruned(gap);
            populate(gap);
            let aside = gap.path("aside");
            copy_folder(&gap.path("store/chunks"), &aside).unwrap();
            done(&run(gap, Side::Connected, PRUNE)).unwrap();
            // What was dropped there is still here.
            fs::remove_dir_all(gap.path("store/chunks")).unwrap();
            fs::rename(aside, gap.path("store/chunks")).unwrap();
        }),
        on("catch up", Side::Disconnected, &["run"], |gap| {
            publish(gap, 2);
            populate(gap);
            for images in [3, 4, 4, 5] {
                publish(gap, images);
            }
        }),
    ];
    all.extend(parts());
    all
}

/// A run in two parts, each struck by itself.
fn parts() -> Vec<Scenario> {
    vec![
        Scenario {
            other_part: Some("publish"),
            ..on("mirror", Side::Connected, &["mirror"], |gap| {
                publish(gap, 2);
                ask_for(gap, 3);
            })
        },
        on("publish", Side::Connected, &["publish"], |gap| {
            publish(gap, 2);
            ask_for(gap, 3);
            done(&run(gap, Side::Connected, &["mirror"])).unwrap();
        }),
        Scenario {
            other_part: Some("load"),
            ..on("fetch", Side::Disconnected, &["fetch"], a_delta_is_new)
        },
        on("load", Side::Disconnected, &["load"], |gap| {
            a_delta_is_new(gap);
            done(&run(gap, Side::Disconnected, &["fetch"])).unwrap();
        }),
    ]
}

/// Over S3 or a directory.
fn over(
    store: Store,
    name: &'static str,
    side: Side,
    arguments: &'static [&'static str],
    before: fn(&Gap),
) -> Scenario {
    Scenario {
        name,
        side,
        arguments,
        before,
        other_part: None,
        store,
    }
}

/// Over a directory.
fn on(
    name: &'static str,
    side: Side,
    arguments: &'static [&'static str],
    before: fn(&Gap),
) -> Scenario {
    over(Store::Directory, name, side, arguments, before)
}

/// The one of this name.
pub(crate) fn named(name: &str) -> Scenario {
    let found = all().into_iter().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("no scenario `{name}`"))
}

const PRUNE: &[&str] = &["prune", "--keep-full", "1"];

fn publish(gap: &Gap, images: u8) {
    ask_for(gap, images);
    done(&run(gap, Side::Connected, &["run"])).unwrap();
}

/// A full bundle, a delta, a full one, a delta.
fn to_be_pruned(gap: &Gap) {
    publish(gap, 2);
    publish(gap, 3);
    ask_for(gap, 4);
    done(&run(gap, Side::Connected, &["run", "--full"])).unwrap();
    publish(gap, 5);
}

fn a_delta_is_new(gap: &Gap) {
    publish(gap, 2);
    populate(gap);
    publish(gap, 3);
}

fn populate(gap: &Gap) {
    done(&run(gap, Side::Disconnected, &["run"])).unwrap();
}

impl Scenario {
    /// With all that lies before the run.
    pub(crate) fn lay_out(self) -> Laid {
        let mut ground = Ground::new();
        let server = (self.store == Store::S3).then(S3Server::start);
        if let Some(server) = &server {
            for (name, value) in server.environment() {
                ground.gap.environment.push((name.to_owned(), value));
            }
            ground.configure(&bucket(server, &ground.gap));
        }
        (self.before)(&ground.gap);
        Laid {
            scenario: self,
            ground,
            server,
        }
    }
}

/// Every copy has a place of its own in the bucket.
fn place(gap: &Gap) -> String {
    let folder = gap.path("");
    let number = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("streams/{number}")
}

fn bucket(server: &S3Server, gap: &Gap) -> String {
    format!(
        "s3:\n  bucket:\n    name: {}\n    endpoint: {}/\n    subDir: {}\n",
        server.bucket,
        server.endpoint,
        place(gap)
    )
}

impl Laid {
    /// Before the run, once more.
    pub(crate) fn again(&self) -> Gap {
        let gap = self.ground.again();
        if let Some(server) = &self.server {
            let objects = server.objects();
            let (from, to) = (
                objects.join(place(&self.ground.gap)),
                objects.join(place(&gap)),
            );
            if from.exists() {
                copy_folder(&from, &to).unwrap();
            }
            for side in ["connected.yaml", "disconnected.yaml"] {
                let text = fs::read_to_string(gap.path(side)).unwrap();
                let text = text.replace(&place(&self.ground.gap), &place(&gap));
                fs::write(gap.path(side), text).unwrap();
            }
        }
        gap
    }

    /// Whether a point is worth a strike: over S3 those are that the other scenarios do not have.
    pub(crate) fn is_of_interest(&self, point: &str) -> bool {
        self.server.is_none() || point.starts_with("s3-")
    }

    /// The run.
    pub(crate) fn command(&self, gap: &Gap) -> std::process::Command {
        command(gap, self.scenario.side, self.scenario.arguments)
    }

    /// The store of a copy.
    pub(crate) fn store(&self, gap: &Gap) -> Box<dyn Fetch> {
        if let Some(server) = &self.server {
            return Box::new(server.store(&place(gap)));
        }
        Box::new(DirStore::open(&gap.path("store")).unwrap())
    }

    /// What comes after the run, and where that ends: what the connected side published is built on, and all of it
    /// verifies.
    pub(crate) fn end(&self, gap: &Gap) -> Result<End, String> {
        if let Some(part) = self.scenario.other_part {
            done(&run(gap, self.scenario.side, &[part]))?;
        }
        if self.scenario.name.starts_with("prune") {
            all_is_named(gap, &*self.store(gap))?;
        }
        if self.scenario.side == Side::Connected {
            ask_for(gap, 6);
            done(&run(gap, Side::Connected, &["run"]))?;
            done(&run(gap, Side::Disconnected, &["verify"]))?;
        }
        let end = End::of(gap, &*self.store(gap))?;
        if self.scenario.side == Side::Disconnected {
            survives_a_lost_volume(gap, &end)?;
        }
        Ok(end)
    }
}

/// The second copy of the state knows what was applied.
fn survives_a_lost_volume(gap: &Gap, end: &End) -> Result<(), String> {
    let calls = gap.oc_mirror_calls();
    fs::remove_dir_all(gap.path("disconnected/metadata")).unwrap();
    let ran = run(gap, Side::Disconnected, &["run"]);
    done(&ran)?;
    if end.mark() != mark(gap) || gap.oc_mirror_calls() != calls {
        return Err(format!("the second copy of the state is another: {ran}"));
    }
    Ok(())
}
