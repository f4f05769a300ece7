//! A bundle that needs none before it.

use crate::lab::{Lab, done};

#[test]
fn a_full_bundle_can_be_asked_for_and_loads_where_the_cache_was_lost() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    std::fs::remove_dir_all(lab.path("disconnected/bundle")).unwrap();
    lab.add_image(3);

    let ran = lab.bundler(&["run", "--full", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["kind"], "full", "{ran}");
    done(&lab.populator(&["run"]));
    for n in 1..=3 {
        let (sent, arrived) = (
            lab.source.digest_of(&format!("apps/{n}"), "v1"),
            lab.target.digest_of(&format!("mirror/apps/{n}"), "v1"),
        );
        assert!(sent.is_some() && sent == arrived, "apps/{n}");
    }
}
