//! Helm charts, as far as telling what `oc-mirror` overlooks in them needs (contract §13.2).
//!
//! `oc-mirror` renders a chart with its default values and takes the images of the kinds that it knows. Templates are not
//! rendered here: an image is told by its text in a template, resolved through the default values where that is certain.

mod overlooked;

use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::limits;
use crate::yaml::expanded_size;

pub use overlooked::{Overlooked, overlooked};

/// A chart's files.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// `name` of Chart.yaml.
    pub name: String,
    /// `version` of Chart.yaml.
    pub version: String,
    app_version: String,
    values: serde_yaml::Value,
    /// Path below the chart's folder, and text.
    templates: Vec<(String, String)>,
}

/// A chart that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// Not an archive, or too large.
    #[error("the chart's archive cannot be read")]
    Archive(#[source] io::Error),
    /// A file of it is not YAML.
    #[error("`{file}` of the chart cannot be read")]
    Yaml {
        /// The file.
        file: String,
        /// Why.
        source: serde_yaml::Error,
    },
    /// A file of it repeats itself by YAML aliases.
    #[error("`{0}` of the chart comes to too much, with its aliases")]
    TooLarge(String),
    /// It has no Chart.yaml.
    #[error("the chart has no Chart.yaml")]
    NoChart,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    version: String,
    #[serde(default)]
    app_version: serde_yaml::Value,
}

impl Chart {
    /// Reads a packed chart: `<name>/Chart.yaml`, `<name>/values.yaml`, `<name>/templates/…`.
    pub fn unpack(packed: &[u8]) -> Result<Self, ChartError> {
        let plain = GzDecoder::new(packed).take(limits::CHART_SIZE);
        let mut archive = tar::Archive::new(plain);
        let mut files = Vec::new();
        for entry in archive.entries().map_err(ChartError::Archive)? {
            let mut entry = entry.map_err(ChartError::Archive)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let Some((_, below)) = path.split_once('/') else {
                continue;
            };
            if is_read(below) {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(ChartError::Archive)?;
                files.push((below.to_owned(), bytes));
            }
        }
        Self::of_files(files)
    }

    /// Takes the files of an unpacked one, each with its path below the chart's folder.
    pub fn of_files(files: Vec<(String, Vec<u8>)>) -> Result<Self, ChartError> {
        let mut chart = Self::default();
        let mut metadata = None;
        for (path, bytes) in files {
            let yaml = |source| ChartError::Yaml {
                file: path.clone(),
                source,
            };
            match path.as_str() {
                "Chart.yaml" | "values.yaml" if is_too_large(&bytes) => {
                    return Err(ChartError::TooLarge(path));
                }
                "Chart.yaml" => {
                    metadata = Some(serde_yaml::from_slice::<Metadata>(&bytes).map_err(yaml)?);
                }
                "values.yaml" => chart.values = serde_yaml::from_slice(&bytes).map_err(yaml)?,
                _ if path.starts_with("templates/") => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    chart.templates.push((path, text));
                }
                _ => {}
            }
        }
        let metadata = metadata.ok_or(ChartError::NoChart)?;
        chart.app_version = plain(&metadata.app_version).unwrap_or_default();
        (chart.name, chart.version) = (metadata.name, metadata.version);
        Ok(chart)
    }
}

/// Whether a file of a chart, by its path below the chart's folder, is looked into.
pub fn is_read(path: &str) -> bool {
    path == "Chart.yaml"
        || path == "values.yaml"
        || path.starts_with("templates/") && [".yaml", ".yml"].iter().any(|end| path.ends_with(end))
}

/// Whether a YAML file comes to more than a chart may.
pub(crate) fn is_too_large(yaml: &[u8]) -> bool {
    expanded_size(yaml) as u64 > limits::CHART_SIZE
}

/// A scalar as a template prints it.
fn plain(value: &serde_yaml::Value) -> Option<String> {
    match value {
        serde_yaml::Value::String(text) => Some(text.clone()),
        serde_yaml::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
