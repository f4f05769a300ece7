//! What the source has is what the target serves, byte for byte, whatever lies between.

use mimeograph_tests::gap::Gap;
use mimeograph_tests::s3::S3Server;

use crate::client;
use crate::lab::{Lab, done, layer};

/// Puts an index beside the single images of the lab.
fn with_an_index(gap: &Gap) {
    let members = [8, 9].map(|n| {
        gap.source
            .put_image("deep/er/both", &format!("only-{n}"), &[layer(n)])
    });
    gap.source.put_index("deep/er/both", "v1", &members);
    gap.ask_for(&["apps/1:v1", "apps/2:v1", "deep/er/both:v1"])
        .unwrap();
}

/// Both sides run, then one more image goes the same way; every image arrives as it was.
fn goes_the_whole_way(lab: &Lab) {
    for _ in 0..2 {
        done(&lab.bundler(&["run"]));
        done(&lab.populator(&["verify"]));
        done(&lab.populator(&["run"]));
    }
    for repository in ["apps/1", "apps/2", "deep/er/both"] {
        let arrived = client::read(&lab.target_host, &format!("mirror/{repository}"), "v1");
        let sent = client::read(&lab.source_host, repository, "v1");
        // Not `assert_eq`, which would print megabytes.
        assert!(arrived == sent, "{repository} is not what it was");
    }
}

#[test]
fn images_arrive_byte_for_byte_over_a_directory() {
    goes_the_whole_way(&Lab::with(|gap| with_an_index(gap)));
}

/// An `s3:` part for this server; the credentials are never in the file.
fn bucket(name: &str, endpoint: &str) -> String {
    format!(
        "s3:\n  bucket:\n    name: {name}\n    endpoint: {endpoint}/\n    subDir: streams/one\n"
    )
}

#[test]
fn images_arrive_byte_for_byte_over_s3() {
    let server = S3Server::start();
    goes_the_whole_way(&Lab::with(|gap| {
        with_an_index(gap);
        for (name, value) in server.environment() {
            gap.environment.push((name.to_owned(), value));
        }
        gap.configure(&bucket(&server.bucket, &server.endpoint))
            .unwrap();
    }));
}

#[cfg(feature = "real-servers")]
#[test]
fn images_arrive_byte_for_byte_over_real_servers() {
    use mimeograph_tests::servers::{DockerRegistry, Weed};

    let (source, target, weed) = (
        DockerRegistry::start(),
        DockerRegistry::start(),
        Weed::start(),
    );
    goes_the_whole_way(&Lab::with(|gap| {
        with_an_index(gap);
        for repository in ["apps/1", "apps/2", "deep/er/both"] {
            client::push(
                &source.host,
                repository,
                &client::read(&gap.source_host, repository, "v1"),
            );
        }
        gap.source_host.clone_from(&source.host);
        gap.target_host.clone_from(&target.host);
        gap.ask_for(&["apps/1:v1", "apps/2:v1", "deep/er/both:v1"])
            .unwrap();
        for (name, value) in Weed::environment() {
            gap.environment.push((name.to_owned(), value.to_owned()));
        }
        gap.configure(&bucket(Weed::BUCKET, &weed.endpoint))
            .unwrap();
    }));
}
