//! Files of catalogues, good and bad.

use std::fs;

use mimeograph_manifest::catalog::{Catalog, CatalogError, Reader};
use mimeograph_manifest::limits;

use crate::{folder, parse, recorded};

fn read(text: &str) -> Result<Catalog, CatalogError> {
    let mut reader = Reader::default();
    reader.read("configs/a/catalog.json", text.as_bytes())?;
    Ok(reader.finish())
}

#[test]
fn yaml_documents_say_the_same_as_json_objects() {
    let mut reader = Reader::default();
    for name in ["alpha", "beta", "gamma"] {
        let json = fs::read_to_string(recorded("whole").join(format!("{name}.json"))).unwrap();
        let objects = serde_json::Deserializer::from_str(&json).into_iter::<serde_json::Value>();
        let documents = objects.map(|object| serde_yaml::to_string(&object.unwrap()).unwrap());
        let yaml = format!(
            "# {name}\n---\n{}",
            documents.collect::<Vec<_>>().join("---\n")
        );
        reader.read("catalog.yaml", yaml.as_bytes()).unwrap();
    }
    let whole = folder("whole");
    assert_eq!(reader.finish(), whole);
    assert_eq!(
        whole.packages["alpha"].bundles["alpha.v1.0.0"].version,
        "1.0.0"
    );
    assert_eq!(whole.bundles().count(), 4 + 1 + 2);
}

#[test]
fn other_schemas_are_passed_over_whatever_they_hold() {
    let text = r#"
        {"schema":"olm.deprecations","package":"a","entries":[{"reference":{"schema":"olm.bundle"},"message":"m"}]}
        {"schema":"olm.package","name":"a","defaultChannel":"s","icon":{"base64data":"AA=="}}
        {"schema":"olm.gvk","properties":7}
        {"schema":"olm.channel","package":"a","name":"s","entries":null}
        {"schema":"olm.bundle","package":"a","name":"a.v1","properties":[{"type":"x","value":[1]},{"type":"olm.package","value":{"version":"1.0.0"}}],"relatedImages":null}"#;
    let catalog = parse(text);
    let package = &catalog.packages["a"];
    assert_eq!(package.default_channel.as_deref(), Some("s"));
    assert!(package.channels["s"].is_empty());
    assert_eq!(package.bundles["a.v1"].version, "1.0.0");
}

#[test]
fn what_cannot_be_read_names_its_file() {
    let long = "x".repeat(limits::TEXT_LENGTH + 1);
    for text in [
        r#"{"schema":"#,
        r#"{"schema":"olm.package","name":"a"} x"#,
        r#"{"schema":"olm.package","name":1}"#,
        r#"{"schema":"olm.package"}"#,
        r#"{"name":"a"}"#,
        r#"{"schema":"olm.channel","name":"s","entries":[]}"#,
        r#"{"schema":"olm.channel","package":"a","name":"s","entries":[{}]}"#,
        r#"{"schema":"olm.bundle","package":"a","name":"b","properties":[{"type":"olm.package","value":{"version":1}}]}"#,
        r#"{"schema":"olm.package","name":"a\u0007"}"#,
        &format!(r#"{{"schema":"olm.package","name":"{long}"}}"#),
        r#"{"schema":"olm.package","name":"a"}{"schema":"olm.package","name":"a"}"#,
        "schema: olm.package\nname: [",
        "schema: olm.package\nname: a\n---\nschema: olm.package\nname: a\n",
        "just a text",
        "\u{0}",
    ] {
        let error = read(text).expect_err(text);
        assert!(
            error.to_string().contains("configs/a/catalog.json"),
            "{error}"
        );
    }
}

#[test]
fn sizes_are_bounded() {
    let mut reader = Reader::default();
    let padding = " ".repeat(limits::CATALOG_OBJECT_SIZE);
    let object = format!(r#"{{"schema":"x"{padding}}}"#);
    let error = reader.read("a", object.as_bytes()).unwrap_err();
    assert!(matches!(error, CatalogError::TooLarge { .. }), "{error}");

    let mut reader = Reader::default();
    let object = r#"{"schema":""}"#.replace("\"\"", "\"x\"").repeat(100_000);
    let mut rounds = 0;
    while reader.read("a", object.as_bytes()).is_ok() {
        rounds += 1;
        assert!(rounds <= limits::CATALOG_ITEMS / 100_000);
    }
    assert_eq!(rounds, limits::CATALOG_ITEMS / 100_000);
}
