//! What a server's answer, or its silence, means to us.

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::describe;
use crate::io::location::S3Location;
use crate::io::store::{Source, StoreError};

/// A server's refusal in its own words.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status} {code}{}{message}", if .message.is_empty() { "" } else { ": " })]
struct Answer {
    status: u16,
    code: String,
    message: String,
}

/// An answer that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Nonsense(&'static str);

pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// An operation that failed, and where.
pub(super) struct Trouble<'a> {
    pub(super) operation: String,
    pub(super) place: &'a S3Location,
}

impl Trouble<'_> {
    pub(super) fn sdk<E>(self, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => self.answered(error),
            SdkError::ConstructionFailure(_) => StoreError::Settings {
                place: describe(self.place),
                reason: format!("failed to {}: {}", self.operation, chain(&error)),
            },
            error => {
                let source = error.into_source().unwrap_or_else(Into::into);
                if refuses_login(source.as_ref()) {
                    return self.forbidden(source);
                }
                self.unreachable(source)
            }
        }
    }

    fn answered<E>(self, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = status(&error).unwrap_or(0);
        let Some(code) = error.code().map(str::to_owned) else {
            return self.answered_without_code(status, error);
        };
        let answer = Answer {
            status,
            message: error.message().unwrap_or_default().to_owned(),
            code,
        };
        let region = error
            .raw_response()
            .and_then(|response| response.headers().get("x-amz-bucket-region"));
        match (answer.code.as_str(), status) {
            ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "TemporaryRedirect", _) => {
                let region = region.map_or(String::new(), |region| {
                    format!("; the bucket is in region `{region}`")
                });
                self.settings(&format!("{answer}{region}"))
            }
            ("NoSuchBucket", _) => self.missing(answer.into()),
            (
                "XMinioStorageFull" | "QuotaExceeded" | "InsufficientStorage" | "NotEnoughSpace",
                _,
            )
            | (_, 507) => StoreError::Full {
                place: describe(self.place),
                operation: self.operation,
                source: answer.into(),
            },
            // AWS tells of these with 400.
            ("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken", _) | (_, 401 | 403) => {
                self.forbidden(answer.into())
            }
            (_, 404) => self.missing(answer.into()),
            // The bytes were damaged or cut off on their way.
            (
                "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" | "RequestTimeout",
                _,
            )
            | (_, 408 | 409 | 412 | 429 | 500..) => self.unreachable(answer),
            _ => self.settings(&answer.to_string()),
        }
    }

    fn answered_without_code<E>(self, status: u16, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: Error + Send + Sync + 'static,
    {
        let answer = Answer {
            status,
            code: "without an S3 error code".to_owned(),
            message: String::new(),
        };
        match status {
            401 | 403 => self.forbidden(answer.into()),
            404 => self.missing(answer.into()),
            // A redirection or a page of HTML: this is no S3 server, or something stands before it.
            300..=499 => self.settings(&answer.to_string()),
            500.. => self.unreachable(answer),
            _ => self.unreachable(error.into_source().unwrap_or_else(Into::into)),
        }
    }

    fn settings(self, answer: &str) -> StoreError {
        StoreError::Settings {
            place: describe(self.place),
            reason: format!("asked to {}, {answer}", self.operation),
        }
    }

    fn missing(self, source: Source) -> StoreError {
        let at = self.place.endpoint.as_deref().unwrap_or("AWS");
        StoreError::Missing {
            place: format!("bucket `{}` at {at}", self.place.bucket),
            source: Some(source),
        }
    }

    pub(super) fn forbidden(self, source: Source) -> StoreError {
        StoreError::Forbidden {
            place: describe(self.place),
            operation: self.operation,
            source,
        }
    }

    pub(super) fn unreachable(self, source: impl Into<Source>) -> StoreError {
        StoreError::Unreachable {
            place: describe(self.place),
            operation: self.operation,
            source: source.into(),
        }
    }

    pub(super) fn answer(self, nonsense: &'static str) -> StoreError {
        self.unreachable(Nonsense(nonsense))
    }

    pub(super) fn io(self, source: io::Error) -> StoreError {
        StoreError::Io {
            place: describe(self.place),
            operation: self.operation,
            source,
        }
    }
}

/// No credentials, or ones that cannot be had by trying again.
fn refuses_login(error: &(dyn Error + 'static)) -> bool {
    for cause in causes(error) {
        match cause.downcast_ref::<CredentialsError>() {
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_),
            ) => return true,
            // The token service says so in its answer, whose type is erased.
            Some(CredentialsError::ProviderError(_)) => {
                let said = chain(cause);
                return [
                    "AccessDenied",
                    "InvalidIdentityToken",
                    "ExpiredToken",
                    "IDPRejectedClaim",
                ]
                .iter()
                .any(|code| said.contains(code));
            }
            _ => {}
        }
    }
    false
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let said: Vec<_> = causes(error).map(ToString::to_string).collect();
    said.join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
