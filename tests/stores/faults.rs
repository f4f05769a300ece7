//! What a wire, a gateway or a server that is unwell does to single requests: it is overcome, or told as what it is,
//! and never becomes a wrong byte.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::location::{S3Location, StoreLocation};
use mimeograph_manifest::io::s3::{Patience, S3Store};
use mimeograph_manifest::io::store::{Discard as _, Fetch as _, Put, Shelve as _};
use mimeograph_manifest::layout::{CHUNKS, Key};
use mimeograph_manifest::limits;
use mimeograph_manifest::name::Sequence;
use mimeograph_tests::faults::{Asked, Fault, Faults};
use mimeograph_tests::s3::{Quirk, S3Server};

use crate::apart::run_apart;
use crate::behaviours::{get, names, noise, put, put_chunk};
use crate::server::told;

const FIRST: Key = Key::Manifest(Sequence::FIRST);

/// More than the system takes from a sender before anybody reads.
const LARGE: usize = 12 << 20;

/// Long enough for a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

fn patience() -> Patience {
    Patience {
        attempts: 4,
        backoff: Duration::from_millis(5),
        connect: Duration::from_secs(5),
        stalled: Duration::from_millis(700),
        answer: Duration::from_secs(3),
    }
}

/// The server's bucket by way of the proxy.
fn through(proxy: &Faults, server: &S3Server, patience: Patience) -> S3Store {
    let place = S3Location {
        endpoint: Some(proxy.endpoint.clone()),
        ..server.location("x")
    };
    S3Store::open_as(&place, server.login(), patience).unwrap()
}

fn unhealthy() -> (S3Server, Faults, S3Store) {
    let server = S3Server::start();
    let proxy = Faults::before(&server.endpoint);
    let store = through(&proxy, &server, patience());
    (server, proxy, store)
}

/// What passes by itself. `400 RequestTimeout` is how AWS tells of a body that did not come.
fn passing() -> Vec<Fault> {
    vec![
        Fault::error(500, "InternalError"),
        Fault::error(502, "BadGateway"),
        Fault::error(503, "ServiceUnavailable"),
        Fault::error(400, "RequestTimeout"),
        Fault::slow_down(0),
        Fault::ResetRequest,
        Fault::LoseAnswer,
        Fault::ResetBody,
        Fault::TruncateBody,
    ]
}

/// Does everything that a store can do, in turn, and holds the results against what must be.
fn everything(store: &S3Store, round: u64) {
    let body = noise(round, 100_000);
    let chunk = Key::Chunk(Digest::of(&body));
    put(store, &chunk, &body).unwrap();
    assert_eq!(put(store, &chunk, &body).unwrap(), Put::AlreadyThere);
    let again = store.put_again(&chunk, Bytes::from(body.clone()), &Digest::of(&body));
    assert_eq!(again.unwrap(), Put::AlreadyThere);
    assert_eq!(get(store, &chunk).unwrap(), body);
    assert_eq!(
        put(store, &chunk, &body[1..]).unwrap_err().id(),
        ErrorId::ChunkDamaged
    );
    let short = Bytes::from(body[1..].to_vec());
    let sum = Digest::of(&short);
    store.replace(&chunk, short.clone(), &sum).unwrap();
    assert_eq!(get(store, &chunk).unwrap(), short);

    let manifest = Key::Manifest(Sequence::try_from(round + 1).unwrap());
    put(store, &manifest, b"{1}").unwrap();
    assert_eq!(put(store, &manifest, b"{1}").unwrap(), Put::AlreadyThere);
    assert_eq!(
        put(store, &manifest, b"{2}").unwrap_err().id(),
        ErrorId::Fork
    );
    assert_eq!(get(store, &manifest).unwrap(), b"{1}");
    let absent = Key::Chunk(Digest::of(b"absent"));
    assert_eq!(get(store, &absent), None);
    assert!(names(store, CHUNKS).contains(&chunk.to_string()));
    store.clock().unwrap().unwrap();
    store.remove(&chunk).unwrap();
    assert_eq!(get(store, &chunk), None);
}

/// Every request of everything meets with every fault once, in turn.
fn overcomes_all(proxy: &Faults, open: &dyn Fn() -> S3Store, honours: bool) {
    let probe = open();
    assert_eq!(probe.refuses_overwrite().unwrap(), honours);
    everything(&probe, 0);
    let requests = proxy.asked().len();
    let faults = passing();
    for (round, fault) in (1..).zip(&faults) {
        // Each attempt counts, so that of two in a row only one goes wrong.
        for odd in [0, 1] {
            let mut count = 0;
            let fault = fault.clone();
            proxy.strike(move |_| {
                count += 1;
                (count % 2 == odd).then(|| fault.clone())
            });
            let store = open();
            assert_eq!(store.refuses_overwrite().unwrap(), honours);
            everything(&store, round * 2 + odd);
        }
        assert!(proxy.asked().len() > requests * 2);
    }
}

#[test]
fn what_passes_by_itself_is_overcome_at_every_request() {
    let (server, proxy, _) = unhealthy();
    overcomes_all(&proxy, &|| through(&proxy, &server, patience()), true);
}

#[test]
fn what_passes_by_itself_is_overcome_where_the_condition_is_ignored() {
    let server = S3Server::start_with(Quirk::IgnoresConditions);
    let proxy = Faults::before(&server.endpoint);
    overcomes_all(&proxy, &|| through(&proxy, &server, patience()), false);
}

#[cfg(feature = "real-servers")]
#[test]
fn what_passes_by_itself_is_overcome_before_a_real_server() {
    use mimeograph_tests::servers::Weed;

    let weed = Weed::start();
    let proxy = Faults::before(&weed.endpoint);
    let place = S3Location {
        endpoint: Some(proxy.endpoint.clone()),
        ..weed.location("faults")
    };
    let open = || S3Store::open_as(&place, Weed::login(), patience()).unwrap();
    overcomes_all(&proxy, &open, true);
}

#[test]
fn what_does_not_pass_is_unreachable_and_nothing_half_is_left() {
    let (server, proxy, store) = unhealthy();
    store.refuses_overwrite().unwrap();
    let body = noise(1, 100_000);
    let chunk = Key::Chunk(Digest::of(&body));
    for fault in passing() {
        let is_put = |asked: &Asked| asked.method == "PUT";
        let does_it = matches!(
            fault,
            Fault::LoseAnswer | Fault::ResetBody | Fault::TruncateBody
        );
        if !does_it {
            let struck = fault.clone();
            proxy.strike(move |_| Some(struck.clone()));
            for error in [
                put(&store, &chunk, &body).unwrap_err(),
                put(&store, &FIRST, b"{1}").unwrap_err(),
                store.list("", &mut |_| ()).unwrap_err(),
                store.get(&chunk, 9, &mut Vec::new()).unwrap_err(),
            ] {
                let told = told(&error);
                assert_eq!(error.id(), ErrorId::StoreUnreachable, "{fault:?}: {told}");
                assert!(error.id().exit().is_worth_retrying());
            }
            proxy.calm();
            assert_eq!(names(&store, CHUNKS), Vec::<String>::new(), "{fault:?}");
        }
        // Whatever came of the PUTs: what lies there is whole, and what does not can be put.
        let struck = fault.clone();
        proxy.strike(move |asked| is_put(asked).then(|| struck.clone()));
        let _ = put(&store, &chunk, &body);
        proxy.calm();
        put(&store, &chunk, &body).unwrap();
        assert_eq!(get(&server.store("x"), &chunk).unwrap(), body, "{fault:?}");
        store.remove(&chunk).unwrap();
    }
}

#[test]
fn forbidden_in_the_middle_is_told_at_once() {
    let (_server, proxy, store) = unhealthy();
    let chunk = put_chunk(&store, b"chunk");
    proxy.strike(|_| Some(Fault::error(403, "AccessDenied")));
    proxy.asked();
    for error in [
        put(&store, &FIRST, b"{1}").unwrap_err(),
        store.get(&chunk, 9, &mut Vec::new()).unwrap_err(),
        store.list("", &mut |_| ()).unwrap_err(),
    ] {
        let told = told(&error);
        assert_eq!(error.id(), ErrorId::StoreForbidden, "{told}");
        assert!(told.contains("AccessDenied"), "{told}");
    }
    assert_eq!(proxy.asked().len(), 3);
    // Looked at first, by a HEAD, whose answer has no words.
    let again = store.put_again(&chunk, Bytes::from_static(b"chunk"), &Digest::of(b"chunk"));
    let error = again.unwrap_err();
    assert_eq!(error.id(), ErrorId::StoreForbidden, "{}", told(&error));
    proxy.calm();
    assert_eq!(put(&store, &FIRST, b"{1}").unwrap(), Put::Written);
}

#[test]
fn an_answer_that_is_short_and_says_so_is_seen_by_its_reader() {
    let (_server, proxy, store) = unhealthy();
    let body = noise(1, 100_000);
    let chunk = put_chunk(&store, &body);
    proxy.strike_next([Fault::ShortenBody], Asked::is_chunk);
    assert_eq!(get(&store, &chunk).unwrap(), body[..50_000]);
    // And by the store itself, where it compares.
    put(&store, &FIRST, b"{12}").unwrap();
    proxy.strike_next([Fault::ShortenBody], |asked| asked.method == "GET");
    assert_eq!(
        put(&store, &FIRST, b"{12}").unwrap_err().id(),
        ErrorId::Fork
    );
    // Half a list is none, though the SDK takes it for a short one.
    proxy.strike_next([Fault::ShortenBody], Asked::is_list);
    assert_eq!(names(&store, CHUNKS), [chunk.to_string()]);
    proxy.strike(|asked| asked.is_list().then_some(Fault::ShortenBody));
    let error = store.list("", &mut |_| ()).unwrap_err();
    assert_eq!(error.id(), ErrorId::StoreUnreachable, "{}", told(&error));
}

#[test]
fn a_body_that_stalls_on_its_way_there_is_sent_again() {
    let (server, proxy, store) = unhealthy();
    store.refuses_overwrite().unwrap();
    let body = noise(1, LARGE);
    let begun = Instant::now();
    proxy.strike_next([Fault::StallRequest, Fault::StallRequest], Asked::is_chunk);
    let chunk = put_chunk(&store, &body);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(get(&server.store("x"), &chunk).unwrap(), body);
}

#[test]
fn a_server_that_takes_a_body_and_says_nothing_is_asked_again() {
    let (server, proxy, store) = unhealthy();
    store.refuses_overwrite().unwrap();
    let body = noise(1, LARGE);
    let begun = Instant::now();
    proxy.strike_next([Fault::StallAnswer], Asked::is_chunk);
    let chunk = Key::Chunk(Digest::of(&body));
    assert_eq!(put(&store, &chunk, &body).unwrap(), Put::AlreadyThere);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(get(&server.store("x"), &chunk).unwrap(), body);
}

#[test]
fn a_body_that_stalls_on_its_way_back_is_read_again() {
    let (_server, proxy, store) = unhealthy();
    let body = noise(1, LARGE);
    let chunk = put_chunk(&store, &body);
    let begun = Instant::now();
    proxy.strike_next([Fault::StallBody], Asked::is_chunk);
    assert_eq!(get(&store, &chunk).unwrap(), body);
    proxy.strike_next([Fault::StallBody, Fault::StallAnswer], Asked::is_list);
    assert_eq!(names(&store, CHUNKS), [chunk.to_string()]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_body_that_is_slow_and_gets_on_is_not_cut_off() {
    let (server, proxy, _) = unhealthy();
    let patience = Patience {
        stalled: Duration::from_millis(1500),
        ..patience()
    };
    let store = through(&proxy, &server, patience);
    store.refuses_overwrite().unwrap();
    let body = noise(1, LARGE);
    // Longer in all than a stall may last.
    proxy.strike_next([Fault::Slow(Duration::from_secs(3))], Asked::is_chunk);
    proxy.asked();
    let chunk = put_chunk(&store, &body);
    assert_eq!(proxy.asked().len(), 1);
    assert_eq!(get(&server.store("x"), &chunk).unwrap(), body);
}

#[test]
fn a_server_that_asks_for_time_is_given_it() {
    let (_server, proxy, store) = unhealthy();
    let chunk = put_chunk(&store, b"chunk");
    proxy.asked();
    proxy.strike_next([Fault::slow_down(1)], |_| true);
    assert_eq!(get(&store, &chunk).unwrap(), b"chunk");
    let asked = proxy.asked();
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(1));
}

#[test]
fn many_faults_do_not_use_up_the_tries_of_later_requests() {
    let (_server, proxy, store) = unhealthy();
    let chunk = put_chunk(&store, b"chunk");
    // Three of four requests fail, for longer than the SDK's own quota lasts.
    let mut count = 0;
    proxy.strike(move |_| {
        count += 1;
        (count % 4 != 0).then(|| Fault::error(503, "SlowDown"))
    });
    for _ in 0..60 {
        assert_eq!(get(&store, &chunk).unwrap(), b"chunk");
    }
}

/// Hands out credentials to programs in containers, a new token each time, and tells of those up to `expired`.
fn hands_out(proxy: &Faults, server: &S3Server, expired: usize, answer: &Fault) {
    let (id, secret) = (server.access_key.clone(), server.secret_key.clone());
    let (mut given, answer) = (0, answer.clone());
    proxy.strike(move |asked| {
        if asked.target == "/credentials" {
            given += 1;
            return Some(Fault::credentials(&id, &secret, &format!("token-{given}")));
        }
        let token = asked.header("x-amz-security-token")?;
        let number: usize = token.trim_start_matches("token-").parse().ok()?;
        (number <= expired).then(|| answer.clone())
    });
}

fn in_a_container(proxy: &Faults, server: &S3Server, test: &str) {
    run_apart(
        &["env"],
        test,
        &[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{}/credentials", proxy.endpoint),
            ),
            ("AWS_ENDPOINT_URL_S3", &proxy.endpoint),
            ("BUCKET_NAME", &server.bucket),
        ],
    );
}

#[test]
fn credentials_that_expire_early_are_renewed() {
    for status in [400, 403] {
        let server = S3Server::start();
        let proxy = Faults::before(&server.endpoint);
        hands_out(&proxy, &server, 2, &Fault::error(status, "ExpiredToken"));
        in_a_container(
            &proxy,
            &server,
            "faults::a_store_with_credentials_that_expire",
        );
        let asked = proxy.asked();
        let given = asked.iter().filter(|asked| asked.target == "/credentials");
        assert_eq!(given.count(), 3);
    }
}

#[test]
#[ignore = "needs variables: run by the test before"]
fn a_store_with_credentials_that_expire() {
    let place = StoreLocation::parse("s3:///streams/one").unwrap();
    let store = place.open().unwrap();
    let key = put_chunk(&*store, b"chunk");
    assert_eq!(get(&*store, &key).unwrap(), b"chunk");
}

#[test]
fn credentials_that_cannot_be_renewed_are_forbidden() {
    let server = S3Server::start();
    let proxy = Faults::before(&server.endpoint);
    let (id, secret) = (server.access_key.clone(), server.secret_key.clone());
    proxy.strike(move |asked| {
        Some(match asked.target.as_str() {
            "/credentials" => Fault::credentials(&id, &secret, "the same"),
            _ => Fault::error(400, "ExpiredToken"),
        })
    });
    in_a_container(&proxy, &server, "faults::a_store_with_expired_credentials");
    // One that is refused, one new try.
    assert_eq!(proxy.asked().len(), 4);
}

#[test]
#[ignore = "needs variables: run by the test before"]
fn a_store_with_expired_credentials() {
    let place = StoreLocation::parse("s3:///streams/one").unwrap();
    let store = place.open_to_read().unwrap();
    let read = store.get(&FIRST, limits::CHUNK_SIZE, &mut Vec::new());
    let error = read.unwrap_err();
    assert_eq!(error.id(), ErrorId::StoreForbidden, "{}", told(&error));
    assert!(told(&error).contains("ExpiredToken"), "{}", told(&error));
}
