//! What is written in YAML and JSON says what the programs say.

use std::collections::BTreeSet;
use std::fs;

use mimeograph_manifest::failure::ErrorId;
use mimeograph_manifest::io::config::{Config, Operation};

use crate::tree::{SIDES, Side, at, list, read, text};

/// The exit statuses that trying again does not mend, in order.
pub(crate) fn lasting() -> impl Iterator<Item = u64> {
    let exits = ErrorId::ALL.iter().map(|id| id.exit());
    let lasting = exits.filter(|exit| !exit.is_worth_retrying());
    let codes: BTreeSet<_> = lasting.map(|exit| u64::from(exit.code())).collect();
    codes.into_iter()
}

#[test]
fn a_job_fails_at_once_at_exactly_the_statuses_that_last() {
    for side in SIDES {
        let files = side.files("cronjob.yaml");
        assert_eq!(files.len(), 1, "{files:?}");
        let job = read(&files[0]);
        let rules = list(at(&job, "spec.jobTemplate.spec.podFailurePolicy.rules"));
        let rule = rules
            .iter()
            .find(|rule| text(at(rule, "action")) == "FailJob");
        let values = list(at(rule.unwrap(), "onExitCodes.values"));
        let values: Vec<_> = values.iter().map(|one| one.as_u64().unwrap()).collect();
        assert_eq!(values, lasting().collect::<Vec<_>>(), "{side:?}");
    }
}

#[test]
fn every_configuration_is_one_and_its_job_ends_after_oc_mirror() {
    for side in SIDES {
        let operation = match side {
            Side::Connected => Operation::Bundle,
            Side::Disconnected => Operation::Populate,
        };
        let job = read(&side.files("cronjob.yaml")[0]);
        let deadline = at(&job, "spec.jobTemplate.spec.activeDeadlineSeconds").as_u64();
        let files = side.files("mimeograph-config.yaml");
        assert!(files.len() >= 7, "{files:?}");
        for file in files {
            let config = Config::load(&file, operation).unwrap();
            let oc_mirror = config.mirror.oc_mirror.deadline.seconds();
            assert!(deadline > Some(oc_mirror), "{}", file.display());
            // The bucket is the environment's matter.
            let is_drive = file.to_string_lossy().contains("/drive/");
            match config.location(None) {
                Ok(place) => assert!(is_drive, "{place}"),
                Err(error) => assert!(error.to_string().contains("s3.bucket.name"), "{error}"),
            }
        }
    }
}

#[test]
fn both_sides_have_the_same_dashboard() {
    let dashboards: Vec<_> = SIDES
        .iter()
        .flat_map(|side| side.files("dashboard.json"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    assert_eq!(dashboards.len(), 2);
    assert_eq!(dashboards[0], dashboards[1]);
    let dashboard: serde_json::Value = serde_json::from_str(&dashboards[0]).unwrap();
    let ids: BTreeSet<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert!(ids.len() >= 10, "{ids:?}");
}
