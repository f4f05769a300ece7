//! The record of a verification, on one sheet, for whoever files it.

use maud::html;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::paper::{self, fingerprint};
use mimeograph_manifest::time::Timestamp;

/// What is recorded.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// When.
    pub at: Timestamp,
    /// What was looked at.
    pub place: &'a str,
    /// By which keys, and what they must do.
    pub keys: &'a [Digest],
    /// How many must have signed.
    pub policy: String,
    /// What did not pass, if anything; else all did.
    pub failed: Option<&'a str>,
    /// The bundles.
    pub bundles: &'a [Bundle<'a>],
}

/// What was found out about one.
#[derive(Debug)]
pub(crate) struct Bundle<'a> {
    pub sequence: u64,
    pub verified: bool,
    pub sha256: Option<Digest>,
    pub kind: &'a str,
    pub files: usize,
    pub bytes: u64,
    /// The signers' ids, shortened.
    pub signed_by: String,
    pub says: &'a str,
}

/// Lines that fit on one page.
const BUNDLES: usize = 8;
const KEYS: usize = 5;
/// Letters of what is said of a bundle.
const SAYS: usize = 180;

impl Record<'_> {
    /// As HTML.
    pub(crate) fn html(&self) -> String {
        // What did not pass is what the reader looks for.
        let mut bundles: Vec<_> = self.bundles.iter().collect();
        bundles.sort_by_key(|one| one.verified);
        let (bundles, more) = paper::first(&bundles, BUNDLES);
        let (keys, more_keys) = paper::first(self.keys, KEYS);
        let good = self.failed.is_none();
        let body = html! {
            header {
                h1 { "Verification record" }
                div class="mark" {
                    @if good { span class="good" { "PASSED" } } @else { span class="bad" { "NOT PASSED" } }
                    p class="quiet" { (self.at) }
                }
            }
            table class="named" {
                tr { th { "Place" } td { (cut(self.place)) } }
                tr { th { "Program" } td { "mimeograph-populator " (env!("CARGO_PKG_VERSION")) } }
                tr { th { "Must have signed" } td { (self.policy) } }
                tr { th { "Bundles" } td { (self.bundles.len()) " looked at, " (self.bundles.iter().filter(|one| one.verified).count()) " passed" } }
                @if let Some(failed) = self.failed { tr { th { "First failure" } td class="bad" { (cut(failed)) } } }
            }
            h2 { "Trusted keys, SHA-256 of the public key" }
            ul { @for key in keys { li { code { (fingerprint(key)) } } } }
            @if more_keys > 0 { p class="quiet" { "and " (more_keys) " more" } }
            h2 { "Bundles" }
            table {
                tr { th class="short" { "No." } th class="short" { "Result" } th class="number" { "Bytes" } th { "Manifest, SHA-256, and what was found" } }
                @for one in bundles {
                    tr {
                        td class="short" { (one.sequence) }
                        td class="short" { @if one.verified { span class="good" { "ok" } } @else { span class="bad" { "FAILED" } } }
                        td class="number" { (one.bytes) }
                        td {
                            @if let Some(sha256) = &one.sha256 { code { (fingerprint(sha256)) } br; }
                            @if one.verified { (one.kind) ", " (one.files) " files; signed by " (one.signed_by) } @else { (cut(one.says)) }
                        }
                    }
                }
            }
            @if more > 0 { p class="quiet" { "and " (more) " more: the program's own result has all" } }
            h2 { "What was checked" }
            p class="quiet" {
                "Signatures over the exact bytes of each manifest; every chunk against its digest; every archive read to its end, each blob \
                 against its name; the inventory that was signed against what the archives hold; the chain of bundles, as far as it is here."
            }
            (paper::signatures(&["Checked by", "Witnessed by", "Date"]))
        };
        paper::page("Verification record", &body)
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SAYS {
        return text.to_owned();
    }
    let short: String = text.chars().take(SAYS).collect();
    format!("{short}…")
}
