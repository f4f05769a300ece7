//! Logs, listings and archives in a form in which two runs can be compared.

use std::fs;
use std::path::Path;

use regex::Regex;

/// A log without what differs from run to run.
pub(crate) fn log(text: &str) -> Vec<String> {
    let text = stamps(text);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("$ ") && !line.starts_with("exit status"));
    // trailing blanks were not kept everywhere
    let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    while lines.first().is_some_and(String::is_empty) {
        lines.remove(0);
    }
    // images are copied in parallel
    let parallel = [
        "Success copying",
        "Failed to copy",
        "[Worker] error mirroring",
    ];
    let unordered = |line: &String| {
        parallel
            .iter()
            .position(|part| line.contains(part))
            .map(|found| found / 2)
    };
    for chunk in lines.chunk_by_mut(|a, b| unordered(a).is_some() && unordered(a) == unordered(b)) {
        chunk.sort();
    }
    lines
}

/// The status that a recorded log ends with.
pub(crate) fn status(log: &str) -> Option<i32> {
    log.lines()
        .last()?
        .strip_prefix("exit status: ")?
        .parse()
        .ok()
}

/// Times in every form that oc-mirror writes them.
pub(crate) fn stamps(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in [
        (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "TIME"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "RFC3339"),
        (r"\d{8}_\d{6}", "STAMP"),
        (r"mirror time     : \S+", "mirror time     : DURATION"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, name)
            .into_owned();
    }
    text
}

/// Every file below a folder, sorted.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, name: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{name}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(stamps(&name));
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, "", &mut found);
    found.sort();
    found
}

pub(crate) fn listing(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| stamps(line.trim_start_matches("./")));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The header without size (of logs), time, owner and checksum.
    header: Vec<u8>,
    pub(crate) extensions: Vec<(String, String)>,
}

impl Entry {
    /// What of the header does not vary.
    pub(crate) fn fields(&self) -> (&[u8], &[(String, String)]) {
        (&self.header, &self.extensions)
    }
}

/// The entries of an archive in order; blobs, which lie in no order, are sorted among themselves.
pub(crate) fn entries(archive: &Path) -> Vec<Entry> {
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut header = entry.header().as_bytes().to_vec();
        let log = name.contains("/logs/")
            || name.contains("pinned")
            || name.starts_with("isc_")
            || name.contains("localhost");
        let varies = [
            (108, 124),
            (136, 156),
            (265, 329),
            (124, if log { 136 } else { 124 }),
        ];
        for (start, end) in varies {
            header[start..end].fill(0);
        }
        if stamps(&name) != name || log {
            header[..100].fill(0);
        }
        let extensions = entry.pax_extensions().unwrap();
        let pairs = extensions.into_iter().flatten().map(|pair| pair.unwrap());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let extensions = pairs
            .map(|pair| (text(pair.key_bytes()), text(pair.value_bytes())))
            .collect();
        all.push(Entry {
            name: stamps(&name),
            header,
            extensions,
        });
    }
    let blob = |entry: &Entry| entry.name.starts_with("docker/registry/v2/blobs/");
    for run in all.chunk_by_mut(|a, b| blob(a) && blob(b)) {
        run.sort();
    }
    all
}
