//! A port for `oc-mirror`'s cache registry. Below 32768, where Linux hands out no client ports, so that none of
//! its own connections can take it; and none in whose digits `oc-mirror` would find an image's tag: it replaces the
//! first occurrence of the tag in `localhost:<port>/<repository>:<tag>`, wherever that is.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::ops::RangeInclusive;

use crate::failure::{ErrorId, Fault};

/// Where ports are taken from first.
const USUAL: RangeInclusive<u16> = 20_000..=32_767;
/// Where ports are taken from when tags such as `2` and `3` spoil all of those.
const OTHERS: RangeInclusive<u16> = 1_024..=19_999;

/// An image as the cache registry will know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The repository without a host, `tiny/t1`.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

/// A tag that `oc-mirror` will find where it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The image.
    pub image: Tagged,
    /// Where the tag's text occurs first.
    pub within: Within,
}

/// The part of a reference in which a tag's text occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// In `localhost`.
    Host,
    /// In the port: every free one.
    Port,
    /// In the repository.
    Repository,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tagged { repository, tag } = &self.image;
        let within = match self.within {
            Within::Host => "`localhost`",
            Within::Port => "every free port",
            Within::Repository => "the repository",
        };
        write!(
            f,
            "the tag `{tag}` of `{repository}:{tag}` also occurs in {within}"
        )
    }
}

/// A port, and what it cannot help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Tags that stay ambiguous: their cosign signatures are lost, a filtered catalogue is packed wrongly.
    pub traps: Vec<Trap>,
}

impl Port {
    /// Chooses a free port for `images`.
    pub fn choose(images: &[Tagged]) -> Result<Self, PortError> {
        let mut random = Random::new()?;
        let mut fallback = None;
        for range in [USUAL, OTHERS] {
            let mut ports: Vec<u16> = range.collect();
            random.shuffle(&mut ports)?;
            for number in ports {
                let clean = !images.iter().any(|image| in_port(image, number));
                if (clean || fallback.is_none()) && is_free(number) {
                    if clean {
                        return Ok(Self::at(number, images));
                    }
                    fallback = Some(number);
                }
            }
        }
        fallback
            .map(|number| Self::at(number, images))
            .ok_or(PortError::None)
    }

    /// The port with this number, free or not.
    pub fn at(number: u16, images: &[Tagged]) -> Self {
        let traps = images
            .iter()
            .filter_map(|image| {
                within(image, number).map(|within| Trap {
                    image: image.clone(),
                    within,
                })
            })
            .collect();
        Self { number, traps }
    }

    /// What `REGISTRY_HTTP_ADDR` must be, so that the registry listens to this machine alone.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

fn in_port(image: &Tagged, number: u16) -> bool {
    within(image, number) == Some(Within::Port)
}

fn within(image: &Tagged, number: u16) -> Option<Within> {
    let tag = image.tag.as_str();
    if tag.is_empty() {
        None
    } else if "localhost".contains(tag) {
        Some(Within::Host)
    } else if image.repository.contains(tag) {
        // The port would be found first, but that would mend nothing.
        Some(Within::Repository)
    } else {
        number.to_string().contains(tag).then_some(Within::Port)
    }
}

/// `oc-mirror` binds `localhost` to try, then the loopback address: both families must be free.
fn is_free(port: u16) -> bool {
    let free = |address: IpAddr| match TcpListener::bind((address, port)) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::AddrNotAvailable,
    };
    let without_ipv6 = || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err();
    free(Ipv4Addr::LOCALHOST.into()) && (free(Ipv6Addr::LOCALHOST.into()) || without_ipv6())
}

struct Random(Vec<u8>);

impl Random {
    fn new() -> Result<Self, PortError> {
        let mut random = Self(Vec::new());
        random.fill()?;
        Ok(random)
    }

    fn fill(&mut self) -> Result<(), PortError> {
        self.0 = vec![0; 64 << 10];
        getrandom::fill(&mut self.0).map_err(|_| PortError::Random)
    }

    fn below(&mut self, limit: usize) -> Result<usize, PortError> {
        let mut number = 0;
        for _ in 0..4 {
            if self.0.is_empty() {
                self.fill()?;
            }
            number = number << 8 | usize::from(self.0.pop().unwrap_or_default());
        }
        Ok(number % limit.max(1))
    }

    fn shuffle(&mut self, ports: &mut [u16]) -> Result<(), PortError> {
        for last in (1..ports.len()).rev() {
            let other = self.below(last + 1)?;
            ports.swap(last, other);
        }
        Ok(())
    }
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// All are taken.
    #[error("no port between 1024 and 32767 is free on the loopback interface")]
    None,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Fault for PortError {
    fn id(&self) -> ErrorId {
        ErrorId::Io
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(repository: &str, tag: &str) -> Tagged {
        Tagged {
            repository: repository.into(),
            tag: tag.into(),
        }
    }

    #[test]
    fn a_port_without_the_digits_of_any_tag_is_chosen() {
        for digits in ["1", "23", "7", "99"] {
            let port = Port::choose(&[image("b", digits), image("c", "v1")]).unwrap();
            assert!(!port.number.to_string().contains(digits), "{port:?}");
            assert!((1_024..32_768).contains(&port.number));
            assert_eq!(port.traps, []);
        }
    }

    #[test]
    fn tags_that_spoil_the_usual_range_are_avoided_in_the_other() {
        let port = Port::choose(&[image("b", "2"), image("c", "3")]).unwrap();
        let digits = port.number.to_string();
        assert!(!digits.contains('2') && !digits.contains('3'), "{port:?}");
        assert!(port.number >= 1_024);
    }

    #[test]
    fn tags_that_no_port_avoids_are_reported() {
        let images: Vec<_> = (0..10)
            .map(|digit| image("b", &digit.to_string()))
            .collect();
        let port = Port::choose(&images).unwrap();
        assert!(!port.traps.is_empty());
        assert!(port.traps.iter().all(|trap| trap.within == Within::Port));
    }

    #[test]
    fn tags_within_the_repository_or_localhost_are_reported() {
        let images = [
            image("ubi9", "9"),
            image("idx-v9", "v9"),
            image("b", "host"),
            image("tiny/t1", "v1"),
        ];
        let port = Port::choose(&images).unwrap();
        let found: Vec<_> = port.traps.iter().map(|trap| trap.within).collect();
        assert_eq!(
            found,
            [Within::Repository, Within::Repository, Within::Host]
        );
        assert_eq!(
            port.traps[0].to_string(),
            "the tag `9` of `ubi9:9` also occurs in the repository"
        );
    }

    #[test]
    fn a_port_that_is_taken_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}
