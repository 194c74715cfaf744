//! What the server asks of an engine.

use std::sync::{Arc, RwLock};

use crate::catalog::{Catalog, Status};
use crate::clock::Timestamp;
use crate::dictionary::Dictionaries;
use crate::error::{Error, Result};
use crate::ingest::source::Progress;
use crate::table::snapshot::Snapshot;
use crate::view::planning::{Planned, Planning};
use crate::view::result::ViewResult;
use crate::view::spec::ViewSpec;

/// An open view's number; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewHandle(pub u64);

/// Views of one engine, all at the same epoch.
pub trait Views {
    /// Opens a view; its first result stands at once or once [`Self::is_open`] says so. The server opens
    /// equal specifications once.
    ///
    /// # Errors
    /// `Invalid` with a reject code of the protocol for what the specification names and the engine
    /// lacks; nothing is open then.
    fn open(&mut self, spec: &ViewSpec) -> Result<ViewHandle>;

    /// What is to be compiled before a view can be opened without holding the ticks up, if anything.
    fn planning(&self, spec: &ViewSpec) -> Option<Planning> {
        let _ = spec;
        None
    }

    /// Keeps what was compiled for the view that is opened next.
    fn admit(&mut self, planned: Planned) {
        let _ = planned;
    }

    /// Opens a view that a client wrote as SQL.
    ///
    /// # Errors
    /// As [`Self::open`]; `Unsupported` where the engine has no such views.
    fn open_sql(&mut self, sql: &str) -> Result<ViewHandle> {
        let _ = sql;
        Err(Error::unsupported("this server keeps no views of ad-hoc SQL"))
    }

    /// Whether a view shows its result: one that was just opened may be computed beside the ticks first.
    fn is_open(&self, view: ViewHandle) -> bool {
        let _ = view;
        true
    }

    /// Lets a view go. It is not asked for again.
    fn close(&mut self, view: ViewHandle);

    /// # Panics
    /// Where the view is not open; the same goes for the two below.
    fn result(&self, view: ViewHandle) -> &dyn ViewResult;

    /// A number that is another one whenever the result may be another one.
    fn version(&self, view: ViewHandle) -> u64;

    /// How the view is maintained, in a few words.
    fn strategy(&self, view: ViewHandle) -> String;

    /// Number of the committed state that every result is of; 0 before the first.
    fn epoch(&self) -> u64;

    /// The source time that the epoch reflects.
    fn as_of(&self) -> Timestamp;

    /// Whether a first consistent snapshot stands. Nothing is opened before; once true, always true.
    fn ready(&self) -> bool;

    fn dictionaries(&self) -> &Arc<RwLock<Dictionaries>>;

    /// The committed state that every result is of, for whoever computes something from it beside the
    /// engine; none before the engine is ready, or where it keeps no such state.
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        None
    }

    fn status(&self) -> Status;

    /// Cost: O(accounts); asked for once a second at most.
    fn catalog(&self) -> Catalog;

    /// How far each source has come, while the engine is not ready.
    fn progress(&self) -> Vec<Progress>;

    /// The sources that have been quiet for longer than they should.
    fn stale(&self, now: Timestamp) -> Vec<StaleSource> {
        let _ = now;
        Vec::new()
    }
}

/// A source that has been quiet for longer than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleSource {
    pub source: String,
    pub since_ms: u64,
}

/// Why data stands still that should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halted {
    pub reason: &'static str,
    pub since: Timestamp,
}

/// An engine whose time is driven from outside.
pub trait Ticking: Views {
    /// Takes what has arrived by `now`, without waiting for more, and brings every view to the new epoch.
    ///
    /// Where nothing had arrived and nothing changes with time it costs next to nothing, since it is
    /// called every few milliseconds.
    ///
    /// # Errors
    /// Where a source is broken; the state is the one before.
    fn tick(&mut self, now: Timestamp) -> Result<Tick>;

    /// Whether a view waits for [`Self::advance`].
    fn is_opening(&self) -> bool {
        false
    }

    /// Works on the views that are opening, for some milliseconds; returns whether one is open now.
    ///
    /// # Errors
    /// Where one cannot be computed; it is open then, and shows that.
    fn advance(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Numbers for the metrics, asked for once a second.
    fn gauges(&self, now: Timestamp) -> Gauges;
}

/// What one tick did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tick {
    /// A new epoch was committed.
    pub changed: bool,
    /// More had arrived than was taken.
    pub more: bool,
    /// Time by stage, such as `("apply", 120)`, in microseconds.
    pub stages_us: Vec<(&'static str, u64)>,
    /// Of one of these stages, time by part, in nanoseconds; none where nobody counts it.
    pub parts_ns: Vec<(&'static str, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Rows by table.
    pub rows: Vec<(String, u64)>,
    /// How far the newest record of each topic lies behind its source's own time, in microseconds.
    pub source_lag_us: Vec<(String, u64)>,
    /// Records set aside since the start, by topic.
    pub quarantined: Vec<(String, u64)>,
    /// Views maintained.
    pub views: usize,
}
