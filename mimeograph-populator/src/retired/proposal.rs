//! Retired tags as the configuration of `oc-mirror delete`.

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::RegistryUri;
use serde::Serialize;

use super::{Gone, Retired};

/// A repository's path below the namespace of the target.
pub(super) fn path_below<'a>(namespace: &str, repository: &'a str) -> Option<&'a str> {
    match namespace {
        "" => Some(repository),
        namespace => repository.strip_prefix(namespace)?.strip_prefix('/'),
    }
}

/// The delete configuration. `oc-mirror` takes from each name its path and tag alone, and puts the target before them.
pub(super) fn of(target: &RegistryUri, found: &Retired) -> Result<String, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct DeleteImageSet {
        kind: &'static str,
        api_version: &'static str,
        delete: Delete,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Delete {
        additional_images: Vec<Image>,
    }
    #[derive(Serialize)]
    struct Image {
        name: String,
    }
    let image = |tag: &Gone| {
        let path = path_below(target.namespace(), &tag.repository)?;
        let name = format!("{}/{path}:{}", target.host(), tag.tag);
        Some(Image { name })
    };
    let images = found.tags.iter().filter_map(image).collect();
    let configuration = DeleteImageSet {
        kind: "DeleteImageSetConfiguration",
        api_version: "mirror.openshift.io/v2alpha1",
        delete: Delete {
            additional_images: images,
        },
    };
    let yaml = serde_yaml::to_string(&configuration).map_err(NotYaml)?;
    let target = target.as_str();
    Ok(format!(
        "# Tags in {target} that were placed there by Mimeograph and that bundle {} does not name.\n\
         # Read it and take out what is to stay. Then, with v2 of oc-mirror and an empty DIR:\n\
         #   oc-mirror delete --v2 --generate --config THIS_FILE --workspace file://DIR docker://{target}\n\
         #   oc-mirror delete --v2 --delete-yaml-file DIR/working-dir/delete/delete-images.yaml docker://{target}\n\
         # and let the registry collect its garbage. Leave `--force-cache-delete` out: the cache is still needed.\n\
         {yaml}",
        found.applied
    ))
}

/// The configuration could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the delete configuration")]
struct NotYaml(#[source] serde_yaml::Error);

impl Fault for NotYaml {
    fn id(&self) -> ErrorId {
        ErrorId::Bug
    }
}
