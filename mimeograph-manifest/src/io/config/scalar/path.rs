//! Paths: in the file relative to its folder, in the program absolute.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::Mistake;

/// An absolute path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// `text` as it stands where it is absolute, else below `folder` (an absolute one).
    pub(crate) fn resolve(text: &str, folder: &Path) -> Result<Self, Mistake> {
        let remedy = "write an absolute path, or one relative to the folder of this file";
        match text {
            "" => Err(Mistake::new("which is empty", remedy)),
            _ if text.contains(['\0', '\n']) => Err(Mistake::new("which is not a path", remedy)),
            _ if text.starts_with("~/") => {
                Err(Mistake::new("which needs a shell to be read", remedy))
            }
            _ if text.starts_with("file://") => Err(Mistake::new(
                "which is a URL",
                "write the path without `file://`",
            )),
            _ => Ok(Self(folder.join(text))),
        }
    }

    /// A place that is known to be absolute.
    pub(crate) fn known(path: &'static str) -> Self {
        Self(PathBuf::from(path))
    }

    /// A place below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }
}

/// A program: a bare name is looked for in `PATH`, anything else is a path.
pub(crate) fn program(text: &str, folder: &Path) -> Result<PathBuf, Mistake> {
    if !text.is_empty() && !text.contains(['/', '\0', '\n']) {
        return Ok(PathBuf::from(text));
    }
    AbsolutePath::resolve(text, folder).map(|path| path.0)
}

impl Deref for AbsolutePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl From<AbsolutePath> for PathBuf {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_folder_unless_it_is_absolute() {
        let resolve = |text| AbsolutePath::resolve(text, Path::new("/etc/m"));
        assert_eq!(resolve("a/b").unwrap().0, Path::new("/etc/m/a/b"));
        assert_eq!(resolve("/a/b").unwrap().0, Path::new("/a/b"));
        for wrong in ["", "~/a", "file:///a", "a\0b", "a\nb"] {
            assert!(resolve(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_bare_program_name_is_left_to_path() {
        let folder = Path::new("/etc/m");
        assert_eq!(
            program("oc-mirror", folder).unwrap(),
            Path::new("oc-mirror")
        );
        assert_eq!(
            program("./oc-mirror", folder).unwrap(),
            Path::new("/etc/m/./oc-mirror")
        );
        assert!(program("", folder).is_err());
    }
}
