//! Every length from outside is bounded before it is read. All bounds, in one place; FORMAT.md lists them.

/// Largest manifest, in bytes: about 290,000 chunks, 2.5 TB or more.
pub const MANIFEST_SIZE: u64 = 64 << 20;
/// Largest list of what is dropped, in bytes: about 650,000 chunks.
pub const PRUNED_SIZE: u64 = 64 << 20;
/// Length of a raw Ed25519 signature (RFC 8032, section 5.1.6).
pub const SIGNATURE_SIZE: u64 = 64;
/// Most signatures that are looked at for one manifest or list.
pub const SIGNATURES: usize = 64;
/// Largest chunk, raw and stored, in bytes.
pub const CHUNK_SIZE: u64 = 32 << 20;
/// An entry of an archive from this size on is cut on its own.
pub const CUT_SIZE: u64 = 1 << 20;
/// Most files in one bundle.
pub const FILES: usize = 10_000;
/// Largest file of a bundle, in bytes: 16 TiB.
pub const FILE_SIZE: u64 = 16 << 40;
/// Largest image set configuration, in bytes.
pub const IMAGESET_SIZE: u64 = 4 << 20;
/// Largest inventory, in bytes.
pub const INVENTORY_SIZE: u64 = 256 << 20;
/// Largest history, in bytes: about 900,000 blobs.
pub const HISTORY_SIZE: u64 = 64 << 20;
/// Largest image manifest or index, in bytes (the OCI distribution specification asks registries for 4 MiB).
pub const IMAGE_MANIFEST_SIZE: u64 = 4 << 20;
/// Largest operator catalogue, all its files together, in bytes: five times Red Hat's.
pub const CATALOG_SIZE: usize = 512 << 20;
/// Largest single object of an operator catalogue, in bytes.
pub const CATALOG_OBJECT_SIZE: usize = 16 << 20;
/// Most objects, channel entries, skips and related images of an operator catalogue together.
pub const CATALOG_ITEMS: usize = 4_000_000;
/// Largest chart or index of charts, in bytes, and largest chart unpacked.
pub const CHART_SIZE: u64 = 64 << 20;
/// Largest update graph, in bytes.
pub const GRAPH_SIZE: u64 = 64 << 20;
/// Largest file of release keys, in bytes.
pub const RELEASE_KEYS_SIZE: u64 = 1 << 20;
/// Largest signature of a release and the text in it, each in bytes.
pub const RELEASE_SIGNATURE_SIZE: u64 = 1 << 20;
/// Largest layer of a release image that is looked into, in bytes; unpacked, sixteen times as much.
pub const RELEASE_LAYER_SIZE: u64 = 64 << 20;
/// Largest list of a release's components, in bytes.
pub const IMAGE_REFERENCES_SIZE: u64 = 16 << 20;
/// Most entries in one archive.
pub const ARCHIVE_ENTRIES: u64 = 4_000_000;
/// Largest PAX extended header of an archive, in bytes.
pub const PAX_SIZE: u64 = 64 << 10;
/// Longest path in an archive, in bytes.
pub const ARCHIVE_PATH: usize = 1024;
/// Longest file name, in bytes.
pub const NAME_LENGTH: usize = 255;
/// Most components of a `local` or `extra` name.
pub const NAME_COMPONENTS: usize = 8;
/// Longest free text in a manifest (names, versions, annotations), in bytes.
pub const TEXT_LENGTH: usize = 1024;
/// Most entries of a list or map of texts in a manifest.
pub const TEXTS: usize = 1024;
/// Most objects that a listing of one stream may have.
pub const OBJECTS: usize = 8_000_000;
/// Largest number: what a double holds exactly (RFC 8259, section 6).
pub const NUMBER: u64 = (1 << 53) - 1;
/// Largest copy of the populator's state, in bytes: a manifest, an inventory, and a tenth more for their form.
pub const STATE_SIZE: u64 = 512 << 20;
/// Largest copy of the populator's state as it is stored, compressed, in bytes.
pub const STATE_STORED_SIZE: u64 = 256 << 20;
/// Longest receipt, in bytes.
pub const RECEIPT_SIZE: u64 = 4096;
/// Largest configuration file, in bytes.
pub const CONFIG_SIZE: u64 = 1 << 20;
/// Largest key file, in bytes.
pub const KEY_SIZE: u64 = 16 << 10;
/// Largest `keys.yaml`, in bytes.
pub const KEYS_FILE_SIZE: u64 = 1 << 20;
