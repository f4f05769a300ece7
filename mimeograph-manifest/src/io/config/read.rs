//! Text -> [`RawConfig`]: the shape of the file, and the words for what is wrong with it.

use serde_yaml::Value;

use super::duplicate;
use super::error::ConfigError;
use super::place::{Field, Position};
use super::raw::RawConfig;
use super::source::{Source, shown};
use crate::failure::ErrorId;

/// What the AWS chain is, for those who look for it here.
pub(super) const CREDENTIALS: &str = "take it out: credentials come from the standard AWS chain (environment, profile, web identity, instance role), never from this file";

/// Reads the whole file into its raw form.
pub(super) fn read(source: &Source) -> Result<RawConfig, ConfigError> {
    let value: Value =
        serde_yaml::from_str(&source.text).map_err(|error| malformed(source, &error))?;
    if value.is_null() {
        let remedy = "begin with `apiVersion: mimeograph.io/v1alpha1`";
        let message = "the file is empty".to_owned();
        return Err(source.at(None, message, remedy, ErrorId::ConfigInvalid));
    }
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let field = Field::of(error.path());
        misshapen(source, &value, &field, &error.inner().to_string())
    })
}

/// Not YAML at all.
fn malformed(source: &Source, error: &serde_yaml::Error) -> ConfigError {
    if let Some((field, position)) = duplicate::find(&source.text) {
        let message = format!("`{field}` stands there for the second time");
        let remedy = "take one of the two out";
        return source.at(Some(position), message, remedy, ErrorId::ConfigInvalid);
    }
    let mut message = error.to_string();
    let position = Position::of(error);
    if let Some(Position { line, column }) = position {
        message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
    }
    let remedy = "check quotes and indentation there (spaces, no tabs)";
    source.at(
        position,
        format!("this is not YAML that can be read: {message}"),
        remedy,
        ErrorId::ConfigInvalid,
    )
}

/// YAML, but not of the shape of our fields. `message` is serde's.
fn misshapen(source: &Source, value: &Value, field: &Field, message: &str) -> ConfigError {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown(source, field, rest);
    }
    let expected = message
        .rsplit_once(", expected ")
        .map_or("", |(_, what)| what);
    let (what, remedy) = wanted(expected);
    let subject = if field.is_root() {
        "the file".to_owned()
    } else {
        format!("`{field}`")
    };
    let found = match field.find(value) {
        Some(Value::Null) => "empty".to_owned(),
        Some(Value::Bool(yes)) => format!("`{yes}`"),
        Some(Value::Number(number)) => format!("`{number}`"),
        Some(Value::String(text)) => format!("`{}`", shown(text)),
        Some(Value::Sequence(_)) => "a list".to_owned(),
        Some(Value::Mapping(_)) => "a group of fields".to_owned(),
        Some(Value::Tagged(_)) => "a value with a YAML tag".to_owned(),
        None => "not readable".to_owned(),
    };
    // A variable of oc-mirror's environment may be a secret.
    let message = if subject.starts_with("`mirror.ocMirror.env.") {
        format!("{subject} is not {what}")
    } else {
        format!("{subject} is {found}, not {what}")
    };
    source.wrong(field, message, remedy)
}

/// What a field wants, in our words, and how to write it.
fn wanted(expected: &str) -> (&'static str, &'static str) {
    match expected {
        "a string" => (
            "a text",
            "write a text, in quotes where it looks like something else",
        ),
        "a boolean" => ("a switch", "write `true` or `false`"),
        "u32" => ("a whole number", "write a whole number from 0"),
        "a sequence" => ("a list", "write a list, such as `[one, two]`"),
        _ => ("a group of fields", "write its fields below it, indented"),
    }
}

/// `rest` is what follows "unknown field": the name, then the names that there are.
fn unknown(source: &Source, field: &Field, rest: &str) -> ConfigError {
    let name = field.last();
    let message = format!("there is no field `{field}`");
    if is_credential(name) {
        return source.wrong(field, message, CREDENTIALS);
    }
    let known: Vec<&str> = rest
        .split_once(", expected ")
        .map_or("", |(_, list)| list)
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    let remedy = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.join(", ")),
    };
    source.wrong(field, message, &remedy)
}

fn is_credential(name: &str) -> bool {
    let bare: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    [
        "accesskey",
        "secret",
        "sessiontoken",
        "credential",
        "password",
    ]
    .iter()
    .any(|word| bare.contains(word))
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .iter()
        .map(|known| {
            (
                strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase()),
                *known,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
