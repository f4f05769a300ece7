//! Chunks -> files in a private folder: bound, hash and write at the offset while they arrive; what is compressed is hashed,
//! decompressed within the signed size, hashed again and written. What an earlier run left is hashed again and not fetched
//! twice.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::{Digest, Hasher};
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::archives::Digests;
use mimeograph_manifest::io::disk::{self, Action, id_of};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::landing::Landing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::{failpoint, fetched};
use mimeograph_manifest::{limits, manifest};

/// Why files cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The folder or a file in it.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while fetching")]
    Interrupted,
}

impl Fault for StagingError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Write { source, .. } => id_of(Action::Write, source),
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Interrupted => Some("run it again: what was fetched is not fetched twice".into()),
            Self::Write { .. } => None,
        }
    }
}

/// How to fetch.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct Pace<'a> {
    /// Chunks on their way at once.
    pub parallel: usize,
    /// Bytes a second.
    pub throttle: &'a Throttle,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
    /// Hears of every raw byte.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// Chunks of one file that follow each other and may be one blob: all but the last are as long as any chunk of it.
#[derive(Clone, Copy)]
struct Run<'a> {
    file: &'a manifest::File,
    target: usize,
    /// Where in the file it begins.
    begins: u64,
    chunks: &'a [Chunk],
}

impl Run<'_> {
    fn offset(&self, chunk: usize) -> u64 {
        let before = self.chunks[..chunk].iter();
        self.begins + before.map(|chunk| chunk.raw_size).sum::<u64>()
    }
}

/// Puts files together below `folder`, under their names. They are not made to last: what a crash leaves is hashed again.
/// Returns the digests of what was hashed on the way beyond the chunks, by the numbers of `files`.
pub fn fetch(
    store: &dyn Fetch,
    files: &[&manifest::File],
    folder: &Path,
    pace: Pace<'_>,
) -> Result<Digests, Failure> {
    let mut targets = Vec::new();
    for file in files {
        targets.push(target(&folder.join(file.name.as_str()), file.size)?);
    }
    let mut runs = runs(files);
    // The longest first: none of them is what all others wait for in the end.
    runs.sort_by_key(|run| Reverse(run.chunks.iter().map(|chunk| chunk.raw_size).sum::<u64>()));
    let work = Work {
        store,
        targets: &targets,
        pace,
        queue: Mutex::new(Queue::new(&runs)),
        rooms: Rooms::default(),
    };
    work.run()
}

fn runs<'a>(files: &[&'a manifest::File]) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    for (target, file) in files.iter().enumerate() {
        let longest = file.chunks.iter().map(|chunk| chunk.raw_size).max();
        let mut begins = 0;
        for chunks in file
            .chunks
            .chunk_by(|chunk, _| Some(chunk.raw_size) == longest)
        {
            runs.push(Run {
                file,
                target,
                begins,
                chunks,
            });
            begins += chunks.iter().map(|chunk| chunk.raw_size).sum::<u64>();
        }
    }
    runs
}

/// Which chunk is whose turn. Each worker has a run to itself, whose bytes it hashes as a whole, too; where no run is left,
/// it helps with those of others, which are then hashed again when they are read.
struct Queue<'a> {
    runs: &'a [Run<'a>],
    /// The next run that nobody has begun.
    next: usize,
    /// The begun ones that are not all handed out, with the next chunk of each.
    begun: BTreeMap<usize, usize>,
    digests: Digests,
}

impl<'a> Queue<'a> {
    fn new(runs: &'a [Run<'a>]) -> Self {
        Self {
            runs,
            next: 0,
            begun: BTreeMap::new(),
            digests: Digests::default(),
        }
    }

    /// The next chunk for whoever had a chunk of the run `own`: the numbers of run and chunk.
    fn take(&mut self, own: Option<usize>) -> Option<(usize, usize)> {
        let left = |(run, next): (&usize, &usize)| (self.runs[*run].chunks.len() - next, *run);
        let run = match own.filter(|own| self.begun.contains_key(own)) {
            Some(own) => own,
            None if self.next < self.runs.len() => {
                self.next += 1;
                self.begun.insert(self.next - 1, 0);
                self.next - 1
            }
            None => self.begun.iter().map(left).max()?.1,
        };
        let next = self.begun.get_mut(&run)?;
        let chunk = *next;
        *next += 1;
        if *next == self.runs[run].chunks.len() {
            self.begun.remove(&run);
        }
        Some((run, chunk))
    }

    /// Nothing more is handed out.
    fn stop(&mut self) {
        self.next = self.runs.len();
        self.begun.clear();
    }
}

/// What a worker has hashed of a run, from its start on without a gap.
struct Stretch {
    run: usize,
    /// The chunk that comes next.
    next: usize,
    hasher: Hasher,
}

/// A file that is being put together.
struct Target {
    path: Arc<Path>,
    file: Arc<File>,
    /// An earlier run left something: it may be right.
    is_old: bool,
}

fn target(path: &Path, size: u64) -> Result<Target, StagingError> {
    let failed = |source| StagingError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        disk::make(folder, 0o700).map_err(failed)?;
    }
    let is_old = path.exists();
    let open = || {
        failpoint::reach("create", path)?;
        if is_old {
            // It was closed when it was whole.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path)?;
        failpoint::reach("resize", path)?;
        file.set_len(size).map(|()| file)
    };
    let file = open().map_err(failed)?;
    Ok(Target {
        path: path.into(),
        file: Arc::new(file),
        is_old,
    })
}

/// What the workers share.
struct Work<'a> {
    store: &'a dyn Fetch,
    targets: &'a [Target],
    pace: Pace<'a>,
    queue: Mutex<Queue<'a>>,
    rooms: Rooms,
}

impl<'a> Work<'a> {
    fn run(self) -> Result<Digests, Failure> {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.pace.parallel.max(1))
                .map(|_| scope.spawn(|| self.take_turns()))
                .collect();
            // A panic in a worker goes on here, as the bug that it is.
            workers.into_iter().try_for_each(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })?;
        let queue = self.queue.into_inner();
        Ok(queue.unwrap_or_else(PoisonError::into_inner).digests)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_turns(&self) -> Result<(), Failure> {
        let (mut own, mut stretch) = (None, None);
        loop {
            let taken = self.queue().take(own);
            let Some((number, chunk)) = taken else {
                return Ok(());
            };
            own = Some(number);
            let run = self.queue().runs[number];
            let mut hasher = match stretch.take() {
                Some(Stretch { run, next, hasher }) if (run, next) == (number, chunk) => {
                    Some(hasher)
                }
                _ => (chunk == 0 && run.chunks.len() > 1).then(Hasher::default),
            };
            // The first error makes the others stop at their next chunk.
            self.one(&run, chunk, &mut hasher)
                .inspect_err(|_| self.queue().stop())?;
            (self.pace.progress)(run.chunks[chunk].raw_size);
            match hasher {
                Some(hasher) if chunk + 1 == run.chunks.len() => {
                    let data = run.begins..run.offset(run.chunks.len());
                    let digest = hasher.finish();
                    self.queue().digests.note(run.target, data, digest);
                }
                Some(hasher) => {
                    stretch = Some(Stretch {
                        run: number,
                        next: chunk + 1,
                        hasher,
                    });
                }
                None => {}
            }
        }
    }

    /// Brings one chunk to its place; `stretch` sees its bytes, too.
    fn one(
        &self,
        run: &Run<'_>,
        number: usize,
        stretch: &mut Option<Hasher>,
    ) -> Result<(), Failure> {
        if self.pace.interrupt.is_raised() {
            return Err(StagingError::Interrupted.into());
        }
        let target = &self.targets[run.target];
        let (chunk, offset) = (&run.chunks[number], run.offset(number));
        if target.is_old {
            let mut with = stretch.clone();
            let found = hash(&target.file, offset, chunk.raw_size, &mut with);
            if found.is_ok_and(|found| found == chunk.raw) {
                *stretch = with;
                return Ok(());
            }
        }
        let failed = |source| StagingError::Write {
            path: target.path.to_path_buf(),
            source,
        };
        self.pace.throttle.wait_for(chunk.stored_size);
        if chunk.encoding == Encoding::None {
            let (file, path) = (Arc::clone(&target.file), Arc::clone(&target.path));
            let landing = Landing::new(file, path, offset, chunk.raw_size, stretch.take());
            let landed = fetched::land(self.store, run.file, chunk, landing)?;
            *stretch = landed.map_err(failed)?.stretch;
            return Ok(());
        }
        self.rooms.with(chunk, |Room { stored, raw }| {
            let raw = fetched::chunk(self.store, run.file, chunk, stored, raw)?;
            if let Some(stretch) = stretch {
                stretch.update(raw);
            }
            let written = failpoint::write(&target.path, raw, |part, at| {
                target.file.write_all_at(part, offset + at)
            });
            Ok(written.map_err(failed)?)
        })
    }
}

/// The digest of a stretch of a file; `stretch` sees its bytes, too.
fn hash(file: &File, at: u64, size: u64, stretch: &mut Option<Hasher>) -> io::Result<Digest> {
    const STEP: u64 = 128 << 10;
    let mut buffer = vec![0; usize::try_from(STEP).unwrap_or_default()];
    let (mut hasher, mut done) = (Hasher::default(), 0);
    while done < size {
        let step = STEP.min(size - done);
        let bytes = &mut buffer[..usize::try_from(step).unwrap_or_default()];
        file.read_exact_at(bytes, at + done)?;
        match stretch {
            Some(stretch) => hasher.update_both(stretch, bytes),
            None => hasher.update(bytes),
        }
        done += step;
    }
    Ok(hasher.finish())
}

/// Room for a chunk's two forms.
#[derive(Default)]
struct Room {
    stored: Vec<u8>,
    raw: Vec<u8>,
}

/// Memory for chunks that must be decompressed: so many bytes of them at once, however many workers there are.
struct Rooms {
    left: Mutex<u64>,
    freed: Condvar,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            left: Mutex::new(Self::BYTES),
            freed: Condvar::new(),
        }
    }
}

impl Rooms {
    /// Two of the largest chunks, with what they are decompressed from.
    const BYTES: u64 = 4 * limits::CHUNK_SIZE;

    /// Does something with room for a chunk, as soon as there is some.
    fn with<T>(&self, chunk: &Chunk, work: impl FnOnce(&mut Room) -> T) -> T {
        let need = (chunk.stored_size + chunk.raw_size).min(Self::BYTES);
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.freed.wait_while(left, |left| *left < need);
        *left.unwrap_or_else(PoisonError::into_inner) -= need;
        let done = work(&mut Room::default());
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) += need;
        self.freed.notify_all();
        done
    }
}

#[cfg(test)]
mod tests {
    use mimeograph_manifest::io::store::{Listed, StoreError};
    use mimeograph_manifest::layout::Key;
    use mimeograph_manifest::manifest::Role;
    use mimeograph_manifest::time::Timestamp;
    use rustix::process::Signal;

    use super::*;
    use crate::sample::{Memory, cut, noise};

    const LENGTHS: [u64; 7] = [1, 8, 8, 3, 2, 8, 5];

    fn chunk(raw_size: u64) -> Chunk {
        let digest = Digest::of(&raw_size.to_le_bytes());
        Chunk {
            stored: digest,
            stored_size: raw_size,
            encoding: Encoding::None,
            raw: digest,
            raw_size,
        }
    }

    fn file() -> manifest::File {
        manifest::File {
            name: "mirror_000001.tar".parse().unwrap(),
            role: manifest::Role::Archive,
            size: LENGTHS.iter().sum(),
            chunks: LENGTHS.map(chunk).to_vec(),
        }
    }

    #[test]
    fn runs_end_with_a_chunk_that_is_shorter_than_the_longest() {
        let file = file();
        let runs = runs(&[&file]);
        let found: Vec<_> = runs
            .iter()
            .map(|run| (run.begins, run.chunks.len()))
            .collect();
        assert_eq!(found, [(0, 1), (1, 3), (20, 1), (22, 2)]);
        assert_eq!(runs[1].offset(2), 17);
    }

    #[test]
    fn each_has_a_run_to_itself_and_helps_where_none_is_left() {
        let file = file();
        let runs = runs(&[&file]);
        let mut queue = Queue::new(&runs);
        assert_eq!(queue.take(None), Some((0, 0)));
        assert_eq!(queue.take(Some(0)), Some((1, 0)));
        assert_eq!(queue.take(None), Some((2, 0)));
        assert_eq!(queue.take(Some(1)), Some((1, 1)));
        assert_eq!(queue.take(Some(2)), Some((3, 0)));
        // One is done with its own, and helps with what is left most of.
        assert_eq!(queue.take(None), Some((3, 1)));
        assert_eq!(queue.take(None), Some((1, 2)));
        assert_eq!(queue.take(Some(1)), None);
        let mut queue = Queue::new(&runs);
        assert!(queue.take(None).is_some());
        queue.stop();
        assert_eq!(queue.take(Some(1)), None);
    }

    #[test]
    fn help_goes_where_most_is_left() {
        let of = |chunks| manifest::File {
            chunks: vec![chunk(8); chunks],
            ..file()
        };
        let (long, short) = (of(9), of(5));
        let runs = runs(&[&long, &short]);
        let mut queue = Queue::new(&runs);
        for own in [None, Some(0), Some(0)] {
            assert!(queue.take(own).is_some_and(|(run, _)| run == 0));
        }
        assert_eq!(queue.take(None), Some((1, 0)));
        // Six of nine, against four of five.
        assert_eq!(queue.take(None), Some((0, 3)));
    }

    /// What is fetched, where to, and what of it was found on the way.
    struct Fetched {
        store: Memory,
        files: Vec<manifest::File>,
        folder: tempfile::TempDir,
    }

    impl Fetched {
        fn of(files: &[(&'static str, Vec<u8>)], chunk_size: u64) -> Self {
            let mut store = Memory::default();
            let cut = |(name, bytes): &(&str, Vec<u8>)| {
                cut(name, Role::Extra, bytes, chunk_size, &mut store)
            };
            Self {
                files: files.iter().map(cut).collect(),
                store,
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn fetch(&self, parallel: usize, interrupt: &Interrupt) -> Result<(Digests, u64), ErrorId> {
            let seen = Mutex::new(0);
            let pace = Pace {
                parallel,
                throttle: &Throttle::default(),
                interrupt,
                progress: &|bytes| *seen.lock().unwrap() += bytes,
            };
            let files: Vec<_> = self.files.iter().collect();
            let digests = fetch(&self.store, &files, self.folder.path(), pace);
            let digests = digests.map_err(|failure| failure.id())?;
            Ok((digests, seen.into_inner().unwrap()))
        }

        fn whole(&self, parallel: usize) -> Digests {
            let (digests, seen) = self.fetch(parallel, &Interrupt::default()).unwrap();
            assert_eq!(seen, self.files.iter().map(|file| file.size).sum::<u64>());
            for file in &self.files {
                let bytes = fs::read(self.path(file.name.as_str())).unwrap();
                assert!(file.is(&bytes), "{}", file.name);
            }
            digests
        }

        /// The chunks of one file, by number, in the order in which a store tells what was read.
        fn chunks(&self, file: usize, numbers: &[usize]) -> Vec<Digest> {
            let chunks = &self.files[file].chunks;
            let mut digests: Vec<_> = numbers.iter().map(|n| chunks[*n].stored).collect();
            digests.sort_unstable();
            digests
        }
    }

    /// Three chunks that do not compress, and three that do.
    fn two_files() -> Fetched {
        let text = [b"a", b"b", b"c"].map(|letter| letter.repeat(300_000));
        Fetched::of(
            &[("x/plain", noise(1, 900_000)), ("text", text.concat())],
            300_000,
        )
    }

    #[test]
    fn files_are_put_together_for_us_alone() {
        for parallel in [1, 2, 7] {
            let fetched = two_files();
            assert_eq!(fetched.files[0].chunks[0].encoding, Encoding::None);
            assert_eq!(fetched.files[1].chunks[0].encoding, Encoding::Zstd);
            fetched.whole(parallel);
            for name in ["x/plain", "text"] {
                let mode = fs::metadata(fetched.path(name)).unwrap().permissions();
                assert_eq!(mode.mode() & 0o777, 0o600);
            }
            let folder = fs::metadata(fetched.path("x")).unwrap().permissions();
            assert_eq!(folder.mode() & 0o777, 0o700);
            assert_eq!(fetched.store.read().len(), 6);
        }
    }

    #[test]
    fn one_who_has_a_run_to_himself_hashes_it_as_a_whole() {
        let bytes = [noise(1, 250), noise(2, 99)].concat();
        let fetched = Fetched::of(&[("a", bytes.clone()), ("b", vec![7; 1])], 100);
        for _ in ["fetched", "found there"] {
            let digests = fetched.whole(1);
            assert_eq!(digests.get(0, &(0..349)), Some(Digest::of(&bytes)));
            // What is one chunk is known by that.
            assert_eq!(digests.get(1, &(0..1)), None);
        }
    }

    #[test]
    fn what_an_earlier_run_left_is_not_fetched_twice_unless_it_is_wrong() {
        let fetched = two_files();
        fetched.whole(2);
        fetched.store.read();
        let (plain, text) = (fetched.path("x/plain"), fetched.path("text"));
        // Closed, as what is whole is; one too long, the other cut short, and each with a byte that is wrong.
        let mut bytes = fs::read(&plain).unwrap();
        bytes[300_000] ^= 1;
        bytes.push(0);
        fs::write(&plain, &bytes).unwrap();
        fs::set_permissions(&plain, Permissions::from_mode(0o400)).unwrap();
        let mut bytes = fs::read(&text).unwrap();
        bytes[299_999] ^= 1;
        bytes.truncate(899_999);
        fs::write(&text, &bytes).unwrap();
        fetched.whole(2);
        let mut expected = fetched.chunks(0, &[1]);
        expected.extend(fetched.chunks(1, &[0, 2]));
        expected.sort_unstable();
        assert_eq!(fetched.store.read(), expected);
        fetched.whole(2);
        assert_eq!(fetched.store.read(), []);
    }

    #[test]
    fn a_stretch_that_was_left_in_part_is_hashed_as_what_it_became() {
        let bytes = noise(1, 300_000);
        let fetched = Fetched::of(&[("a", bytes.clone())], 100_000);
        for wrong in [0, 100_000, 299_999] {
            fetched.whole(1);
            let mut left = bytes.clone();
            left[wrong] ^= 1;
            fs::write(fetched.path("a"), left).unwrap();
            let digests = fetched.whole(1);
            let whole = digests.get(0, &(0..300_000));
            assert_eq!(whole, Some(Digest::of(&bytes)), "{wrong}");
        }
    }

    #[test]
    fn the_first_error_ends_it_and_a_signal_too() {
        let mut fetched = two_files();
        let chunk = fetched.files[0].chunks[1];
        fetched.store.chunk(&chunk)[0] ^= 1;
        let fetch = |fetched: &Fetched, interrupt| fetched.fetch(1, interrupt).err();
        let none = Interrupt::default();
        assert_eq!(fetch(&fetched, &none), Some(ErrorId::ChunkDamaged));
        assert_eq!(fetched.store.read(), fetched.chunks(0, &[0, 1]));
        fetched.store.without(&chunk);
        assert_eq!(fetch(&fetched, &none), Some(ErrorId::Incomplete));
        fetched.store.read();
        let raised = Interrupt::default();
        raised.raise(Signal::TERM);
        assert_eq!(fetch(&fetched, &raised), Some(ErrorId::Interrupted));
        assert_eq!(fetched.store.read(), []);
    }

    /// The first chunk of a pair does not arrive before the second is on its way.
    struct Together {
        store: Memory,
        begun: Mutex<Vec<Digest>>,
        more: Condvar,
        until: Vec<(Digest, Digest)>,
    }

    impl Fetch for Together {
        fn describe(&self) -> String {
            self.store.describe()
        }

        fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
            self.store.list(prefix, each)
        }

        fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
            if let Key::Chunk(chunk) = key {
                let mut begun = self.begun.lock().unwrap();
                begun.push(*chunk);
                self.more.notify_all();
                if let Some((_, other)) = self.until.iter().find(|(one, _)| one == chunk) {
                    let waits = |begun: &mut Vec<Digest>| !begun.contains(other);
                    drop(self.more.wait_while(begun, waits).unwrap());
                }
            }
            self.store.get(key, limit, into)
        }

        fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
            self.store.clock()
        }
    }

    #[test]
    fn one_who_helps_does_not_spoil_what_is_hashed_as_a_whole() {
        let Fetched {
            store,
            files,
            folder,
        } = Fetched::of(&[("a", noise(1, 300))], 100);
        let chunks = files[0].chunks.iter().map(|chunk| chunk.stored);
        let chunks: Vec<_> = chunks.collect();
        // One has the first, the other the second, until the one has the last.
        let store = Together {
            store,
            begun: Mutex::default(),
            more: Condvar::new(),
            until: vec![(chunks[0], chunks[1]), (chunks[1], chunks[2])],
        };
        let pace = Pace {
            parallel: 2,
            throttle: &Throttle::default(),
            interrupt: &Interrupt::default(),
            progress: &|_| (),
        };
        let digests = fetch(&store, &[&files[0]], folder.path(), pace).unwrap();
        // Nobody saw all of it.
        assert_eq!(digests.get(0, &(0..300)), None);
        assert!(files[0].is(&fs::read(folder.path().join("a")).unwrap()));
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_named() {
        let fetched = two_files();
        fs::write(fetched.path("x"), "").unwrap();
        let error = target(&fetched.path("x/plain"), 1).err().unwrap();
        assert_eq!(error.id(), ErrorId::CannotCreate);
        assert!(error.to_string().contains("x/plain"), "{error}");
    }

    #[test]
    fn a_chunk_has_its_room_and_gives_it_back() {
        let rooms = Rooms::default();
        let left = || *rooms.left.lock().unwrap();
        let all = left();
        // Two of the largest, in both forms.
        assert_eq!(all, 4 * limits::CHUNK_SIZE);
        let of = |stored_size, raw_size| Chunk {
            stored_size,
            ..chunk(raw_size)
        };
        rooms.with(&of(10, 100), |_| {
            assert_eq!(left(), all - 110);
            rooms.with(&of(0, all - 110), |_| assert_eq!(left(), 0));
        });
        // Nothing waits for more than there is.
        rooms.with(&of(all, all), |_| assert_eq!(left(), 0));
        assert_eq!(left(), all);
    }
}
