//! What a registry is asked with: credentials, and certificates of the user's own authorities.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mimeograph_manifest::limits;
use oci_client::client::{Certificate, CertificateEncoding};
use oci_client::secrets::RegistryAuth;

/// The `auths` of a `config.json`; what cannot be read is left out, and the registry then says so.
pub(super) fn parse_credentials(json: &[u8]) -> Vec<(String, RegistryAuth)> {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(json) else {
        return Vec::new();
    };
    let entries = json.get("auths").and_then(serde_json::Value::as_object);
    entries
        .into_iter()
        .flatten()
        .filter_map(|(place, entry)| Some((plain(place), auth(entry)?)))
        .collect()
}

/// Docker writes some places as addresses, `https://index.docker.io/v1/`.
fn plain(place: &str) -> String {
    let place = place
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    place.trim_end_matches('/').to_owned()
}

fn auth(entry: &serde_json::Value) -> Option<RegistryAuth> {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(serde_json::Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if let Some(token) = text("registrytoken") {
        return Some(RegistryAuth::Bearer(token.to_owned()));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()));
    }
    let pair = String::from_utf8(STANDARD.decode(text("auth")?).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(RegistryAuth::Basic(
        user.to_owned(),
        password.trim_end_matches('\0').to_owned(),
    ))
}

/// Certificates of authorities that the user has put where containers/image looks for this registry's.
pub(super) fn certificates(host: &str) -> Vec<Certificate> {
    let folders = ["/etc/containers/certs.d", "/etc/docker/certs.d"]
        .map(|folder| PathBuf::from(folder).join(host));
    let mut found = Vec::new();
    for entry in folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
    {
        let path = entry.path();
        let is_small = entry
            .metadata()
            .is_ok_and(|metadata| metadata.len() <= limits::CONFIG_SIZE);
        if is_small
            && path.extension().is_some_and(|end| end == "crt")
            && let Ok(data) = fs::read(&path)
        {
            found.push(Certificate {
                encoding: CertificateEncoding::Pem,
                data,
            });
        }
    }
    found
}
