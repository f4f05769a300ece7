//! An independent client of registries: plain HTTP, bytes in, bytes out.

use std::collections::BTreeMap;

use serde_json::Value;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const LIMIT: u64 = 1 << 30;

fn get(host: &str, repository: &str, what: &str) -> (Vec<u8>, String) {
    let url = format!("http://{host}/v2/{repository}/{what}");
    let mut answer = ureq::get(&url)
        .header("accept", ACCEPT)
        .call()
        .unwrap_or_else(|error| panic!("{url}: {error}"));
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = answer.body_mut().with_config().limit(LIMIT);
    (body.read_to_vec().unwrap(), kind)
}

/// The digests that a manifest names below `field`.
fn named(manifest: &Value, field: &str) -> Vec<String> {
    let one_or_many = match &manifest[field] {
        Value::Array(many) => many.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let digest = |item: Value| item["digest"].as_str().unwrap().to_owned();
    one_or_many.into_iter().map(digest).collect()
}

/// Everything that an image is made of, by digest: manifests, with their media types, and blobs.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Image {
    manifests: Vec<(String, String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
}

/// Reads an image: the members of an index come before it.
pub(crate) fn read(host: &str, repository: &str, reference: &str) -> Image {
    let mut image = Image::default();
    add(&mut image, host, repository, reference);
    image
}

fn add(image: &mut Image, host: &str, repository: &str, reference: &str) {
    let (bytes, kind) = get(host, repository, &format!("manifests/{reference}"));
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    for member in named(&manifest, "manifests") {
        add(image, host, repository, &member);
    }
    for blob in ["config", "layers"]
        .iter()
        .flat_map(|field| named(&manifest, field))
    {
        let (bytes, _) = get(host, repository, &format!("blobs/{blob}"));
        image.blobs.insert(blob, bytes);
    }
    image.manifests.push((reference.to_owned(), kind, bytes));
}

/// Pushes an image.
#[cfg(any(feature = "real-servers", feature = "real-images"))]
pub(crate) fn push(host: &str, repository: &str, image: &Image) {
    for (digest, bytes) in &image.blobs {
        let url = format!("http://{host}/v2/{repository}/blobs/uploads/");
        let begun = ureq::post(&url).send_empty().unwrap();
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        ureq::put(format!("{place}&digest={digest}"))
            .send(bytes)
            .unwrap();
    }
    for (reference, kind, bytes) in &image.manifests {
        ureq::put(format!(
            "http://{host}/v2/{repository}/manifests/{reference}"
        ))
        .header("content-type", kind)
        .send(bytes)
        .unwrap();
    }
}
