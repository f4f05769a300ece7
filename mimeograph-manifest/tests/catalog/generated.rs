//! Generated catalogues and wishes: what is selected meets the wish, and a planted fault is found.

use mimeograph_manifest::catalog::{
    Bundle, Catalog, Entry, Lack, Package, Rule, SelectError, select, unmet,
};
use mimeograph_manifest::imageset::model::{
    Channel, Operator, Package as Wanted, Place, Range, Text,
};

/// xorshift64* (Marsaglia 2003, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

const CHANNELS: [&str; 3] = ["candidate", "fast", "stable"];

/// A package of a line of versions, each channel with a run of it; some skip instead of replace.
fn package(dice: &mut Dice, name: &str) -> Package {
    let count = 2 + dice.below(6);
    let bundle = |at: usize| format!("{name}.v1.{at}.0");
    let mut package = Package {
        default_channel: Some("stable".into()),
        ..Package::default()
    };
    for at in 0..count {
        let related_images = vec![format!("r.example/{name}@sha256:{at:064x}")];
        let content = Bundle {
            image: related_images[0].clone(),
            version: format!("1.{at}.0"),
            related_images,
        };
        package.bundles.insert(bundle(at), content);
    }
    for channel in CHANNELS {
        let first = dice.below(count);
        let last = first + dice.below(count - first);
        let mut entries = Vec::new();
        let mut below: Option<String> = None;
        for at in first..=last {
            let mut entry = Entry {
                name: bundle(at),
                ..Entry::default()
            };
            match below.take() {
                Some(below) if dice.one_in(4) => entry.skips.push(below),
                below => entry.replaces = below,
            }
            below = Some(entry.name.clone());
            entries.push(entry);
        }
        package.channels.insert(channel.into(), entries);
    }
    package
}

fn catalog(dice: &mut Dice) -> Catalog {
    let names = ["alpha", "beta", "gamma"];
    let packages = names.map(|name| (name.to_owned(), package(dice, name)));
    Catalog {
        packages: packages.into(),
    }
}

fn text(line: &mut usize, value: &str) -> Text {
    *line += 1;
    Text {
        value: value.to_owned(),
        at: Place {
            line: *line,
            column: 1,
        },
    }
}

/// A wish that the catalogue meets: every text has a line of its own.
fn wish(dice: &mut Dice, catalog: &Catalog) -> Operator {
    let mut line = 0;
    let mut wish = Operator {
        catalog: text(&mut line, "r.example/ops/catalog:v1"),
        full: dice.one_in(5),
        packages: Some(vec![]),
        ..Operator::default()
    };
    for (name, package) in &catalog.packages {
        if dice.one_in(3) {
            continue;
        }
        let mut wanted = Wanted {
            name: text(&mut line, name),
            ..Wanted::default()
        };
        for (channel, entries) in &package.channels {
            if channel != "stable" && dice.one_in(2) {
                continue;
            }
            let name = text(&mut line, channel);
            let mut range = Range::default();
            if !wish.full && dice.one_in(2) {
                // The head of the chain is what cannot be skipped: it is always within.
                let head = entries.last().unwrap().name.split_once(".v").unwrap().1;
                if dice.one_in(2) {
                    range.max = Some(text(&mut line, head));
                } else {
                    range.min = Some(text(&mut line, head));
                }
            }
            wanted.channels.push(Channel { name, range });
        }
        if dice.one_in(4) {
            wanted.channels.clear();
        }
        wish.packages.get_or_insert_default().push(wanted);
    }
    wish
}

type IsRight = fn(&Lack) -> bool;

/// Spoils one line of the wish; gives the line and whether the kind of lack is the right one.
fn plant(dice: &mut Dice, wish: &mut Operator) -> Option<(Place, IsRight)> {
    let full = wish.full;
    let packages = wish.packages.as_mut()?;
    if packages.is_empty() {
        return None;
    }
    let at = dice.below(packages.len());
    let package = packages.get_mut(at)?;
    let channels = package.channels.len();
    if channels == 0 || dice.one_in(3) {
        package.name.value.push('x');
        return Some((package.name.at, |lack| matches!(lack, Lack::Package { .. })));
    }
    let at = dice.below(channels);
    let channel = package.channels.get_mut(at)?;
    if full || dice.one_in(2) {
        channel.name.value.push('x');
        channel.range = Range::default();
        return Some((channel.name.at, |lack| matches!(lack, Lack::Channel { .. })));
    }
    let mut line = 1000;
    channel.range = Range {
        min: Some(text(&mut line, "9.0.0")),
        max: None,
    };
    let at = Place { line, column: 1 };
    Some((at, |lack| matches!(lack, Lack::Range { .. })))
}

#[test]
fn what_is_selected_meets_the_wish_and_is_selected_again() {
    let mut dice = Dice(7);
    for round in 0..2000 {
        let catalog = catalog(&mut dice);
        let wish = wish(&mut dice, &catalog);
        let selected = select(&catalog, &wish, Rule::Filtered).unwrap();
        assert_eq!(
            unmet(&selected, &wish, Rule::Filtered),
            [],
            "{round}: {wish:?}"
        );
        let again = select(&selected, &wish, Rule::Filtered).unwrap();
        assert_eq!(again, selected, "{round}: {wish:?}");
        // The names have the versions that the bundles have: 4.17 finds the wish met too.
        assert_eq!(unmet(&catalog, &wish, Rule::Whole), [], "{round}: {wish:?}");
        let mirrored = select(&catalog, &wish, Rule::Whole).unwrap();
        for wanted in wish.packages() {
            assert!(!mirrored.packages[&*wanted.name].bundles.is_empty());
        }
    }
}

#[test]
fn a_planted_fault_is_found_at_its_line_and_nothing_else_is() {
    let mut dice = Dice(11);
    let mut planted = 0;
    for round in 0..2000 {
        let catalog = catalog(&mut dice);
        let mut wish = wish(&mut dice, &catalog);
        let Some((at, is_right)) = plant(&mut dice, &mut wish) else {
            continue;
        };
        planted += 1;
        let by_filter = match select(&catalog, &wish, Rule::Filtered) {
            Ok(selected) => unmet(&selected, &wish, Rule::Filtered),
            Err(SelectError::Unmet(lacks)) => lacks,
            Err(other) => panic!("{round}: {other}"),
        };
        for lacks in [by_filter, unmet(&catalog, &wish, Rule::Whole)] {
            // That a default channel is lost with its channel is another finding at the package.
            let mut own = lacks.iter().filter(|lack| lack.at == at);
            assert!(
                own.any(|lack| is_right(&lack.lack)),
                "{round}: {lacks:?} {wish:?}"
            );
            let other = |lack: &Lack| matches!(lack, Lack::DefaultChannel { .. });
            let others = lacks.iter().filter(|lack| lack.at != at);
            assert!(
                others.into_iter().all(|lack| other(&lack.lack)),
                "{round}: {lacks:?}"
            );
        }
    }
    assert!(planted > 1000);
}

#[test]
fn a_bundle_that_is_taken_away_is_missed_in_every_channel_that_lists_it() {
    let mut dice = Dice(13);
    for round in 0..500 {
        let catalog = catalog(&mut dice);
        let wish = wish(&mut dice, &catalog);
        let mut selected = select(&catalog, &wish, Rule::Filtered).unwrap();
        let Some(package) = selected.packages.values_mut().next() else {
            continue;
        };
        let (lost, _) = package.bundles.pop_last().unwrap();
        let listed = package
            .channels
            .values()
            .flatten()
            .filter(|entry| entry.name == lost);
        let listed = listed.count();
        let lacks = unmet(&selected, &wish, Rule::Filtered);
        let missed = lacks
            .iter()
            .filter(|lack| matches!(&lack.lack, Lack::Bundle { bundle, .. } if *bundle == lost));
        assert_eq!(missed.count(), listed, "{round}: {lacks:?}");
    }
}

#[test]
fn a_default_channel_that_is_gone_is_missed_at_the_package_or_at_the_line_that_puts_it() {
    let mut dice = Dice(17);
    for round in 0..500 {
        let catalog = catalog(&mut dice);
        let mut wish = wish(&mut dice, &catalog);
        let mut selected = select(&catalog, &wish, Rule::Filtered).unwrap();
        let Some(wanted) = wish.packages.as_mut().unwrap().first_mut() else {
            continue;
        };
        wanted.channels.clear();
        let package = selected.packages.get_mut(&wanted.name.value).unwrap();
        let mut line = 1000;
        let at = if dice.one_in(2) {
            wanted.default_channel = Some(text(&mut line, "fast"));
            Place { line, column: 1 }
        } else {
            package.channels.remove("stable");
            wanted.name.at
        };
        let lacks = unmet(&selected, &wish, Rule::Filtered);
        let is_default = |lack: &Lack| matches!(lack, Lack::DefaultChannel { .. });
        let found = lacks
            .iter()
            .filter(|lack| lack.at == at && is_default(&lack.lack));
        assert_eq!(found.count(), 1, "{round}: {lacks:?}");
    }
}

#[test]
fn an_empty_text_asks_for_nothing() {
    let mut dice = Dice(19);
    let catalog = catalog(&mut dice);
    let empty = Some(Text::default());
    let (min, max) = (empty.clone(), empty.clone());
    let range = Range { min, max };
    let named = |range: Range, default_channel| Operator {
        packages: Some(vec![Wanted {
            name: text(&mut 0, "alpha"),
            range,
            default_channel,
            ..Wanted::default()
        }]),
        ..Operator::default()
    };
    let (with, without) = (named(range, empty), named(Range::default(), None));
    for rule in [Rule::Filtered, Rule::Whole] {
        let selected = select(&catalog, &with, rule).unwrap();
        assert_eq!(selected, select(&catalog, &without, rule).unwrap());
        assert_eq!(unmet(&catalog, &with, rule), []);
    }
}
