//! The lines of a wish that speak of one channel.

use crate::imageset::model::{Operator, Package, Place, Range, Text};

/// What a wish says of one channel of a package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The channel, where the wish names it.
    pub(super) channel: Option<&'a str>,
    /// Its range, or else the package's.
    pub(super) range: Option<&'a Range>,
    /// Where it stands.
    pub(super) at: Place,
}

/// What the wish says of a channel; `None`: it is not wanted. Without channels all are.
pub(super) fn line<'a>(wanted: &'a Package, channel: &str) -> Option<Line<'a>> {
    if wanted.channels.is_empty() {
        return Some(Line {
            channel: None,
            range: given(&wanted.range),
            at: place(&wanted.range, wanted.name.at),
        });
    }
    lines(wanted).find(|line| line.channel == Some(channel))
}

/// The channels that the wish names.
pub(super) fn lines(wanted: &Package) -> impl Iterator<Item = Line<'_>> {
    wanted.channels.iter().map(|channel| {
        let range = given(&channel.range).or_else(|| given(&wanted.range));
        Line {
            channel: Some(&channel.name),
            range,
            at: place(&channel.range, channel.name.at),
        }
    })
}

/// A range that bounds something.
pub(super) fn given(range: &Range) -> Option<&Range> {
    ends(range).next().map(|_| range)
}

/// What stands for every package where the wish names none.
pub(super) fn of_all(wish: &Operator, name: &str) -> Package {
    Package {
        name: Text {
            value: name.to_owned(),
            at: wish.catalog.at,
        },
        ..Package::default()
    }
}

fn place(range: &Range, otherwise: Place) -> Place {
    ends(range).next().map_or(otherwise, |end| end.at)
}

fn ends(range: &Range) -> impl Iterator<Item = &Text> {
    let ends = range.min.iter().chain(&range.max);
    ends.filter(|end| !end.is_empty())
}
