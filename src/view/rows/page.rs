//! The cells of a window, evaluated in columns although a result is read a row at a time.
//!
//! A reader asks for the rows of its window and then for their cells, in order; evaluating some thousand
//! rows together costs a tenth of evaluating each by itself. A page is good for one epoch.

use crate::view::result::Cell;

/// Rows evaluated ahead of a reader.
const PAGE_ROWS: usize = 1_024;

#[derive(Debug, Default)]
pub struct Page {
    /// The rows last asked for.
    asked: Vec<u32>,
    /// Which of them the cells are of.
    start: usize,
    end: usize,
    /// Row after row.
    cells: Vec<Cell>,
    /// Where the last row was found.
    at: usize,
}

impl Page {
    pub fn clear(&mut self) {
        *self = Page::default();
    }

    /// How many rows a reader asked for last.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    pub fn ask(&mut self, rows: impl Iterator<Item = u32>) {
        self.clear();
        self.asked.extend(rows);
    }

    /// Appends the cells of a row. `evaluate` appends those of the rows it is given.
    pub fn read(
        &mut self,
        row: u32,
        columns: usize,
        evaluate: impl FnOnce(&[u32], &mut Vec<Cell>),
        into: &mut Vec<Cell>,
    ) {
        let found = |range: std::ops::Range<usize>| {
            let start = range.start;
            self.asked[range].iter().position(|&asked| asked == row).map(|at| start + at)
        };
        // Readers go through a window from its start, so the next row is the one after the last.
        let Some(at) = found(self.at..self.asked.len()).or_else(|| found(0..self.at)) else {
            return evaluate(&[row], into);
        };
        if !(self.start..self.end).contains(&at) {
            self.start = at;
            self.end = (at + PAGE_ROWS).min(self.asked.len());
            self.cells.clear();
            evaluate(&self.asked[self.start..self.end], &mut self.cells);
        }
        self.at = at;
        into.extend_from_slice(&self.cells[(at - self.start) * columns..][..columns]);
    }
}
