//! Lines as the real one prints them: colour codes always, stderr or stdout by release, and a log file.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use crate::release::Release;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Log {
    release: Release,
    began: Instant,
    set_up: Cell<bool>,
    file: RefCell<Option<File>>,
}

impl Log {
    pub(crate) fn new(release: Release) -> Self {
        Self {
            release,
            began: Instant::now(),
            set_up: Cell::new(false),
            file: RefCell::new(None),
        }
    }

    pub(crate) fn info(&self, text: &str) {
        self.line("94", "INFO", " ", text);
    }

    pub(crate) fn warn(&self, text: &str) {
        self.line("93", "WARN", " ", text);
    }

    pub(crate) fn error(&self, text: &str) {
        self.line("91", "ERROR", "", text);
    }

    /// From here on, newer releases print to stdout and to their log file.
    pub(crate) fn set_up(&self, file: Option<&Path>) -> io::Result<()> {
        if self.release.is_strict() {
            self.set_up.set(true);
            *self.file.borrow_mut() = file.map(File::create).transpose()?;
        }
        Ok(())
    }

    pub(crate) fn closing_lines(&self) {
        self.mirror_time();
        self.goodbye();
    }

    pub(crate) fn mirror_time(&self) {
        let nanos = self.began.elapsed().as_nanos();
        self.info(&format!(
            "mirror time     : {}.{:06}ms",
            nanos / 1_000_000,
            nanos % 1_000_000
        ));
    }

    pub(crate) fn goodbye(&self) {
        self.info("👋 Goodbye, thank you for using oc-mirror");
    }

    fn line(&self, colour: &str, level: &str, pad: &str, text: &str) {
        let now = Timestamp::now().strftime("%Y/%m/%d %H:%M:%S").to_string();
        let line = format!("{now} \u{1b}[1;{colour}m [{level}] \u{1b}[0m{pad} : {text}\n");
        if let Some(file) = self.file.borrow_mut().as_mut() {
            // as in the real one, the file is a courtesy
            drop(file.write_all(line.as_bytes()));
        }
        print(self.set_up.get(), &line);
    }
}

/// Print, and die of a broken pipe as a Go program does.
pub(crate) fn print(to_stdout: bool, text: &str) {
    let result = if to_stdout {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    } else {
        io::stderr().lock().write_all(text.as_bytes())
    };
    if result.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        drop(signal_hook::low_level::emulate_default_handler(
            signal_hook::consts::SIGPIPE,
        ));
    }
}
