//! The whole way on one machine: two registries, two programs, one directory in place of the gap; then
//! one byte is flipped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use mimeograph_tests::gap::{Gap, Programs, Ran, real_oc_mirror};
use mimeograph_tests::registry::gzip;

fn main() -> ExitCode {
    match quickstart() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("quickstart: error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this program is there to be read")]
fn say(text: &str) {
    println!("{text}");
}

fn quickstart() -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("mimeograph-quickstart-")
        .tempdir()?
        .keep();
    let gap = Gap::new(&folder, Programs::build()?)?;
    say(&format!(
        "Everything lies in {} and stays there for looking around.\n",
        folder.display()
    ));

    say(&format!(
        "1. A source registry at {} with three images; an empty target at {}.",
        gap.source.host(),
        gap.target.host()
    ));
    let layer = |n: u8| gzip(&vec![n; 3 << 20]);
    let shared = layer(0);
    let images = [
        ("apps/one", "v1", 1),
        ("apps/two", "v1", 2),
        ("deep/er/three", "v1", 3),
    ];
    for (repository, tag, n) in images {
        gap.source
            .put_image(repository, tag, &[shared.clone(), layer(n)]);
    }
    gap.ask_for(&["apps/one:v1", "apps/two:v1", "deep/er/three:v1"])?;
    let program = real_oc_mirror().map_or("the stand-in for oc-mirror".to_owned(), |path| {
        path.display().to_string()
    });
    say(&format!("   oc-mirror is {program}.\n"));

    say("2. The connected side makes keys, mirrors, cuts, signs, and writes the store.");
    expect(
        &gap.bundler(&["keygen", "--out", &text(&folder.join("keys"))]),
        0,
    )?;
    expect(&gap.bundler(&["run"]), 0)?;

    say("3. The disconnected side verifies, then loads its registry.");
    expect(&gap.populator(&["verify"]), 0)?;
    expect(&gap.populator(&["run"]), 0)?;
    for (repository, tag, _) in images {
        let (wanted, found) = (
            gap.source.digest_of(repository, tag),
            gap.target.digest_of(&format!("mirror/{repository}"), tag),
        );
        ensure!(
            wanted.is_some() && wanted == found,
            "the target does not serve {repository}:{tag}"
        );
        say(&format!(
            "   mirror/{repository}:{tag} is {}",
            found.unwrap_or_default()
        ));
    }

    say("\n4. One more image; then one byte of a chunk is flipped on the way.");
    gap.source.put_image("apps/four", "v1", &[shared, layer(4)]);
    gap.ask_for(&[
        "apps/one:v1",
        "apps/two:v1",
        "deep/er/three:v1",
        "apps/four:v1",
    ])?;
    let before: Vec<PathBuf> = gap.store_files();
    expect(&gap.bundler(&["run"]), 0)?;
    let new_chunk = gap
        .store_files()
        .into_iter()
        .filter(|path| !before.contains(path) && path.starts_with(folder.join("store/chunks")))
        .max_by_key(|path| std::fs::metadata(path).map_or(0, |file| file.len()))
        .context("the second bundle brought no chunk")?;
    flip(&new_chunk)?;
    say(&format!("   flipped one bit in {}", new_chunk.display()));
    let (served, calls) = (gap.target.snapshot(), gap.oc_mirror_calls());
    expect(&gap.populator(&["run"]), 65)?;
    ensure!(gap.target.snapshot() == served, "the target changed");
    ensure!(gap.oc_mirror_calls() == calls, "oc-mirror was started");
    say("   refused: oc-mirror was not started, and the target is as it was.\n");

    say("5. The chunk is mended, and the same command goes on.");
    flip(&new_chunk)?;
    expect(&gap.populator(&["run"]), 0)?;
    let four = gap.target.digest_of("mirror/apps/four", "v1");
    ensure!(
        four.is_some() && four == gap.source.digest_of("apps/four", "v1"),
        "the target does not serve apps/four:v1"
    );
    say(&format!(
        "   mirror/apps/four:v1 is {}\n\nquickstart: done.",
        four.unwrap_or_default()
    ));
    Ok(())
}

/// Shows a command and what it said, and insists on its status.
fn expect(ran: &Ran, status: i32) -> Result<()> {
    say(&format!("   $ {}", ran.command));
    let quiet = |line: &&str| !line.trim().is_empty();
    for line in ran
        .stdout
        .lines()
        .chain(
            ran.stderr
                .lines()
                .filter(|line| line.contains("error:") || line.contains("hint:")),
        )
        .filter(quiet)
    {
        say(&format!("     {line}"));
    }
    if ran.status != status {
        bail!("it should have ended with {status}:\n{ran}");
    }
    say(&format!("     exit status {status}\n"));
    Ok(())
}

fn flip(path: &Path) -> Result<()> {
    let mut bytes = std::fs::read(path)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty chunk")? ^= 1;
    Ok(std::fs::write(path, bytes)?)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
