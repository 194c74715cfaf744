//! The state of one epoch in files, and an engine made of them again.
//!
//! A checkpoint is a directory with a number, counted up: base tables and dictionaries as Arrow IPC files, and a
//! manifest with the place in the source up to which records are in them. It holds what records said and
//! nothing that is derived: net positions and views come from the rows again, bit for bit. It is written
//! from a snapshot, beside the ticks, under another name and renamed when all of it is on the disk; so a
//! directory of the right name is whole, unless the disk damaged it, which its checksums tell.
//! It refuses to guess: a damaged checkpoint is passed over for the one before, and one of another engine
//! version or schema is an error.
//! Cost: about 80 bytes of file a row; memory for one batch of rows.

mod columns;
mod files;
mod load;
mod manifest;
mod save;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::datum::Datum;
use crate::error::{Error, Kind, Result};
use crate::ingest::source::{SetAside, TopicOffset};
use crate::limits::CHECKPOINTS_KEPT;
use crate::schema::{Schema, TableId};
use crate::table::snapshot::Snapshot;

pub use load::Loaded;
pub use manifest::{Manifest, Origin};

/// What a checkpoint is made of: an epoch with what belongs to it and is in no snapshot.
pub struct State {
    pub snapshot: Arc<Snapshot>,
    /// How many texts the dictionaries had: of names, then of each table's keys. They only grow.
    pub names: usize,
    pub keys: Vec<usize>,
    /// Whole rows that wait for their business date.
    pub held: Vec<(TableId, Vec<Datum>)>,
    /// Records set aside since the start, by topic.
    pub set_aside: Vec<(String, u64)>,
}

/// The records that were set aside, and how many there ever were by topic.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Aside {
    pub records: Vec<SetAside>,
    pub counts: Vec<(String, u64)>,
}

/// What a checkpoint took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub epoch: u64,
    pub rows: u64,
    pub bytes: u64,
}

/// A directory of checkpoints, of which the newest few are kept. One process at a time has it open.
#[derive(Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

const LOCK: &str = "lock";

/// What the name of a checkpoint begins with that is not whole yet.
const UNFINISHED: &str = "unfinished-";

/// Digits of a checkpoint's name.
const NAME_DIGITS: usize = 10;

impl Checkpoints {
    /// Opens a directory, which is made where it is missing; what an earlier process left unfinished goes.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be made or read, or another process has it open.
    pub fn open(dir: &Path) -> Result<Checkpoints> {
        let opened = || -> io::Result<File> {
            fs::create_dir_all(dir)?;
            File::create(dir.join(LOCK))
        };
        let lock = opened().map_err(|error| unusable(dir, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let message = format!(
                    "another process keeps its checkpoints in {}: end it, or name another directory",
                    dir.display()
                );
                return Err(Error::new(Kind::Unavailable, "CHECKPOINT", message));
            }
            Err(fs::TryLockError::Error(error)) => return Err(unusable(dir, &error)),
        }
        let cleared = || -> io::Result<()> {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Ok(())
        };
        cleared().map_err(|error| unusable(dir, &error))?;
        Ok(Checkpoints { dir: dir.to_owned(), _lock: lock })
    }

    /// Writes a checkpoint, then removes all but the newest few. It blocks: whoever has a thread to spare
    /// calls it there. `offsets` say which records of `origin` are in the state, and no other is.
    ///
    /// # Errors
    /// `Unavailable` where the disk takes it not; what was there is there still.
    pub fn write(&self, state: &State, origin: &Origin, offsets: &[TopicOffset]) -> Result<Written> {
        // Another name than any before: until this one is whole, nothing of them is touched.
        let number = self.numbers()?.last().map_or(1, |last| last + 1);
        let unfinished = self.dir.join(format!("{UNFINISHED}{number}"));
        let written = || -> io::Result<Written> {
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            fs::create_dir(&unfinished)?;
            let files = save::save(&unfinished, state)?;
            let manifest = Manifest::new(state, origin, offsets, files);
            manifest.write(&unfinished)?;
            files::sync(&unfinished)?;
            fs::rename(&unfinished, self.place(number))?;
            files::sync(&self.dir)?;
            let (rows, bytes) =
                manifest.files.iter().fold((0, 0), |(r, b), file| (r + file.rows, b + file.bytes));
            Ok(Written { epoch: manifest.epoch, rows, bytes })
        };
        let written = written().map_err(|error| unusable(&self.dir, &error))?;
        for old in self.numbers()?.into_iter().rev().skip(CHECKPOINTS_KEPT) {
            let removed = fs::remove_dir_all(self.place(old));
            removed.map_err(|error| unusable(&self.place(old), &error))?;
        }
        Ok(written)
    }

    /// Reads the newest checkpoint that is whole; `None` where there is none at all.
    ///
    /// # Errors
    /// `Data` where there are some and every one is damaged, `Invalid` where one is of another engine version
    /// or schema; both say what to do.
    pub fn latest(&self, schema: &Arc<Schema>) -> Result<Option<Loaded>> {
        let mut damages = Vec::new();
        for number in self.numbers()?.into_iter().rev() {
            let place = self.place(number);
            match load::load(&place, schema) {
                Ok(loaded) => return Ok(Some(loaded)),
                Err(error) if error.kind == Kind::Data => {
                    tracing::warn!(%error, "a checkpoint is passed over for the one before");
                    damages.push(error.message);
                }
                Err(error) => return Err(error),
            }
        }
        if damages.is_empty() {
            return Ok(None);
        }
        let message = format!(
            "every checkpoint in {} is damaged: {}; remove the directory to load everything anew",
            self.dir.display(),
            damages.join("; ")
        );
        Err(Error::new(Kind::Data, "CHECKPOINT", message))
    }

    fn place(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:0NAME_DIGITS$}"))
    }

    /// The numbers of all whole checkpoints, oldest first.
    fn numbers(&self) -> Result<Vec<u64>> {
        let read = || -> io::Result<Vec<u64>> {
            let mut numbers = Vec::new();
            for entry in fs::read_dir(&self.dir)? {
                let name = entry?.file_name();
                numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
            }
            numbers.sort_unstable();
            Ok(numbers)
        };
        read().map_err(|error| unusable(&self.dir, &error))
    }
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    let message = format!(
        "checkpoints in {} cannot be kept: {error}; make room there, or name another directory",
        path.display()
    );
    Error::new(Kind::Unavailable, "CHECKPOINT", message)
}

/// A checkpoint that is not what its manifest says.
fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Data, "CHECKPOINT", format!("{} is damaged: {what}", path.display()))
}
