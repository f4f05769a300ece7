//! What goes wrong with a directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::location::StoreLocation;
use mimeograph_manifest::io::store::{Put, Shelve, StoreError};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::limits;
use mimeograph_manifest::name::Sequence;

use crate::apart::run_apart;
use crate::behaviours::{get, names, noise, put, put_chunk};

const FIRST: Key = Key::Manifest(Sequence::FIRST);

fn open(path: &Path) -> Box<dyn Shelve> {
    StoreLocation::Directory(path.to_owned()).open().unwrap()
}

fn open_error(path: &Path) -> StoreError {
    match StoreLocation::Directory(path.to_owned()).open() {
        Ok(_) => panic!("{} opened", path.display()),
        Err(error) => error,
    }
}

/// Every file below `path`, temporary ones too.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn a_missing_directory_and_a_file_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(
        open_error(&root.path().join("none")).id(),
        ErrorId::InputMissing
    );
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(open_error(&file).id(), ErrorId::ConfigInvalid);
}

#[test]
fn what_is_written_can_be_read_by_all_and_nothing_temporary_is_left() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let chunk = put_chunk(&*store, b"chunk");
    put(&*store, &FIRST, b"{1}").unwrap();
    put(&*store, &FIRST, b"{2}").unwrap_err();
    store
        .replace(&chunk, Bytes::from_static(b"chunk"), &Digest::of(b"chunk"))
        .unwrap();
    let expected = [
        root.path().join(chunk.to_string()),
        root.path().join(FIRST.to_string()),
    ];
    assert_eq!(files(root.path()), expected);
    for file in expected {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file) & 0o444, 0o444, "{}", file.display());
        assert_eq!(
            mode(file.parent().unwrap()) & 0o555,
            0o555,
            "{}",
            file.display()
        );
    }
}

#[test]
fn names_that_begin_with_a_dot_are_not_seen() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    put(&*store, &FIRST, b"{1}").unwrap();
    fs::write(
        root.path()
            .join("manifests/.0000000002.json.0123456789abcdef.part"),
        "{",
    )
    .unwrap();
    fs::create_dir(root.path().join(".Trash-1000")).unwrap();
    fs::write(root.path().join("VERIFY.txt"), "by hand").unwrap();
    assert_eq!(
        names(&*store, ""),
        ["VERIFY.txt", "manifests/0000000001.json"]
    );
}

#[test]
fn a_link_in_the_place_of_an_object_is_refused_and_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::create_dir(root.path().join("manifests")).unwrap();
    symlink(&secret, root.path().join("manifests/0000000001.json")).unwrap();
    let store = open(root.path());

    let mut into = Vec::new();
    let error = store
        .get(&FIRST, limits::MANIFEST_SIZE, &mut into)
        .unwrap_err();
    assert_eq!((error.id(), into.len()), (ErrorId::StoreDamaged, 0));
    assert_eq!(
        put(&*store, &FIRST, b"secret").unwrap_err().id(),
        ErrorId::StoreDamaged
    );
    assert_eq!(
        store.list("", &mut |_| ()).unwrap_err().id(),
        ErrorId::StoreDamaged
    );
    // A repair puts a file where the link was.
    store
        .replace(&FIRST, Bytes::from_static(b"{1}"), &Digest::of(b"{1}"))
        .unwrap();
    assert_eq!(get(&*store, &FIRST).unwrap(), b"{1}");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_link_in_the_place_of_a_folder_leads_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), root.path().join("chunks")).unwrap();
    let store = open(root.path());
    let key = Key::Chunk(Digest::of(b"chunk"));
    assert_eq!(
        put(&*store, &key, b"chunk").unwrap_err().id(),
        ErrorId::StoreDamaged
    );
    assert_eq!(
        store.get(&key, 9, &mut Vec::new()).unwrap_err().id(),
        ErrorId::StoreDamaged
    );
    assert_eq!(
        store.list("", &mut |_| ()).unwrap_err().id(),
        ErrorId::StoreDamaged
    );
    assert_eq!(files(outside.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_directory_itself_may_be_reached_through_a_link() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("real")).unwrap();
    symlink("real", root.path().join("link")).unwrap();
    put(&*open(&root.path().join("link")), &FIRST, b"{1}").unwrap();
    assert_eq!(
        get(&*open(&root.path().join("real")), &FIRST).unwrap(),
        b"{1}"
    );
}

#[test]
fn a_pipe_or_folder_in_the_place_of_an_object_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("manifests")).unwrap();
    let path = root.path().join(FIRST.to_string());
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let store = open(root.path());
    for _ in 0..2 {
        assert_eq!(
            store.get(&FIRST, 9, &mut Vec::new()).unwrap_err().id(),
            ErrorId::StoreDamaged
        );
        assert_eq!(
            put(&*store, &FIRST, b"{1}").unwrap_err().id(),
            ErrorId::StoreDamaged
        );
        assert_eq!(
            store.list("", &mut |_| ()).unwrap_err().id(),
            ErrorId::StoreDamaged
        );
        if path.is_dir() {
            break;
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }
}

#[test]
fn a_foreign_link_or_folder_is_named_and_let_be() {
    let root = tempfile::tempdir().unwrap();
    symlink("/", root.path().join("everything")).unwrap();
    fs::create_dir_all(root.path().join("lost+found/deep")).unwrap();
    fs::write(root.path().join("lost+found/deep/file"), "x").unwrap();
    assert_eq!(
        names(&*open(root.path()), ""),
        ["everything", "lost+found/"]
    );
}

fn given_path() -> PathBuf {
    std::env::var_os("MIMEOGRAPH_TEST_PATH")
        .expect("run by another test")
        .into()
}

fn is_root() -> bool {
    let ours = tempfile::tempdir().unwrap();
    fs::metadata(ours.path()).unwrap().uid() == 0
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let root = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m none \"$MIMEOGRAPH_TEST_PATH\" && exec \"$0\" \"$@\"";
    let own_namespace = if is_root() {
        "--mount"
    } else {
        "--mount --map-root-user"
    };
    let mut wrapper = vec!["unshare"];
    wrapper.extend(own_namespace.split(' '));
    wrapper.extend(["sh", "-c", mount]);
    run_apart(
        &wrapper,
        "directory::on_a_disk_of_one_mebibyte",
        &[("MIMEOGRAPH_TEST_PATH", root.path().to_str().unwrap())],
    );
}

#[test]
#[ignore = "needs a small disk: run by `a_full_disk_leaves_nothing_half_written`"]
fn on_a_disk_of_one_mebibyte() {
    let path = given_path();
    let store = open(&path);
    let small = put_chunk(&*store, &noise(1, 400_000));
    let before = files(&path);
    let large = noise(2, 2 << 20);
    let key = Key::Chunk(Digest::of(&large));
    let error = put(&*store, &key, &large).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(error.id(), ErrorId::NoSpace);
    let replaced = store.replace(&small, Bytes::from(large.clone()), &Digest::of(&large));
    assert_eq!(replaced.unwrap_err().id(), ErrorId::NoSpace);
    assert_eq!(files(&path), before);
    assert_eq!(get(&*store, &small).unwrap(), noise(1, 400_000));
    // There is room again for what fits.
    put_chunk(&*store, &noise(3, 400_000));
}

#[test]
fn a_directory_that_another_user_owns_can_be_read_but_not_written() {
    let root = tempfile::tempdir().unwrap();
    put(&*open(root.path()), &FIRST, b"{1}").unwrap();
    for folder in ["", "manifests"] {
        fs::set_permissions(root.path().join(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--",
    ];
    run_apart(
        if is_root() { &nobody } else { &["env"] },
        "directory::as_a_user_who_may_only_read",
        &[("MIMEOGRAPH_TEST_PATH", root.path().to_str().unwrap())],
    );
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
#[ignore = "needs to be run as another user: see the test before"]
fn as_a_user_who_may_only_read() {
    let path = given_path();
    fs::write(path.join("file"), "x").expect_err("this user must not be able to write here");
    let store = open(&path);
    assert_eq!(get(&*store, &FIRST).unwrap(), b"{1}");
    assert_eq!(names(&*store, ""), ["manifests/0000000001.json"]);
    assert_eq!(put(&*store, &FIRST, b"{1}").unwrap(), Put::AlreadyThere);
    for key in [
        Key::Manifest(Sequence::FIRST.next()),
        Key::Chunk(Digest::of(b"chunk")),
    ] {
        let error = put(&*store, &key, b"chunk").unwrap_err();
        assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");
        assert_eq!(error.id(), ErrorId::StoreForbidden);
    }
}
