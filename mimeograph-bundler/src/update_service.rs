//! Channels -> those that the update service does not know. From 4.20 on `oc-mirror` says the same of a channel that does
//! not exist as of a service that does not answer (contract §13.1), and only one of them passes by itself.

use std::io::Read as _;
use std::time::Duration;

use mimeograph_manifest::imageset::Finding;
use mimeograph_manifest::imageset::model::{Platform, ReleaseChannel};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::limits;
use mimeograph_manifest::release::Graph;

/// As `oc-mirror` asks where nothing else is set.
const USUAL: &str = "https://api.openshift.com/api/upgrades_info/v1/graph";
const OVERRIDE: &str = "UPDATE_URL_OVERRIDE";
const PATIENCE: Duration = Duration::from_secs(30);

/// A finding for each channel that it does not know; nothing for those of which it cannot be asked.
pub(crate) fn unknown_channels(config: &Config, platform: &Platform) -> Vec<Finding> {
    let set = config.mirror.oc_mirror.env.get(OVERRIDE).cloned();
    let set = set.or_else(|| std::env::var(OVERRIDE).ok());
    let url = set.as_deref().unwrap_or(USUAL);
    let architecture = platform.architectures.first().map_or("amd64", |one| &**one);
    let is_of_okd = |channel: &&ReleaseChannel| {
        let kind = channel.kind.as_deref();
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("okd"))
    };
    let channels = platform.channels.iter().filter(|one| !is_of_okd(one));
    let unknown = channels.filter(|channel| {
        let answer = ask(url, architecture, &channel.name);
        let answer = answer.inspect_err(|error| {
            tracing::debug!(%url, %error, "the update service was not asked");
        });
        answer.is_ok_and(|graph| graph.is_empty())
    });
    let finding = |channel: &ReleaseChannel| {
        let problem = format!("the update service knows no channel `{}`", channel.name);
        Finding::new(channel.name.at, problem, "correct its name")
    };
    unknown.map(finding).collect()
}

fn ask(url: &str, architecture: &str, channel: &str) -> Result<Graph, Box<dyn std::error::Error>> {
    let client = reqwest::blocking::Client::builder()
        .timeout(PATIENCE)
        .build()?;
    let mut url = reqwest::Url::parse(url)?;
    url.query_pairs_mut()
        .append_pair("arch", architecture)
        .append_pair("channel", channel);
    let request = client.get(url).header("Accept", "application/json");
    let answer = request.send()?.error_for_status()?;
    let mut bytes = Vec::new();
    answer.take(limits::GRAPH_SIZE).read_to_end(&mut bytes)?;
    Ok(Graph::parse(&bytes)?)
}
