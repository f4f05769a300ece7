use std::path::Path;

use super::table::{SHAPE, TOGETHER, VALUES};
use super::{HEAD, MIRROR, parse, with};
use crate::failure::{ErrorId, Fault as _};
use crate::io::config::{Config, ConfigError, Operation};

fn mistake(text: &str) -> (String, String) {
    let error = parse(text, Operation::Bundle).unwrap_err();
    assert_eq!(error.id(), ErrorId::ConfigInvalid, "{error}");
    (error.to_string(), error.hint().unwrap())
}

/// From line 4 of a file that is right up to there: what stands there, message and hint.
#[test]
fn each_mistake_names_file_line_field_value_and_remedy() {
    for (yaml, message, hint) in SHAPE.iter().chain(VALUES).chain(TOGETHER) {
        let found = mistake(&with(yaml));
        assert_eq!(
            found,
            (format!("/etc/m/config.yaml:{message}"), (*hint).to_owned()),
            "{yaml}"
        );
    }
}
#[test]
fn mistakes_below_mirror_name_their_place() {
    for (yaml, message, hint) in [
        (
            "  targetRegistryURI: docker://r.example.com/a",
            "5:3: `mirror.targetRegistryURI` is `docker://r.example.com/a`, which begins with `docker://`",
            "write it without: `r.example.com/a`",
        ),
        (
            "  targetRegistryURI: 'https://me:hidden@r'",
            "5:3: `mirror.targetRegistryURI` has an `@`: neither credentials nor a digest belong there",
            "write `host[:port][/namespace]`, such as `registry.example.com:5000/mimeograph`; credentials are read from `mirror.ocMirror.authFile`",
        ),
        (
            "  ocMirror:\n    version: v3",
            "6:5: `mirror.ocMirror.version` is `v3`, which is not a version of its command line",
            "write `auto`, `v1` or `v2`",
        ),
        (
            "  ocMirror:\n    timeout: 12 hours",
            "6:5: `mirror.ocMirror.timeout` is `12 hours`, which is not a duration",
            "write numbers with the units d, h, m or s, such as `90d`, `12h` or `1h30m`",
        ),
        (
            "  ocMirror:\n    retries: 101",
            "6:5: `mirror.ocMirror.retries` is `101`, which is not a number from 0 to 100",
            "write a number from 0 to 100",
        ),
        (
            "  ocMirror:\n    path: ''",
            "6:5: `mirror.ocMirror.path` is ``, which is empty",
            "write an absolute path, or one relative to the folder of this file",
        ),
        (
            "  ocMirror:\n    extraArgs: ['']",
            "6:17: `mirror.ocMirror.extraArgs[0]` is ``, which is not an argument",
            "write each argument as its own element",
        ),
        (
            "  ocMirror:\n    env: { A-B: hidden }",
            "6:12: `mirror.ocMirror.env.A-B` is not named as an environment variable",
            "write letters, digits and `_`, no digit first",
        ),
        (
            "  ocMirror:\n    env: { TOKEN: [hidden] }",
            "6:12: `mirror.ocMirror.env.TOKEN` is not a text",
            "write a text, in quotes where it looks like something else",
        ),
        (
            "  ocMirror:\n    sourceTlsVerify: false",
            "6:5: there is no field `mirror.ocMirror.sourceTlsVerify`",
            "did you mean `sourceTLSVerify`?",
        ),
    ] {
        let text = format!("{HEAD}mirror:\n  imagesetConfig: i.yaml\n{yaml}\n");
        let found = mistake(&text);
        assert_eq!(
            found,
            (format!("/etc/m/config.yaml:{message}"), hint.to_owned()),
            "{yaml}"
        );
        assert!(!found.0.contains("hidden"));
    }
}

#[test]
fn a_file_of_another_kind_says_what_to_write() {
    for (text, message, hint) in [
        (
            "",
            " the file is empty",
            "begin with `apiVersion: mimeograph.io/v1alpha1`",
        ),
        (
            "# nothing\n",
            " the file is empty",
            "begin with `apiVersion: mimeograph.io/v1alpha1`",
        ),
        (
            "hello",
            "1:1: the file is `hello`, not a group of fields",
            "write its fields below it, indented",
        ),
        (
            "kind: MimeographConfiguration",
            " `apiVersion` is missing",
            "write `apiVersion: mimeograph.io/v1alpha1`",
        ),
        (
            "apiVersion: mirror.openshift.io/v2alpha1\nkind: ImageSetConfiguration",
            "1:1: `apiVersion` is `mirror.openshift.io/v2alpha1`, not `mimeograph.io/v1alpha1`",
            "write `apiVersion: mimeograph.io/v1alpha1`",
        ),
        (
            "apiVersion: mimeograph.io/v1alpha1\nkind: Mimeograph",
            "2:1: `kind` is `Mimeograph`, not `MimeographConfiguration`",
            "write `kind: MimeographConfiguration`",
        ),
        (
            HEAD,
            " `mirror.imagesetConfig` is missing",
            "write the path of the `ImageSetConfiguration` file",
        ),
    ] {
        let found = mistake(text);
        let message = format!("/etc/m/config.yaml:{message}");
        assert_eq!(found, (message, hint.to_owned()), "{text}");
    }
}

#[test]
fn the_other_programs_operation_is_refused_and_the_program_named() {
    for (operation, program, message, hint) in [
        (
            "populate",
            Operation::Bundle,
            "`operation` is `populate`, which `mimeograph-bundler` does not do",
            "run `mimeograph-populator` with this file, or name another with `--config FILE`",
        ),
        (
            "bundle",
            Operation::Populate,
            "`operation` is `bundle`, which `mimeograph-populator` does not do",
            "run `mimeograph-bundler` with this file, or name another with `--config FILE`",
        ),
    ] {
        let text = format!("{HEAD}{MIRROR}operation: {operation}\n");
        let error = parse(&text, program).unwrap_err();
        assert_eq!(error.id(), ErrorId::WrongOperation);
        assert_eq!(
            error.to_string(),
            format!("/etc/m/config.yaml:4:1: {message}")
        );
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}

#[test]
fn the_populator_asks_for_its_target() {
    let text = format!("{HEAD}mirror:\n  imagesetConfig: i.yaml\n");
    let error = parse(&text, Operation::Populate).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/etc/m/config.yaml: `mirror.targetRegistryURI` is missing"
    );
}

#[test]
fn a_file_too_long_or_not_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let load = |bytes: &[u8]| -> ConfigError {
        std::fs::write(&path, bytes).unwrap();
        Config::load(&path, Operation::Bundle).unwrap_err()
    };
    let error = load(&vec![b'#'; (1 << 20) + 1]);
    assert_eq!(error.id(), ErrorId::ConfigInvalid);
    assert_eq!(
        error.to_string(),
        format!(
            "{}: a configuration has at most 1048576 bytes",
            path.display()
        )
    );
    let error = load(b"kind: \xc3\xa9\nna\xe9me: x\n");
    assert_eq!(
        error.to_string(),
        format!("{}:2:3: this is not UTF-8", path.display())
    );
    assert_eq!(error.hint().as_deref(), Some("save the file as UTF-8"));
}

#[test]
fn a_file_that_cannot_be_opened_is_missing() {
    let error = Config::load(Path::new("/absent/config.yaml"), Operation::Bundle).unwrap_err();
    assert_eq!(error.id(), ErrorId::ConfigMissing);
    assert_eq!(error.to_string(), "failed to open the configuration");
}
