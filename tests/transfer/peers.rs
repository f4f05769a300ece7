//! Who is measured: ours, and those that move files without looking at them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::server::Place;
use crate::text;

/// Whose transfer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Peer {
    Mimeograph,
    S5cmd,
    Rclone,
    Aws,
    /// `sha256sum`, `split`, `sha256sum`, `s5cmd`; and back.
    Naive,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] = [
        Self::Mimeograph,
        Self::S5cmd,
        Self::Rclone,
        Self::Aws,
        Self::Naive,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mimeograph => "mimeograph",
            Self::S5cmd => "s5cmd cp",
            Self::Rclone => "rclone copy",
            Self::Aws => "aws s3 cp",
            Self::Naive => "by shell, checked",
        }
    }

    /// The files of a folder -> below a prefix.
    pub(crate) fn up(
        self,
        place: &Place,
        files: &Path,
        prefix: &str,
        work: &Path,
    ) -> Result<Command> {
        let remote = format!("s3://{}/{prefix}", place.bucket);
        let files = files.display().to_string();
        Ok(match self {
            Self::Mimeograph => place.ours(&["ship", &files, &remote])?,
            Self::S5cmd => {
                let mut command = place.s5cmd();
                command.args(["cp", &format!("{files}/*"), &format!("{remote}/")]);
                command
            }
            Self::Rclone => place.rclone(&files, &format!("S:{}/{prefix}", place.bucket)),
            Self::Aws => place.aws(&files, &remote),
            Self::Naive => {
                let script = r#"mkdir -p "$2/chunks"; cd "$1"
                    sha256sum * > "$2/SHA256SUMS"
                    for file in *; do split -b 32M -a 4 -d "$file" "$2/chunks/$file."; done
                    cd "$2/chunks"; sha256sum * > ../CHUNKS
                    exec s5cmd --endpoint-url "$3" cp "$2/" "$4/""#;
                place.shell(script, &[&files, &text(work), &place.endpoint, &remote])
            }
        })
    }

    /// What is below a prefix -> files in a folder, whole.
    pub(crate) fn down(
        self,
        place: &Place,
        prefix: &str,
        into: &Path,
        work: &Path,
    ) -> Result<Command> {
        let remote = format!("s3://{}/{prefix}", place.bucket);
        let into = into.display().to_string();
        Ok(match self {
            Self::Mimeograph => place.ours(&["fetch", &remote, &into])?,
            Self::S5cmd => {
                let mut command = place.s5cmd();
                command.args(["cp", &format!("{remote}/*"), &format!("{into}/")]);
                command
            }
            Self::Rclone => place.rclone(&format!("S:{}/{prefix}", place.bucket), &into),
            Self::Aws => place.aws(&remote, &into),
            Self::Naive => {
                let script = r#"mkdir -p "$1" "$2"
                    s5cmd --endpoint-url "$3" cp "$4/*" "$2/"
                    cd "$2/chunks"; sha256sum --check --quiet ../CHUNKS
                    for first in *.0000; do cat "${first%.0000}".* > "$1/${first%.0000}"; done
                    cd "$1"; sha256sum --check --quiet "$2/SHA256SUMS""#;
                place.shell(script, &[&into, &text(work), &place.endpoint, &remote])
            }
        })
    }
}

impl Place {
    fn with_login(&self, mut command: Command) -> Command {
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            // Many servers know no other way.
            .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
            .env("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required");
        command
    }

    fn ours(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = crate::ours(arguments)?;
        command.env("AWS_ENDPOINT_URL_S3", &self.endpoint);
        Ok(self.with_login(command))
    }

    pub(crate) fn s5cmd(&self) -> Command {
        let mut command = Command::new("s5cmd");
        command.args(["--endpoint-url", &self.endpoint]);
        self.with_login(command)
    }

    fn rclone(&self, from: &str, to: &str) -> Command {
        let mut command = Command::new("rclone");
        command.args(["copy", "--s3-no-check-bucket", from, to]);
        for (name, value) in [
            ("TYPE", "s3"),
            ("PROVIDER", "Other"),
            ("ENV_AUTH", "true"),
            ("ENDPOINT", &self.endpoint),
            ("FORCE_PATH_STYLE", "true"),
        ] {
            command.env(format!("RCLONE_CONFIG_S_{name}"), value);
        }
        self.with_login(command)
    }

    fn aws(&self, from: &str, to: &str) -> Command {
        let mut command = Command::new("aws");
        command.args(["--endpoint-url", &self.endpoint]);
        command.args(["s3", "cp", "--recursive", "--only-show-errors", from, to]);
        self.with_login(command)
    }

    fn shell(&self, script: &str, arguments: &[&str]) -> Command {
        self.with_login(crate::shell(script, arguments))
    }
}
