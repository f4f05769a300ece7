//! The registry of the harness, as clients see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mimeograph_tests::registry::{Indexes, Options, Registry};
use serde_json::{Value, json};

type Answer = ureq::http::Response<ureq::Body>;

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

fn get(registry: &Registry, path: &str) -> Answer {
    agent()
        .get(format!("http://{}{path}", registry.host()))
        .call()
        .unwrap()
}

fn body(mut answer: Answer) -> Value {
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers()[name].to_str().unwrap().to_owned()
}

#[test]
fn images_indexes_and_deep_names_are_served() {
    let registry = Registry::start();
    let one = registry.put_image("a/b/c/d", "one", &[b"layer one".to_vec()]);
    let two = registry.put_image("a/b/c/d", "two", &[b"layer two".to_vec()]);
    let index = registry.put_index("a/b/c/d", "both", &[one.clone(), two]);
    let answer = get(&registry, "/v2/a/b/c/d/manifests/both");
    assert_eq!(header(&answer, "docker-content-digest"), index);
    assert_eq!(
        header(&answer, "content-type"),
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(body(answer)["manifests"][0]["digest"], json!(one));
    let tags = body(get(&registry, "/v2/a/b/c/d/tags/list"));
    assert_eq!(
        tags,
        json!({ "name": "a/b/c/d", "tags": ["both", "one", "two"] })
    );
    assert_eq!(
        body(get(&registry, "/v2/_catalog")),
        json!({ "repositories": ["a/b/c/d"] })
    );
    assert_eq!(registry.requests(), 3);
}

#[test]
fn lists_come_in_pages() {
    let registry = Registry::start();
    for tag in ["a", "b", "c"] {
        registry.put_image("r", tag, &[]);
    }
    let answer = get(&registry, "/v2/r/tags/list?n=2");
    assert_eq!(
        header(&answer, "link"),
        "</v2/r/tags/list?n=2&last=b>; rel=\"next\""
    );
    assert_eq!(
        body(get(&registry, "/v2/r/tags/list?n=2&last=b"))["tags"],
        json!(["c"])
    );
}

#[test]
fn blobs_are_uploaded_in_pieces_mounted_and_read_in_ranges() {
    let registry = Registry::start();
    let host = registry.host();
    let start = agent()
        .post(format!("http://{host}/v2/r/blobs/uploads/"))
        .send_empty()
        .unwrap();
    assert_eq!(start.status(), 202);
    let location = header(&start, "location");
    let patched = agent()
        .patch(format!("http://{host}{location}"))
        .send(&b"hello "[..])
        .unwrap();
    assert_eq!(
        (
            patched.status().as_u16(),
            header(&patched, "range").as_str()
        ),
        (202, "0-5")
    );
    // `printf 'hello world' | sha256sum`
    let digest = "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    let put = agent()
        .put(format!("http://{host}{location}?digest={digest}"))
        .send(&b"world"[..])
        .unwrap();
    assert_eq!(put.status(), 201);
    let part = agent()
        .get(format!("http://{host}/v2/r/blobs/{digest}"))
        .header("range", "bytes=6-8")
        .call()
        .unwrap();
    assert_eq!(header(&part, "content-range"), "bytes 6-8/11");
    assert_eq!(part.into_body().read_to_string().unwrap(), "wor");
    let mount = format!("http://{host}/v2/other/blobs/uploads/?mount={digest}&from=r");
    assert_eq!(agent().post(mount).send_empty().unwrap().status(), 201);
    let unknown = format!("http://{host}/v2/other/blobs/uploads/?mount={digest}&from=nowhere");
    assert_eq!(agent().post(unknown).send_empty().unwrap().status(), 202);
    assert_eq!(registry.blob("other", digest).unwrap(), b"hello world");
}

#[test]
fn what_does_not_match_its_digest_is_refused() {
    let registry = Registry::start();
    let host = registry.host();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let upload = format!("http://{host}/v2/r/blobs/uploads/?digest={wrong}");
    let answer = agent().post(upload).send(&b"hello"[..]).unwrap();
    assert_eq!(
        (answer.status().as_u16(), &body(answer)["errors"][0]["code"]),
        (400, &json!("DIGEST_INVALID"))
    );
    assert_eq!(registry.snapshot().len(), 0);
}

#[test]
fn a_manifest_needs_its_blobs_and_an_index_its_instances() {
    let registry = Registry::start();
    let absent = json!({ "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
    let image = json!({ "schemaVersion": 2, "config": absent, "layers": [] });
    let index = json!({ "schemaVersion": 2, "manifests": [absent] });
    for document in [&image, &index] {
        let url = format!("http://{}/v2/r/manifests/v1", registry.host());
        let answer = agent().put(url).send(document.to_string()).unwrap();
        assert_eq!(
            (answer.status().as_u16(), &body(answer)["errors"][0]["code"]),
            (400, &json!("MANIFEST_BLOB_UNKNOWN"))
        );
    }
    let sparse = Registry::start_with(Options {
        indexes: Indexes::Sparse,
        ..Options::default()
    });
    let url = format!("http://{}/v2/r/manifests/v1", sparse.host());
    assert_eq!(
        agent().put(url).send(index.to_string()).unwrap().status(),
        201
    );
}

#[test]
fn manifests_go_with_their_tags() {
    let registry = Registry::start();
    let digest = registry.put_image("r", "v1", &[b"x".to_vec()]);
    let before = registry.snapshot();
    assert_eq!(before["r:v1"], digest);
    assert_eq!(before[&format!("r@{digest}")], digest);
    let url = format!("http://{}/v2/r/manifests/{digest}", registry.host());
    assert_eq!(agent().delete(&url).call().unwrap().status(), 202);
    assert_eq!(get(&registry, "/v2/r/manifests/v1").status(), 404);
    assert_eq!(agent().delete(&url).call().unwrap().status(), 404);
    assert_ne!(registry.snapshot(), before);
}

#[test]
fn credentials_are_asked_for() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let registry = Registry::start_with(Options {
        credentials,
        ..Options::default()
    });
    let refused = get(&registry, "/v2/");
    assert_eq!(
        (
            refused.status().as_u16(),
            header(&refused, "www-authenticate").as_str()
        ),
        (401, "Basic realm=\"registry\"")
    );
    let url = format!("http://{}/v2/", registry.host());
    let answer = agent()
        .get(url)
        .header("authorization", "Basic dXNlcjpzZWNyZXQ=")
        .call()
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn content_in_a_folder_outlives_the_registry() {
    let dir = tempfile::tempdir().unwrap();
    let first = Registry::start_at(dir.path());
    first.put_image("deep/name", "v1", &[b"x".to_vec()]);
    let before = first.snapshot();
    let host = first.host();
    drop(first);
    assert!(agent().get(format!("http://{host}/v2/")).call().is_err());
    assert_eq!(Registry::start_at(dir.path()).snapshot(), before);
}
