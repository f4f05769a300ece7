//! The registry settings of a load: whatever `oc-mirror` would ask a source registry is answered by its
//! own cache on loopback (contract §7.2, §12).
//!
//! `prefix` and `location`, never `mirror`: a mirror falls back to the source. The user's own entries stay,
//! except those at or below a source host, which would win by their longer prefix.

use std::path::PathBuf;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::disk;
use mimeograph_manifest::io::oc_mirror::environment::Surroundings;
use toml::{Table, Value};

/// Largest settings file, in bytes.
const SIZE: u64 = 1 << 20;

/// The user's settings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the registry settings `{}` are not TOML", path.display())]
struct RegistriesError {
    path: PathBuf,
    source: toml::de::Error,
}

impl Fault for RegistriesError {
    fn id(&self) -> ErrorId {
        ErrorId::ConfigInvalid
    }

    fn hint(&self) -> Option<String> {
        Some("see containers-registries.conf(5)".into())
    }
}

/// The settings for one load, with the user's own where they do not stand in the way.
pub fn for_load(
    source_hosts: &[String],
    around: &Surroundings,
    port: u16,
) -> Result<String, Failure> {
    let mut settings = Table::new();
    for path in files(around) {
        let text = String::from_utf8_lossy(&disk::read_bounded(&path, SIZE)?).into_owned();
        let table = text
            .parse::<Table>()
            .map_err(|source| RegistriesError { path, source })?;
        merge(&mut settings, table);
    }
    Ok(rewrite(settings, source_hosts, port).to_string())
}

/// The user's files, as containers/image finds them: one main file, then drop-ins.
fn files(around: &Surroundings) -> Vec<PathBuf> {
    let home = around
        .path("HOME")
        .map(|home| home.join(".config/containers"));
    let system = PathBuf::from("/etc/containers");
    let main = around.path("CONTAINERS_REGISTRIES_CONF").into_iter();
    let usual = home
        .iter()
        .chain([&system])
        .map(|folder| folder.join("registries.conf"));
    let mut found: Vec<_> = main
        .chain(usual)
        .find(|path| path.is_file())
        .into_iter()
        .collect();
    for folder in [Some(system), home].into_iter().flatten() {
        let entries = std::fs::read_dir(folder.join("registries.conf.d"));
        let mut drop_ins: Vec<_> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "conf") && path.is_file())
            .collect();
        drop_ins.sort();
        found.extend(drop_ins);
    }
    found
}

/// A later file's settings over an earlier one's; registries are added up.
fn merge(settings: &mut Table, later: Table) {
    for (name, value) in later {
        match (settings.get_mut(&name), value) {
            (Some(Value::Array(all)), Value::Array(more)) if name == "registry" => all.extend(more),
            (_, value) => drop(settings.insert(name, value)),
        }
    }
}

fn rewrite(mut settings: Table, source_hosts: &[String], port: u16) -> Table {
    let mut entries = match settings.remove("registry") {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    // Nor is the cache itself looked for elsewhere: an entry for `localhost` holds for all of its ports.
    let cache = format!("localhost:{port}");
    let sources = source_hosts.iter().map(String::as_str);
    let hosts: Vec<_> = sources.chain(["localhost", &cache]).collect();
    entries.retain(|entry| !hosts.iter().any(|host| stands_below(entry, host)));
    for host in source_hosts {
        let mut entry = Table::new();
        entry.insert("prefix".into(), host.clone().into());
        entry.insert("location".into(), format!("127.0.0.1:{port}").into());
        entry.insert("insecure".into(), true.into());
        entries.push(Value::Table(entry));
    }
    settings.insert("registry".into(), Value::Array(entries));
    settings
}

/// Whether an entry's prefix (its location, where it has none) is `host` or below it.
fn stands_below(entry: &Value, host: &str) -> bool {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    text("prefix")
        .or_else(|| text("location"))
        .is_some_and(|prefix| {
            prefix == host
                || prefix
                    .strip_prefix(host)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_answered_by_the_cache_and_the_users_own_entries_stay() {
        let user = r#"
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            location = "quay.io/some/where"
            [[registry]]
            prefix = "quay.io"
            location = "proxy.example.com"
            [[registry]]
            location = "quay.io.example.com"
            insecure = true
            [[registry]]
            prefix = "localhost"
            location = "evil.example.com"
            [[registry]]
            prefix = "localhost:23999/apps"
            location = "evil.example.com"
        "#;
        let settings = rewrite(
            user.parse().unwrap(),
            &["quay.io".into(), "127.0.0.1:5100".into()],
            23_999,
        );
        let entries = settings["registry"].as_array().unwrap();
        let prefix = |n: usize| entries[n].get("prefix").and_then(Value::as_str);
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0]["location"].as_str(), Some("quay.io.example.com"));
        assert_eq!(
            (prefix(1), prefix(2)),
            (Some("quay.io"), Some("127.0.0.1:5100"))
        );
        for entry in &entries[1..] {
            assert_eq!(entry["location"].as_str(), Some("127.0.0.1:23999"));
            assert!(entry.get("mirror").is_none());
        }
        assert_eq!(
            settings["unqualified-search-registries"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert!(settings.to_string().parse::<Table>().is_ok());
    }

    #[test]
    fn drop_ins_add_registries_and_override_the_rest() {
        let mut settings: Table = "a = 1\n[[registry]]\nlocation = \"x\"\n".parse().unwrap();
        merge(
            &mut settings,
            "a = 2\n[[registry]]\nlocation = \"y\"\n".parse().unwrap(),
        );
        assert_eq!(settings["a"].as_integer(), Some(2));
        assert_eq!(settings["registry"].as_array().unwrap().len(), 2);
    }
}
