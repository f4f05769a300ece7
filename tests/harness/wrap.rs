//! A command that another one starts, and how it went.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::gap::Ran;

/// The same command, started by another: `wrapper`, then the command's own words.
pub fn wrapped(wrapper: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer
        .args(&wrapper[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}

/// Mounts a small disk over a folder, with what the folder held, and runs the rest; what then lies there becomes
/// the folder's content, as if the disk had grown.
const ON_A_SMALL_DISK: &str = r#"
folder=$1 size=$2
shift 2
mkdir "$folder.was" && cp -a "$folder/." "$folder.was" || exit 125
mount -t tmpfs -o "size=$size" none "$folder" && cp -a "$folder.was/." "$folder" || exit 124
"$@"
status=$?
rm -rf "$folder.was" && cp -a "$folder" "$folder.was" || exit 125
umount "$folder" && rm -rf "$folder" && mv "$folder.was" "$folder" || exit 125
exit "$status"
"#;

/// The same command while a folder, which must be there, lies on a disk of so many KiB. Status 124: what it holds
/// does not fit; 125: there is no such disk to be had.
pub fn on_a_small_disk(command: &Command, folder: &Path, kib: u64) -> Command {
    let namespace = if rustix::process::geteuid().is_root() {
        "--mount"
    } else {
        "--map-root-user"
    };
    let (folder, size) = (folder.display().to_string(), format!("{kib}k"));
    let script = ["sh", "-c", ON_A_SMALL_DISK, "sh", &folder, &size];
    let wrapper = [&["unshare", "--mount", namespace][..], &script].concat();
    wrapped(&wrapper, command)
}

/// Runs a command.
pub fn run(mut command: Command) -> std::io::Result<Ran> {
    let output = command.output()?;
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    Ok(Ran {
        command: words.join(" "),
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
