//! No step that changes something without a point before it.

use std::fs;
use std::path::Path;

use crate::end::files;

/// What changes a disk, a store or a registry.
const CHANGES: &[&str] = &[
    "fs::write(",
    "fs::rename(",
    "fs::remove_file(",
    "fs::remove_dir(",
    "fs::remove_dir_all(",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::copy(",
    "fs::hard_link(",
    "File::create(",
    "File::create_new(",
    "OpenOptions::new()",
    "DirBuilder::new()",
    " symlink(",
    "mkdirat(",
    "renameat(",
    "renameat_with(",
    "linkat(",
    "unlinkat(",
    "OFlags::CREATE",
    ".set_len(",
    ".sync_all(",
    ".sync_data(",
    "write_all_at(",
    ".persist(",
    ".tempdir_in(",
    "tempdir_in(",
    "match self.send(",
    ".delete_object()",
    ".delete_objects()",
    "client.push_blob(",
    "client.push_manifest(",
];

/// Files in which nothing lasts, or where a failure is none: what a test is told by, the last line of a run, keys
/// that are made once (nothing of them is replaced), the temporary folder of `check`.
const APART: &[&str] = &[
    "failpoint/strike.rs",
    "console/termination.rs",
    "keygen.rs",
    "io/checks.rs",
];

/// How many lines before a change its point may stand.
const NEAR: usize = 12;

#[test]
fn every_step_that_changes_something_stands_by_a_failpoint() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut changes, mut bare) = (0, Vec::new());
    for part in [
        "mimeograph-manifest",
        "mimeograph-bundler",
        "mimeograph-populator",
    ] {
        for file in files(&root.join(part).join("src")) {
            let name = file.strip_prefix(root).unwrap().display().to_string();
            let is_apart = APART.iter().any(|apart| name.ends_with(apart));
            if is_apart
                || name.contains("/tests/")
                || name.contains("_tests.rs")
                || name.ends_with("/tests.rs")
            {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let of_tests = ["mod tests {", "pub(crate) mod tests {"];
            let begins = of_tests.map(|head| text.find(&format!("#[cfg(test)]\n{head}")));
            let code = &text[..begins.into_iter().flatten().min().unwrap_or(text.len())];
            let lines: Vec<&str> = code.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                let is_said = line.trim_start().starts_with("//") || line.starts_with("use ");
                if is_said || !CHANGES.iter().any(|change| line.contains(change)) {
                    continue;
                }
                changes += 1;
                let near = &lines[number.saturating_sub(NEAR)..=number];
                if !near.iter().any(|line| line.contains("failpoint::")) {
                    bare.push(format!("{name}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(changes > 20, "only {changes} found");
    assert!(bare.is_empty(), "without a failpoint:\n{}", bare.join("\n"));
}
