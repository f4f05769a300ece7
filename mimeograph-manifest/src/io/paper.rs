//! Pages for people: one sheet, no script, nothing from elsewhere, printed as it is shown.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::digest::Digest;

const STYLE: &str = "\
@page { size: A4; margin: 14mm 15mm }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 180mm; padding: 4mm 0; color: #1a1a1a; background: #fff;
  font: 9.5pt/1.4 system-ui, 'Liberation Sans', 'DejaVu Sans', Arial, sans-serif }
header { display: flex; justify-content: space-between; align-items: flex-end; border-bottom: 1.5pt solid #1a1a1a; padding-bottom: 2mm }
h1 { font-size: 17pt; line-height: 1.2; margin: 0; font-weight: 600; overflow-wrap: anywhere }
h2 { font-size: 10.5pt; margin: 4.5mm 0 1.2mm; font-weight: 600 }
.mark { text-align: right; font-size: 12pt; font-weight: 600; white-space: nowrap; padding-left: 6mm }
.quiet { color: #555; font-weight: 400; font-size: 9pt; margin: 0 }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: #444; font-size: 8.5pt }
th, td { padding: .8mm 3mm .8mm 0; border-bottom: .4pt solid #ccc; vertical-align: top; overflow-wrap: anywhere }
th:last-child, td:last-child { padding-right: 0 }
.number { text-align: right; white-space: nowrap }
.named th { width: 38mm }
.short { white-space: nowrap; overflow-wrap: normal }
code { font: 7.5pt/1.35 'DejaVu Sans Mono', 'Liberation Mono', Menlo, monospace; overflow-wrap: anywhere }
ul { margin: 0; padding: 0; list-style: none }
li { border-bottom: .4pt solid #ccc; padding: .5mm 0; overflow-wrap: anywhere }
.good { color: #0b5d1e } .bad { color: #9b1c1c }
.lines { display: flex; gap: 8mm; margin-top: 9mm }
.lines div { flex: 1; border-top: .6pt solid #1a1a1a; padding-top: 1mm; color: #555; font-size: 8.5pt }
footer { margin-top: 5mm; color: #555; font-size: 8.5pt }
";

/// A whole page.
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A digest in groups that can be read out.
pub fn fingerprint(digest: &Digest) -> String {
    let hex = digest.to_string();
    let groups: Vec<_> = (0..hex.len())
        .step_by(8)
        .map(|at| &hex[at..at + 8])
        .collect();
    groups.join(" ")
}

/// Where two people sign.
pub fn signatures(names: &[&str]) -> Markup {
    html! {
        div class="lines" {
            @for name in names { div { (name) } }
        }
    }
}

/// The first of many, and how many there are besides.
pub fn first<T>(all: &[T], most: usize) -> (&[T], usize) {
    if all.len() <= most {
        return (all, 0);
    }
    (&all[..most], all.len() - most)
}
