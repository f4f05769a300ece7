//! Credentials that the store calls expired before they were due: the chain is asked for new ones.
//!
//! The SDK asks again shortly before the time that came with them. A clock that is behind, or a login that was ended
//! early, shows only in the store's answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{
    ConfigBag, Credentials, IdentityCache, ResolveCachedIdentity, RuntimeComponents,
    SharedIdentityCache,
};
use aws_smithy_runtime_api::client::identity::{IdentityFuture, SharedIdentityResolver};

/// The SDK's cache of credentials, emptied when the store says that they have expired.
#[derive(Clone, Debug)]
pub(super) struct Renewal(Arc<Mutex<State>>);

struct State {
    cache: SharedIdentityCache,
    /// The token of the credentials that the cache gave last. None: it was emptied since.
    given: Option<String>,
    /// The last token for which the cache was emptied.
    refused: Option<String>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl Default for Renewal {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            cache: IdentityCache::lazy().build(),
            given: None,
            refused: None,
        })))
    }
}

impl Renewal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it helps to try again after expired credentials were refused: not if the chain gave the same once more.
    /// Of many requests that are refused at once, the first empties the cache.
    fn renew(&self) -> bool {
        let mut state = self.state();
        let Some(given) = state.given.take() else {
            return true;
        };
        if state.refused.as_ref() == Some(&given) {
            state.given = Some(given);
            return false;
        }
        tracing::info!("the store says that the credentials have expired; asking for new ones");
        state.cache = IdentityCache::lazy().build();
        state.refused = Some(given);
        true
    }
}

impl ResolveCachedIdentity for Renewal {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let cache = self.state().cache.clone();
        IdentityFuture::new(async move {
            let identity = cache.resolve_cached_identity(resolver, components, config);
            let identity = identity.await?;
            let token = identity
                .data::<Credentials>()
                .and_then(Credentials::session_token);
            self.state().given = token.map(str::to_owned);
            Ok(identity)
        })
    }
}

impl ClassifyRetry for Renewal {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let answer = context.response().filter(|_| context.is_failed());
        match answer {
            Some(answer) if is_expired(answer.body().bytes()) && self.renew() => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "expired credentials"
    }
}

/// The error's code, whichever operation it was.
fn is_expired(body: Option<&[u8]>) -> bool {
    let body = String::from_utf8_lossy(body.unwrap_or_default());
    ["ExpiredToken", "TokenRefreshRequired"]
        .iter()
        .any(|code| body.contains(&format!("<Code>{code}</Code>")))
}
