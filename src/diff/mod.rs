//! Two states of a view's window to a patch, and a patch applied.
//!
//! Pure: no I/O, no clock, no wire format. A [`Subscription`] holds what its client was last sent, so
//! comparing it with the result *is* the set of dirty cells: however long a client stays away, what is
//! kept for it is bounded by its window, and nothing is lost.
//!
//! Cost: one pass over the window's cells, without allocation when nothing changed. Where rows came,
//! went or moved, one hash table of the window's rows besides.

mod model;
mod reorder;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::datum::Datum;
use crate::view::result::{Cell, Heading, Quality, RowId, ViewResult};

pub use model::{Misfit, ViewModel};

/// Positions `from` up to, not including, `to` of a view's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    pub from: usize,
    pub to: usize,
}

impl Window {
    /// The window over every row a view may show.
    pub const ALL: Window = Window { from: 0, to: usize::MAX };
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    pub heading: Heading,
    /// One a column.
    pub cells: Vec<Cell>,
}

/// A window of a view, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Rows of the whole view, of which the window is a part.
    pub size: usize,
    /// Position of the first row in the view.
    pub from: usize,
    pub rows: Vec<SnapshotRow>,
    /// One cell a column.
    pub total: Vec<Cell>,
}

/// A row that entered the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Position in the window after the patch.
    pub at: usize,
    pub row: SnapshotRow,
}

/// A row taken out at `from` and put back so that it stands at `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub from: usize,
    pub to: usize,
}

/// What changed in one column: `values[n]` now stands in row `rows[n]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<V> {
    pub column: usize,
    /// Positions in the window after the patch, ascending.
    pub rows: Vec<usize>,
    pub values: Vec<V>,
}

/// What changed in the total, as pairs of column and new value, columns ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TotalPatch {
    pub values: Vec<(usize, Datum)>,
    pub qualities: Vec<(usize, Quality)>,
}

/// What turns one state of a window into the next; applied in the order of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Rows of the whole view after the patch.
    pub size: usize,
    /// Positions before the patch, ascending.
    pub removed: Vec<usize>,
    /// One after another, once the removed rows are gone.
    pub moved: Vec<Move>,
    /// Positions in the result, ascending.
    pub added: Vec<Added>,
    /// By column, ascending; cells of added rows are not among them.
    pub values: Vec<Run<Datum>>,
    pub qualities: Vec<Run<Quality>>,
    pub total: TotalPatch,
}

impl Patch {
    fn new(size: usize) -> Patch {
        Patch {
            size,
            removed: Vec::new(),
            moved: Vec::new(),
            added: Vec::new(),
            values: Vec::new(),
            qualities: Vec::new(),
            total: TotalPatch::default(),
        }
    }

    /// Rows that come, go or move. Each costs whoever applies it a shift of the rows after it.
    pub fn steps(&self) -> usize {
        self.removed.len() + self.moved.len() + self.added.len()
    }

    /// Values and qualities that change in rows that stay, and in the total.
    pub fn cells(&self) -> usize {
        self.values.iter().map(|run| run.rows.len()).sum::<usize>()
            + self.qualities.iter().map(|run| run.rows.len()).sum::<usize>()
            + self.total.values.len()
            + self.total.qualities.len()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The order of the result.
    Live,
    /// The order last sent, whatever the result's.
    Held,
}

/// A cell of the window.
#[derive(Clone, Copy)]
struct Place {
    row: u32,
    column: u32,
}

/// Buffers that live on, so that a comparison without a change allocates nothing.
#[derive(Default)]
struct Scratch {
    rows: Vec<RowId>,
    cells: Vec<Cell>,
    values: Vec<Place>,
    qualities: Vec<Place>,
}

impl Clone for Scratch {
    fn clone(&self) -> Self {
        Scratch::default()
    }
}

/// What a client holds of one window of one view: the rows and cells last sent.
///
/// A cell takes 32 bytes. Clients that hold the same can share one: the numbering of frames is theirs.
#[derive(Clone)]
pub struct Subscription {
    window: Window,
    size: usize,
    rows: Vec<RowId>,
    headings: Vec<Heading>,
    /// Cells a row.
    columns: usize,
    /// Row after row.
    cells: Vec<Cell>,
    total: Vec<Cell>,
    scratch: Scratch,
}

impl Subscription {
    /// A window of which nothing was sent yet; [`Self::load`] or [`Self::snapshot`] comes first.
    pub fn new(window: Window) -> Subscription {
        Subscription {
            window,
            size: 0,
            rows: Vec::new(),
            headings: Vec::new(),
            columns: 0,
            cells: Vec::new(),
            total: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    pub fn window(&self) -> Window {
        self.window
    }

    /// Rows of the whole view when this was last sent.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The rows last sent: heading and one cell a column each.
    pub fn rows(&self) -> impl Iterator<Item = (&Heading, &[Cell])> {
        let cells = |at: usize| &self.cells[at * self.columns..][..self.columns];
        self.headings.iter().enumerate().map(move |(at, heading)| (heading, cells(at)))
    }

    /// The total last sent, one cell a column.
    pub fn total(&self) -> &[Cell] {
        &self.total
    }

    /// Takes the window from the result, whatever was held before.
    pub fn load(&mut self, result: &dyn ViewResult) {
        self.columns = result.columns().len();
        self.size = result.size();
        self.rows.clear();
        self.headings.clear();
        self.cells.clear();
        self.total.clear();
        result.rows(self.window.from, self.window.to, &mut self.rows);
        self.cells.reserve(self.rows.len() * self.columns);
        for &row in &self.rows {
            self.headings.push(result.heading(row));
            result.cells(row, &mut self.cells);
        }
        result.total(&mut self.total);
        assert_eq!(self.cells.len(), self.rows.len() * self.columns, "a view gives one cell a column");
        assert_eq!(self.total.len(), self.columns, "a view gives one total a column");
    }

    /// Takes the window from the result and returns a copy of it.
    pub fn snapshot(&mut self, result: &dyn ViewResult) -> Snapshot {
        self.load(result);
        self.held()
    }

    /// A copy of what was last sent.
    pub fn held(&self) -> Snapshot {
        let row = |(heading, cells): (&Heading, &[Cell])| SnapshotRow {
            heading: heading.clone(),
            cells: cells.to_vec(),
        };
        Snapshot {
            size: self.size,
            from: self.window.from,
            rows: self.rows().map(row).collect(),
            total: self.total.clone(),
        }
    }

    /// Compares the window with the result and takes it over; `None` where nothing changed.
    ///
    /// Cost: O(window cells); 100 rows of 33 columns take about 10 µs plus what the view's cells cost.
    ///
    /// # Panics
    /// Where the view has other columns than when it was loaded.
    pub fn patch(&mut self, result: &dyn ViewResult) -> Option<Patch> {
        self.advance(result, Order::Live)
    }

    /// As [`Self::patch`], but the rows that stay keep the order they were last sent in.
    ///
    /// Rows that enter the window stand where the result has them.
    pub fn patch_order_held(&mut self, result: &dyn ViewResult) -> Option<Patch> {
        self.advance(result, Order::Held)
    }

    fn advance(&mut self, result: &dyn ViewResult, order: Order) -> Option<Patch> {
        let mut patch = Patch::new(result.size());
        self.scratch.rows.clear();
        result.rows(self.window.from, self.window.to, &mut self.scratch.rows);
        if !self.has_rows(result) {
            self.reshape(result, order, &mut patch);
        }
        self.compare_cells(result, &mut patch);
        self.compare_total(result, &mut patch);
        let resized = std::mem::replace(&mut self.size, patch.size) != patch.size;
        (resized || patch.steps() > 0 || patch.cells() > 0).then_some(patch)
    }

    /// The rows are those of the result, in its order and with its headings.
    fn has_rows(&self, result: &dyn ViewResult) -> bool {
        self.scratch.rows == self.rows
            && self.rows.iter().zip(&self.headings).all(|(&row, heading)| result.has_heading(row, heading))
    }

    /// Brings the rows to those in `scratch.rows`, cells of rows that stay as they were.
    fn reshape(&mut self, result: &dyn ViewResult, order: Order, patch: &mut Patch) {
        let mut places: HashMap<RowId, usize, FixedState> =
            HashMap::with_capacity_and_hasher(self.rows.len(), FixedState::with_seed(0));
        places.extend(self.rows.iter().enumerate().map(|(at, &row)| (row, at)));
        // Where each row of the result stood; a row with another heading is another row to its reader.
        let mut sources: Vec<Option<usize>> = self
            .scratch
            .rows
            .iter()
            .map(|row| places.get(row).copied().filter(|&at| result.has_heading(*row, &self.headings[at])))
            .collect();
        if order == Order::Held {
            let mut kept: Vec<usize> = sources.iter().copied().flatten().collect();
            kept.sort_unstable();
            let mut kept = kept.into_iter();
            for (source, row) in sources.iter_mut().zip(&mut self.scratch.rows) {
                if let Some(at) = source {
                    *at = kept.next().expect("as many rows are kept as have a source");
                    *row = self.rows[*at];
                }
            }
        }

        // The number a row has once the removed ones are gone.
        let mut stays = vec![false; self.rows.len()];
        sources.iter().flatten().for_each(|&at| stays[at] = true);
        let mut ranks = vec![0; self.rows.len()];
        let mut rank = 0;
        for at in 0..self.rows.len() {
            ranks[at] = rank;
            if stays[at] {
                rank += 1;
            } else {
                patch.removed.push(at);
            }
        }
        let wanted: Vec<usize> = sources.iter().flatten().map(|&at| ranks[at]).collect();
        patch.moved = reorder::moves(&wanted);

        let mut headings: Vec<Option<Heading>> = self.headings.drain(..).map(Some).collect();
        let cells = std::mem::replace(&mut self.cells, Vec::with_capacity(sources.len() * self.columns));
        for (at, (&row, source)) in self.scratch.rows.iter().zip(&sources).enumerate() {
            let start = self.cells.len();
            match *source {
                Some(before) => {
                    self.headings.push(headings[before].take().expect("a row stands once in a window"));
                    self.cells.extend_from_slice(&cells[before * self.columns..][..self.columns]);
                }
                None => {
                    let heading = result.heading(row);
                    result.cells(row, &mut self.cells);
                    let row = SnapshotRow { heading: heading.clone(), cells: self.cells[start..].to_vec() };
                    patch.added.push(Added { at, row });
                    self.headings.push(heading);
                }
            }
        }
        std::mem::swap(&mut self.rows, &mut self.scratch.rows);
    }

    fn compare_cells(&mut self, result: &dyn ViewResult, patch: &mut Patch) {
        let Subscription { rows, columns, cells, scratch, .. } = self;
        scratch.values.clear();
        scratch.qualities.clear();
        let mut added = patch.added.iter().map(|added| added.at).peekable();
        for (at, &row) in rows.iter().enumerate() {
            if added.next_if_eq(&at).is_some() {
                continue;
            }
            scratch.cells.clear();
            result.cells(row, &mut scratch.cells);
            assert_eq!(scratch.cells.len(), *columns, "a view gives one cell a column");
            let held = &mut cells[at * *columns..][..*columns];
            if held == scratch.cells {
                continue;
            }
            for (column, (held, cell)) in held.iter_mut().zip(&scratch.cells).enumerate() {
                let place = Place { row: at as u32, column: column as u32 };
                if held.value != cell.value {
                    scratch.values.push(place);
                }
                if held.quality != cell.quality {
                    scratch.qualities.push(place);
                }
                *held = *cell;
            }
        }
        let cell = |place: Place| &cells[place.row as usize * *columns + place.column as usize];
        patch.values = runs(&scratch.values, *columns, |place| cell(place).value);
        patch.qualities = runs(&scratch.qualities, *columns, |place| cell(place).quality);
    }

    fn compare_total(&mut self, result: &dyn ViewResult, patch: &mut Patch) {
        let total = &mut self.scratch.cells;
        total.clear();
        result.total(total);
        assert_eq!(total.len(), self.columns, "a view gives one total a column");
        for (column, (held, cell)) in self.total.iter_mut().zip(total.iter()).enumerate() {
            if held.value != cell.value {
                patch.total.values.push((column, cell.value));
            }
            if held.quality != cell.quality {
                patch.total.qualities.push((column, cell.quality));
            }
            *held = *cell;
        }
    }
}

/// Groups places, which come row by row, into one run a column.
fn runs<V>(places: &[Place], columns: usize, value: impl Fn(Place) -> V) -> Vec<Run<V>> {
    if places.is_empty() {
        return Vec::new();
    }
    let mut counts = vec![0; columns];
    places.iter().for_each(|place| counts[place.column as usize] += 1);
    let mut numbers = vec![0; columns];
    let mut runs = Vec::new();
    for (column, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
        numbers[column] = runs.len();
        runs.push(Run { column, rows: Vec::with_capacity(count), values: Vec::with_capacity(count) });
    }
    for &place in places {
        let run = &mut runs[numbers[place.column as usize]];
        run.rows.push(place.row as usize);
        run.values.push(value(place));
    }
    runs
}
