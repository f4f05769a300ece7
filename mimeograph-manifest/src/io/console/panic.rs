//! A panic is a bug of ours: it ends as an error like the others, with status 70.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

use crate::failure::{ErrorId, Failure, Fault};

/// Something that cannot be was.
#[derive(Debug, thiserror::Error)]
#[error("this is a bug in {program}: {message}")]
pub(super) struct Bug {
    program: &'static str,
    message: String,
}

impl Fault for Bug {
    fn id(&self) -> ErrorId {
        ErrorId::Bug
    }

    fn hint(&self) -> Option<String> {
        Some(
            "please report it, with the command and its log (`RUST_BACKTRACE=1` adds where it was)"
                .into(),
        )
    }
}

/// The first panic of the process: one in a worker thread is passed on to the main one without its words.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the words of a panic instead of printing them, unless a backtrace is asked for.
pub(super) fn install_hook() {
    let loud = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        FIRST
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| words(info));
        if loud {
            default(info);
        }
    }));
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("panicked");
    match info.location() {
        Some(at) => format!("{message}, at {}:{}", at.file(), at.line()),
        None => message.to_owned(),
    }
}

/// Runs `body`; a panic in it becomes a [`Bug`].
pub(super) fn catch<T>(
    program: &'static str,
    body: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
        let message = first
            .or_else(|| {
                payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
            })
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panicked".to_owned());
        Err(Bug { program, message }.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_words() {
        let failure = catch::<()>("mimeograph-bundler", || panic!("no such thing")).unwrap_err();
        assert_eq!(failure.id(), ErrorId::Bug);
        assert_eq!(failure.id().exit().code(), 70);
        let text = failure.to_string();
        assert!(
            text.starts_with("this is a bug in mimeograph-bundler: no such thing"),
            "{text}"
        );
    }
}
