//! What the installed `oc-mirror` does not know yet.

use super::Search;
use crate::imageset::model::{Operator, Text};

impl Search<'_> {
    /// It ends at a field that it does not know, and passes over charts without a word (contract §12, §13.2, §13.3).
    pub(super) fn too_new(&mut self) {
        let mirror = &self.imageset.mirror;
        if !self.around.is_from((4, 18)) {
            let helm = &mirror.helm;
            let of_repositories = helm.repositories.iter().map(|repository| &repository.name);
            let local = helm.local.iter().map(|chart| &chart.name);
            for name in of_repositories.chain(local) {
                self.find(
                    name,
                    "this `oc-mirror` mirrors no charts, and does not say so",
                    "use one from 4.18 on, or take `helm` out",
                );
            }
            let packages = mirror.operators.iter().flat_map(Operator::packages);
            for default in packages.filter_map(|package| package.default_channel.as_ref()) {
                self.unknown(default, "defaultChannel", "4.18");
            }
        }
        if !self.around.is_from((4, 22)) {
            for image in &mirror.additional_images {
                let fields = [
                    (&image.target_repo, "targetRepo"),
                    (&image.target_tag, "targetTag"),
                ];
                for (field, name) in fields {
                    if let Some(text) = field {
                        self.unknown(text, name, "4.22");
                    }
                }
            }
        }
    }

    fn unknown(&mut self, text: &Text, field: &str, since: &str) {
        self.find(
            text,
            format!("`{field}` is not known to this `oc-mirror`"),
            format!("use one from {since} on, or leave it out"),
        );
    }
}
