//! The pinned configurations that the newest release writes after a good run.

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::image_set::Additional;
use crate::log::Log;

/// Additional images are not pinned: only catalogues would be.
pub(crate) fn write(
    working: &Path,
    stamp: &str,
    images: &[Additional],
    log: &Log,
) -> Result<(), Failure> {
    log.info("Generating pinned configurations...");
    let list: String = images.iter().map(entry).collect();
    let isc = format!(
        "apiVersion: mirror.openshift.io/v2alpha1\nkind: ImageSetConfiguration\nmirror:\n  additionalImages:\n{list}"
    );
    let disc = format!(
        "apiVersion: mirror.openshift.io/v2alpha1\ndelete:\n  additionalImages:\n{list}kind: DeleteImageSetConfiguration\n"
    );
    for (short, long, text) in [("isc", "ISC", isc), ("disc", "DISC", disc)] {
        let path = working.join(format!("{short}_pinned_{stamp}.yaml"));
        fs::write(&path, text)?;
        log.info(&format!("Pinned {long} written to: {}", path.display()));
    }
    Ok(())
}

fn entry(image: &Additional) -> String {
    let field = |name: &str, value: &Option<String>| {
        value
            .as_ref()
            .map_or_else(String::new, |value| format!("    {name}: {value}\n"))
    };
    let name = format!("  - name: {}\n", image.name);
    name + &field("targetRepo", &image.target_repo) + &field("targetTag", &image.target_tag)
}
