//! Real media: an image of FAT32 by mtools, an ISO by xorriso, and papers rendered and printed by Chromium. They fail where
//! those are missing.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{export, from, lab, volumes};
use crate::lab::done;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn real_fat32_holds_names_and_bytes_on_the_way_in_and_out() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    done(&export(&lab, "drive", &[]));
    let (drive, image, back) = (lab.path("drive"), lab.path("fat32.img"), lab.path("back"));
    // 100 MiB: enough clusters to be FAT32.
    run(
        "mformat",
        &[
            "-C",
            "-F",
            "-T",
            "204800",
            "-v",
            "BUNDLES",
            "-i",
            text(&image),
            "::",
        ],
    );
    for entry in fs::read_dir(&drive).unwrap().flatten() {
        run(
            "mcopy",
            &["-s", "-Q", "-i", text(&image), text(&entry.path()), "::"],
        );
    }
    fs::create_dir(&back).unwrap();
    run(
        "mcopy",
        &["-s", "-n", "-Q", "-i", text(&image), "::*", text(&back)],
    );
    done(&from(&lab, "verify", &[&back], &[]));
    done(&from(&lab, "import", &[&back], &[]));
    done(&lab.populator(&["run"]));
}

#[test]
fn real_disc_holds_names_and_bytes_in_both_trees_and_is_no_larger_than_planned() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    let volumes = volumes(&lab, "dvd");
    let disc = lab.path("disc.iso");
    run(
        "xorriso",
        &[
            "-as",
            "mkisofs",
            "-quiet",
            "-J",
            "-joliet-long",
            "-R",
            "-V",
            "BUNDLES-1",
            "-o",
            text(&disc),
            text(&volumes[0]),
        ],
    );
    let entries = crate::user::tree(&volumes[0]);
    let planned: u64 = entries
        .values()
        .map(|entry| (entry.bytes.len() as u64).div_ceil(2048) * 2048 + 512)
        .sum();
    let size = disc.metadata().unwrap().len();
    assert!(size <= planned + (1 << 20), "{size} > {planned}");
    for (tree, back) in [("any", "rock-ridge"), ("norock", "joliet")] {
        let back = lab.path(back);
        run(
            "xorriso",
            &[
                "-read_fs",
                tree,
                "-osirrox",
                "on",
                "-indev",
                text(&disc),
                "-extract",
                "/",
                text(&back),
            ],
        );
        run("chmod", &["-R", "u+w", text(&back)]);
        done(&from(&lab, "verify", &[&back], &[]));
    }
}

/// Prints a page, and returns how many sheets that takes.
fn sheets(lab: &crate::lab::Lab, html: &Path, name: &str) -> usize {
    let pdf = lab.path(&format!("{name}.pdf"));
    let profile = lab.path("chromium");
    let url = format!("file://{}", html.display());
    let common = [
        "--headless".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        format!("--user-data-dir={}", profile.display()),
    ];
    let with = |more: &[String]| {
        let arguments: Vec<_> = common.iter().chain(more).map(String::as_str).collect();
        run("chromium", &arguments);
    };
    with(&[
        "--no-pdf-header-footer".to_owned(),
        format!("--print-to-pdf={}", pdf.display()),
        url.clone(),
    ]);
    if let Some(kept) = std::env::var_os("MIMEOGRAPH_SHEETS") {
        let picture = Path::new(&kept).join(format!("{name}.png"));
        with(&[
            "--hide-scrollbars".to_owned(),
            "--window-size=794,1123".to_owned(),
            format!("--screenshot={}", picture.display()),
            url,
        ]);
    }
    let told = run("pdfinfo", &[text(&pdf)]);
    let pages = told.lines().find_map(|line| line.strip_prefix("Pages:"));
    pages.unwrap().trim().parse().unwrap()
}

#[test]
fn real_pages_are_one_sheet_each() {
    let lab = lab(4);
    // Enough bundles and changes that not all fit.
    for n in 1..=9 {
        let names: Vec<_> = (1..=4).map(|n| format!("large/{n}:v1")).collect();
        let more: Vec<_> = (1..=n * 3)
            .map(|m| format!("apps/of-a-team-with-a-long-name/{m}:v1"))
            .collect();
        for m in n * 3 - 2..=n * 3 {
            let name = format!("apps/of-a-team-with-a-long-name/{m}");
            lab.source
                .put_image(&name, "v1", &[crate::lab::layer(u8::try_from(m).unwrap())]);
        }
        let all: Vec<_> = names.iter().chain(&more).map(String::as_str).collect();
        lab.ask_for(&all).unwrap();
        done(&lab.bundler(&["run"]));
    }
    let volumes = volumes(&lab, "4MiB");
    assert_eq!(sheets(&lab, &volumes[0].join("TRANSFER.html"), "cover"), 1);
    let record = lab.path("record.html");
    let report = ["--report", text(&record)];
    let places: Vec<_> = volumes.iter().map(std::path::PathBuf::as_path).collect();
    done(&from(&lab, "verify", &places, &report));
    assert_eq!(sheets(&lab, &record, "record"), 1);
    from(&lab, "verify", &places[1..], &report);
    assert_eq!(sheets(&lab, &record, "record-failed"), 1);
}
