//! What may happen to a stream.

use proptest::prelude::*;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The image set asks for one image more.
    AddImage,
    /// A tag of the source names another of its images.
    MoveTag { image: u8, version: u8 },
    /// A bundler runs.
    Publish { writer: Writer, extent: Extent },
    /// Two bundlers run at the same time.
    PublishAtOnce,
    /// All that the near store holds is carried over; what is there is written again.
    CarryAll,
    /// Some objects are carried over, in the order of a number.
    CarrySome { order: u64, share: u8 },
    /// An object of the far store is lost.
    Lose { kind: Object, which: usize },
    /// A bit of an object of the far store is flipped.
    Tamper { kind: Object, which: usize },
    /// The populator runs.
    Populate,
    /// The bundler drops all but the last full bundle and what came after it.
    Prune,
    /// The populator drops what lists that have come over say.
    PruneFar,
    /// All that the stream names is looked at, and mended from what lies here.
    Repair,
    /// A chunk of the near store is lost.
    LoseNear(usize),
    /// A volume is copied.
    Keep(Volume),
    /// A volume is as it was when it was last copied; empty if it never was.
    Restore(Volume),
}

/// A bundler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The one that always is there.
    First,
    /// One on another host, with volumes of its own.
    Second,
}

/// What a bundle is to hold.
#[derive(Clone, Debug)]
pub(crate) enum Extent {
    New,
    Full,
    /// What came after one of those before.
    Since(usize),
}

/// An object of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Chunk,
    Manifest,
    Signature,
    /// Manifest and signature of one bundle.
    Bundle,
}

/// A volume of either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    NearMetadata,
    NearBundle,
    FarMetadata,
    /// `oc-mirror`'s cache is on it.
    FarBundle,
}

impl Volume {
    /// Its folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::NearMetadata => "connected/metadata",
            Self::NearBundle => "connected/bundle",
            Self::FarMetadata => "disconnected/metadata",
            Self::FarBundle => "disconnected/bundle",
        }
    }
}

/// A sequence of steps, so mixed that bundles are made and arrive as a rule.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 8..=12)
}

fn step() -> impl Strategy<Value = Step> {
    let extent = prop_oneof![
        6 => Just(Extent::New),
        1 => Just(Extent::Full),
        1 => any::<usize>().prop_map(Extent::Since),
    ];
    let writer = prop_oneof![5 => Just(Writer::First), 1 => Just(Writer::Second)];
    let object = prop_oneof![
        3 => Just(Object::Chunk),
        1 => Just(Object::Manifest),
        1 => Just(Object::Signature),
        2 => Just(Object::Bundle),
    ];
    let volume = prop_oneof![
        Just(Volume::NearMetadata),
        Just(Volume::NearBundle),
        Just(Volume::FarMetadata),
        Just(Volume::FarBundle),
    ];
    prop_oneof![
        3 => Just(Step::AddImage),
        2 => (1..=2_u8, 0..3_u8).prop_map(|(image, version)| Step::MoveTag { image, version }),
        6 => (writer, extent).prop_map(|(writer, extent)| Step::Publish { writer, extent }),
        1 => Just(Step::PublishAtOnce),
        4 => Just(Step::CarryAll),
        2 => (any::<u64>(), 20..100_u8).prop_map(|(order, share)| Step::CarrySome { order, share }),
        3 => (object.clone(), any::<usize>()).prop_map(|(kind, which)| Step::Lose { kind, which }),
        3 => (object, any::<usize>()).prop_map(|(kind, which)| Step::Tamper { kind, which }),
        6 => Just(Step::Populate),
        1 => Just(Step::Prune),
        1 => Just(Step::PruneFar),
        1 => Just(Step::Repair),
        1 => any::<usize>().prop_map(Step::LoseNear),
        1 => volume.clone().prop_map(Step::Keep),
        2 => volume.prop_map(Step::Restore),
    ]
}
