//! How one value of the file gets through its constructor, or becomes an error that points at it.

use std::str::FromStr;

use super::Environment;
use super::error::ConfigError;
use super::place::Field;
use super::raw::Scalar;
use super::scalar::{AbsolutePath, Mistake, Period};
use super::source::{Source, shown};

/// A file that is being checked.
pub(super) struct Check<'a> {
    pub(super) source: &'a Source,
    pub(super) environment: Environment<'a>,
}

impl Check<'_> {
    /// One value, through its constructor.
    pub(super) fn one<T: FromStr<Err = Mistake>>(
        &self,
        field: &str,
        raw: Option<Scalar>,
    ) -> Result<Option<T>, ConfigError> {
        self.with(field, raw, str::parse)
    }

    pub(super) fn with<T>(
        &self,
        field: &str,
        raw: Option<Scalar>,
        make: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Result<Option<T>, ConfigError> {
        raw.map(|Scalar(text)| {
            make(&text)
                .map_err(|mistake| self.source.mistake(&Field::named(field), &text, &mistake))
        })
        .transpose()
    }

    /// A list of values.
    pub(super) fn list<T>(
        &self,
        field: &str,
        raw: Option<Vec<Scalar>>,
        make: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Result<Vec<T>, ConfigError> {
        let field = Field::named(field);
        raw.unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, Scalar(text))| {
                make(text)
                    .map_err(|mistake| self.source.mistake(&field.index(index), text, &mistake))
            })
            .collect()
    }

    pub(super) fn path(
        &self,
        field: &str,
        raw: Option<Scalar>,
    ) -> Result<Option<AbsolutePath>, ConfigError> {
        self.with(field, raw, |text| {
            AbsolutePath::resolve(text, self.source.folder())
        })
    }

    /// A duration of more than nothing.
    pub(super) fn period(
        &self,
        field: &str,
        raw: Option<Scalar>,
        default: Period,
    ) -> Result<Period, ConfigError> {
        let some = |text: &str| match text.parse::<Period>()? {
            period if period.seconds() == 0 => Err(Mistake::new(
                "which is no time at all",
                "write a longer one, such as `12h`",
            )),
            period => Ok(period),
        };
        Ok(self.with(field, raw, some)?.unwrap_or(default))
    }

    pub(super) fn at_most(
        &self,
        field: &str,
        value: u32,
        least: u32,
        most: u32,
    ) -> Result<u32, ConfigError> {
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        let mistake = Mistake::new(
            format!("which is not a number from {least} to {most}"),
            format!("write a number from {least} to {most}"),
        );
        Err(self
            .source
            .mistake(&Field::named(field), &value.to_string(), &mistake))
    }

    pub(super) fn constant(
        &self,
        name: &str,
        found: Option<&Scalar>,
        wanted: &str,
    ) -> Result<(), ConfigError> {
        let remedy = format!("write `{name}: {wanted}`");
        match found {
            None => Err(self.source.required(name, &remedy)),
            Some(Scalar(found)) if found == wanted => Ok(()),
            Some(Scalar(found)) => {
                let message = format!("`{name}` is `{}`, not `{wanted}`", shown(found));
                Err(self.source.wrong(&Field::named(name), message, &remedy))
            }
        }
    }
}
