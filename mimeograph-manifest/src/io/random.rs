//! Random bytes from the operating system.

use crate::failure::{ErrorId, Fault};

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("failed to get random bytes from the operating system")]
pub struct RandomError(#[from] getrandom::Error);

impl Fault for RandomError {
    fn id(&self) -> ErrorId {
        ErrorId::Io
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_draws_differ() {
        assert_ne!(super::bytes::<16>().unwrap(), super::bytes::<16>().unwrap());
    }
}
