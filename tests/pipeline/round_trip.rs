//! What the source has is what the target serves, byte for byte.

use crate::lab::{Lab, done};

#[test]
fn images_arrive_byte_for_byte_over_a_directory() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    for repository in ["apps/1", "apps/2"] {
        let arrived = format!("mirror/{repository}");
        let manifest = lab.source.manifest(repository, "v1").unwrap();
        assert_eq!(lab.target.manifest(&arrived, "v1"), Some(manifest));
    }
}
