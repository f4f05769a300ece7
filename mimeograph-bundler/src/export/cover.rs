//! The papers of a volume: what it is, what it changes, and how to check it. They are for people; nothing reads them back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::html;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::paper::{self, fingerprint};
use mimeograph_manifest::manifest::{Kind, Manifest, Role};
use mimeograph_manifest::media::Plan;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::named::{self, Change};

/// What goes on the cover sheet.
#[derive(Debug)]
pub(super) struct Cover<'a> {
    pub plan: &'a Plan,
    /// Which volume, counted from 1.
    pub volume: usize,
    pub bundles: &'a [&'a Verified<Manifest>],
    /// Against the bundle with content before the first of them, where that is at hand.
    pub changes: &'a [Change],
    pub before: Option<u64>,
    /// Of the bundles, those that have chunks on this volume.
    pub here: &'a [u64],
}

/// Lines that fit on one page.
const BUNDLES: usize = 4;
const CHANGES: usize = 6;
const SIGNERS: usize = 4;

impl Cover<'_> {
    fn title(&self) -> String {
        match &*self.plan.name {
            "" => "Transfer of bundles".to_owned(),
            name => format!("Transfer of {name}"),
        }
    }

    fn mark(&self) -> String {
        format!("Volume {} of {}", self.volume, self.plan.volumes.len())
    }

    fn signers(&self) -> Vec<Digest> {
        let mut signers: Vec<_> = self
            .bundles
            .iter()
            .flat_map(|bundle| bundle.signers().iter().copied())
            .collect();
        signers.sort_unstable();
        signers.dedup();
        signers
    }

    /// Names, values.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let Plan {
            stream,
            label,
            created,
            volumes,
            ..
        } = self.plan;
        let here = volumes.get(self.volume - 1).copied().unwrap_or_default();
        let (chunks, bytes) = volumes.iter().fold((0, 0), |(chunks, bytes), volume| {
            (chunks + volume.chunks, bytes + volume.bytes)
        });
        let expires = self.bundles.last().map(|newest| newest.expires.to_string());
        let audience = self.bundles.last().map(|newest| newest.audience.join(", "));
        let audience = audience.filter(|names| !names.is_empty());
        let mut facts = vec![
            ("Stream", stream.to_string()),
            ("Label", format!("{label}-{}", self.volume)),
            ("Export", format!("{} of {created}", self.plan.id())),
            (
                "On this volume",
                format!("{} chunks, {} bytes", here.chunks, here.bytes),
            ),
            ("In all", format!("{chunks} chunks, {bytes} bytes")),
            ("For", audience.unwrap_or_else(|| "any enclave".to_owned())),
        ];
        if let Some(expires) = expires {
            facts.push(("Good until", expires));
        }
        facts
    }

    /// What changes: tags made of digests, and those that say the same as an image's name, are left out.
    fn told(&self) -> impl Iterator<Item = &Change> {
        let is_named = |tag: &Change| {
            self.changes.iter().any(|one| {
                one.kind == named::Kind::Image
                    && one.name.ends_with(&tag.name)
                    && (&one.before, &one.after) == (&tag.before, &tag.after)
            })
        };
        let is_of_tag = |one: &Change| one.kind == named::Kind::Tag;
        self.changes
            .iter()
            .filter(move |one| !is_of_tag(one) || !(one.is_of_digest() || is_named(one)))
    }

    fn summary(&self) -> String {
        let count = |which: &dyn Fn(&Change) -> bool| self.told().filter(|one| which(one)).count();
        let added = count(&|one| one.before.is_none());
        let removed = count(&|one| one.after.is_none());
        let moved = count(&|one| one.before.is_some() && one.after.is_some());
        let against = match self.before {
            Some(before) => format!("against bundle {before}"),
            None => "all that it holds".to_owned(),
        };
        format!("{against}: {added} added, {removed} removed, {moved} changed")
    }

    fn changes(&self) -> Vec<String> {
        self.told().map(ToString::to_string).collect()
    }

    /// `TRANSFER.txt`
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.title(), self.mark());
        // Writing to a text cannot fail.
        for (name, value) in self.facts() {
            let _ = writeln!(text, "{name:<16}{value}");
        }
        let _ = writeln!(text, "\nBundles");
        for bundle in self.bundles {
            let _ = writeln!(
                text,
                "  {} ({}) of {}, good until {}: {} files, {} bytes\n    manifest SHA-256 {}",
                bundle.sequence,
                bundle.kind.as_str(),
                bundle.created,
                bundle.expires,
                bundle.files.len(),
                bundle.size(),
                bundle.digest()
            );
        }
        let _ = writeln!(
            text,
            "\nSigned by these keys (SHA-256 of the public key's DER)"
        );
        for signer in self.signers() {
            let _ = writeln!(text, "  {signer}");
        }
        let _ = writeln!(text, "\nWhat changes, {}", self.summary());
        let changes = self.changes();
        let (shown, more) = paper::first(&changes, CHANGES);
        for change in shown {
            let _ = writeln!(text, "  {change}");
        }
        if more > 0 {
            let _ = writeln!(
                text,
                "  and {more} more: `mimeograph-populator approve SEQUENCE` shows all"
            );
        }
        text.push_str(
            "\nHow to check this volume stands in VERIFY.txt. Compare the keys above with those on paper:\n\
             nothing on this volume vouches for itself.\n\n\
             Handed over by                      Received by                        Date\n",
        );
        text
    }

    /// `TRANSFER.html`
    pub(super) fn html(&self) -> String {
        let (bundles, more_bundles) = paper::first(self.bundles, BUNDLES);
        let signers = self.signers();
        let (signers, more_signers) = paper::first(&signers, SIGNERS);
        let changes = self.changes();
        let (changes, more_changes) = paper::first(&changes, CHANGES);
        let body = html! {
            header {
                h1 { (self.title()) }
                div class="mark" { (self.mark()) p class="quiet" { "Mimeograph " (env!("CARGO_PKG_VERSION")) } }
            }
            table class="named" {
                @for (name, value) in self.facts() {
                    tr { th { (name) } td { (value) } }
                }
            }
            h2 { "Bundles" }
            table {
                tr { th class="short" { "No." } th { "Kind" } th { "Made" } th class="number" { "Bytes" } th { "Manifest, SHA-256" } }
                @for bundle in bundles {
                    tr {
                        td class="short" { (bundle.sequence) }
                        td class="short" { (bundle.kind.as_str()) }
                        td class="short" { (bundle.created) }
                        td class="number" { (bundle.size()) }
                        td { code { (fingerprint(&bundle.digest())) } }
                    }
                }
            }
            @if more_bundles > 0 { p class="quiet" { "and " (more_bundles) " more, in TRANSFER.txt" } }
            h2 { "Signed by" }
            ul { @for signer in signers { li { code { (fingerprint(signer)) } } } }
            @if more_signers > 0 { p class="quiet" { "and " (more_signers) " more, in TRANSFER.txt" } }
            h2 { "What changes, " (self.summary()) }
            ul { @for change in changes { li { code { (change) } } } }
            @if more_changes > 0 {
                p class="quiet" { "and " (more_changes) " more: mimeograph-populator approve shows all" }
            }
            footer {
                "How to check this volume stands in VERIFY.txt. Compare the keys above with those that you have on paper: nothing on a \
                 volume vouches for itself."
            }
            (paper::signatures(&["Handed over by", "Received by", "Date"]))
        };
        paper::page(&format!("{}, {}", self.title(), self.mark()), &body)
    }

    /// `VERIFY.txt`: the lines that are indented are commands, as they stand.
    pub(super) fn verify(&self) -> String {
        let with_content = self
            .bundles
            .iter()
            .filter(|one| one.kind != Kind::Heartbeat);
        let with_content: Vec<_> = with_content.map(|one| one.sequence.number()).collect();
        let all: Vec<_> = self
            .bundles
            .iter()
            .map(|one| one.sequence.number())
            .collect();
        let mut text = format!(
            "How to check {mark} of {title}\n\n\
             Do not take these commands from here if you doubt this volume: they stand in Mimeograph's FORMAT.md, \"By hand\",\n\
             too. What vouches for the content is the public key that you have, which did not come on this volume.\n\n\
             With openssl, sed, grep and sha256sum. It takes OpenSSL 3.0 or later (`openssl version`): 1.1.1 has no\n\
             `pkeyutl -rawin`, and one in FIPS mode may refuse Ed25519; then take a mimeograph-populator that you trust.\n\
             In this folder:\n\n    \
             key=/path/to/signing.pub.pem\n    \
             id=$(openssl pkey -pubin -in \"$key\" -outform DER | sha256sum | cut -c1-16)\n\n\
             Each bundle's list is signed by this key (\"Signature Verified Successfully\", once for each):\n\n    \
             for n in {names}; do digest=$(sha256sum < manifests/$n.json | cut -c1-16); openssl pkeyutl -verify -pubin -inkey \"$key\" -rawin -in manifests/$n.json -sigfile manifests/$n.$digest.$id.sig; done\n",
            mark = self.mark().to_lowercase(),
            title = self.title().to_lowercase(),
            names = padded(&all),
        );
        let list =
            "sed -n 's|^{\"stored\":\"\\(\\(..\\)[0-9a-f]\\{62\\}\\)\",.*|\\1  chunks/\\2/\\1|p'";
        // Writing to a text cannot fail.
        if !self.here.is_empty() {
            let _ = writeln!(
                text,
                "\nWhat of them lies on this volume is what was signed (it says nothing where all is well):\n\n    \
                 for n in {}; do {list} manifests/$n.json | sort -u | sha256sum -c --ignore-missing --strict --quiet; done",
                padded(self.here)
            );
        }
        if !with_content.is_empty() {
            let _ = writeln!(
                text,
                "\nOnce all {} volumes are copied into one folder, nothing is missing either:\n\n    \
                 for n in {}; do {list} manifests/$n.json | sort -u | sha256sum -c --strict --quiet; done",
                self.plan.volumes.len(),
                padded(&with_content)
            );
        }
        text.push_str(&self.extra_files());
        text.push_str(
            "\nWith Mimeograph, one volume, several, or the folder that they were copied into:\n\n  \
             mimeograph-populator verify --from . --trust /path/to/signing.pub.pem\n\n\
             What this does not check by hand: that the bundles are for this enclave, unexpired, and none before them is\n\
             missing; and what lies in their archives. Mimeograph does before it loads anything.\n",
        );
        text
    }

    /// How the files that came along are put together without Mimeograph, which may be one of them.
    fn extra_files(&self) -> String {
        // The newest of each.
        let mut files = BTreeMap::new();
        for bundle in self.bundles {
            files.extend(
                bundle
                    .files(Role::Extra)
                    .map(|file| (&file.name, bundle.sequence.number())),
            );
        }
        if files.is_empty() {
            return String::new();
        }
        let mut text = format!(
            "\nThen the files that came along are put together from their chunks, in a folder of your own:\n\n    \
             to=$(mktemp -d); echo \"$to\"\n    {PUT_TOGETHER}\n"
        );
        for (name, number) in files {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "    extra {} '{name}'", padded(&[number]));
        }
        text
    }
}

/// Puts an extra file together (FORMAT.md, "Putting a file together by hand"). `zstd` is asked for where an older version of
/// ours had packed such a file.
const PUT_TOGETHER: &str = r#"extra() { mkdir -p "$to/$(dirname -- "$2")"; awk -v file="{\"name\":\"$2\",\"role\":\"extra\"," '/^[{]"name":/ { on = index($0, file) == 1 } on && /^[{]"stored":/' manifests/$1.json | sed 's|^{"stored":"\(\(..\)[0-9a-f]*\)","storedSize":[0-9]*,"encoding":"\([a-z]*\)".*|\3 chunks/\2/\1|' | while read -r how chunk; do if [ "$how" = zstd ]; then zstd -q -d -c < "$chunk"; else cat "$chunk"; fi; done > "$to/$2"; }"#;

/// Numbers as files have them.
fn padded(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(|n| format!("{n:010}")).collect();
    numbers.join(" ")
}
