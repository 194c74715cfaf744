//! The groups of a view, level under level: who is whose parent, who is shown, and what each one's cells are.
//!
//! A group's number is for good, so that it names a row to every reader; a group without a leg is not shown.

use hashbrown::HashMap;

use super::result::Cell;
use crate::datum::{Datum, NULL};

/// A group's number within its level.
pub type GroupId = u32;

/// One group of one level with all measures of the view, weights among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The codes of the group's path, [`NULL`] for none.
    pub key: Vec<Datum>,
    pub cells: Vec<Cell>,
}

pub struct Groups {
    /// The ungrouped total first.
    pub levels: Vec<Level>,
    /// Measures, one cell each.
    width: usize,
    /// What changed since [`Self::take_changes`].
    changes: Changes,
    taken: Changes,
}

/// What a reader has to look at again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// A group appeared or vanished.
    pub shown: bool,
    pub cells: bool,
    /// Groups of which any cell changed, and cells that changed besides, for what is a share of the total.
    pub groups: usize,
    pub shares: usize,
}

#[derive(Default)]
pub struct Level {
    index: HashMap<(GroupId, Datum), GroupId>,
    /// The last code of each group's path.
    keys: Vec<Datum>,
    parents: Vec<GroupId>,
    /// Legs of each group.
    legs: Vec<i128>,
    cells: Vec<Cell>,
}

impl Level {
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn key(&self, group: GroupId) -> Datum {
        self.keys[group as usize]
    }

    pub fn parent(&self, group: GroupId) -> GroupId {
        self.parents[group as usize]
    }

    pub fn parents(&self) -> &[GroupId] {
        &self.parents
    }

    fn bytes(&self) -> usize {
        let datums = self.keys.capacity() + self.legs.capacity();
        datums * size_of::<Datum>()
            + self.parents.capacity() * size_of::<GroupId>()
            + self.cells.capacity() * size_of::<Cell>()
            + self.index.allocation_size()
    }

    /// Whether a leg is in the group.
    pub fn is_shown(&self, group: GroupId) -> bool {
        self.legs[group as usize] > 0
    }
}

impl Groups {
    /// No group but the total; `depth` levels below it.
    pub fn new(depth: usize, width: usize) -> Groups {
        let mut groups = Groups {
            levels: (0..=depth).map(|_| Level::default()).collect(),
            width,
            taken: Changes::default(),
            changes: Changes { shown: true, cells: true, ..Changes::default() },
        };
        groups.push(0, 0, NULL);
        groups
    }

    /// The groups of a result computed whole, each level's parents among those above it.
    ///
    /// # Panics
    /// Where a group has no parent in the level above.
    pub fn of(levels: Vec<Vec<Group>>, width: usize) -> Groups {
        let mut groups = Groups::new(levels.len().saturating_sub(1), width);
        for (depth, level) in levels.into_iter().enumerate() {
            for group in level {
                let mut id = 0;
                for (at, &code) in group.key.iter().enumerate() {
                    let known = groups.levels[at + 1].index.get(&(id, code)).copied();
                    assert!(known.is_some() || at + 1 == depth, "a group stands under its parent");
                    id = known.unwrap_or_else(|| groups.push(at + 1, id, code));
                }
                groups.count(depth, id, 1);
                groups.set_cells(depth, id, &group.cells);
            }
        }
        groups
    }

    /// The number of a group, which is new the first time it is asked for.
    pub fn number(&mut self, level: usize, parent: GroupId, code: Datum) -> GroupId {
        match self.levels[level].index.get(&(parent, code)) {
            Some(&group) => group,
            None => self.push(level, parent, code),
        }
    }

    fn push(&mut self, level: usize, parent: GroupId, code: Datum) -> GroupId {
        let width = self.width;
        let level = &mut self.levels[level];
        let group = level.keys.len() as GroupId;
        level.index.insert((parent, code), group);
        level.keys.push(code);
        level.parents.push(parent);
        level.legs.push(0);
        level.cells.resize(level.cells.len() + width, Cell::EMPTY);
        group
    }

    /// The group of a level that one below it belongs to.
    #[inline]
    pub fn ancestor(&self, mut level: usize, mut group: GroupId, of: usize) -> GroupId {
        while level > of {
            group = self.levels[level].parents[group as usize];
            level -= 1;
        }
        group
    }

    /// Counts legs of a group, and of all above it.
    pub fn count(&mut self, level: usize, group: GroupId, legs: i128) {
        let mut group = group;
        for at in (0..=level).rev() {
            let level = &mut self.levels[at];
            let count = &mut level.legs[group as usize];
            let before = *count > 0;
            *count += legs;
            self.changes.shown |= before != (*count > 0);
            group = level.parents[group as usize];
        }
    }

    /// The codes of a group's path.
    pub fn path(&self, mut level: usize, mut group: GroupId, into: &mut Vec<Datum>) {
        into.clear();
        while level > 0 {
            into.push(self.levels[level].keys[group as usize]);
            group = self.levels[level].parents[group as usize];
            level -= 1;
        }
        into.reverse();
    }

    #[inline]
    pub fn cells(&self, level: usize, group: GroupId) -> &[Cell] {
        &self.levels[level].cells[group as usize * self.width..][..self.width]
    }

    /// Sets a group's cells, one a measure.
    pub fn set_cells(&mut self, level: usize, group: GroupId, cells: &[Cell]) {
        let held = &mut self.levels[level].cells[group as usize * self.width..][..self.width];
        if held != cells {
            held.copy_from_slice(cells);
            self.changes.cells = true;
            self.changes.groups += 1;
        }
    }

    /// Sets one cell of a group.
    pub fn set_cell(&mut self, level: usize, group: GroupId, measure: usize, cell: Cell) {
        let held = &mut self.levels[level].cells[group as usize * self.width + measure];
        if *held != cell {
            *held = cell;
            self.changes.cells = true;
            self.changes.shares += 1;
        }
    }

    pub fn take_changes(&mut self) -> Changes {
        self.taken = std::mem::take(&mut self.changes);
        self.taken
    }

    /// What [`Self::take_changes`] took last.
    pub fn taken(&self) -> Changes {
        self.taken
    }

    pub fn bytes(&self) -> usize {
        self.levels.iter().map(Level::bytes).sum()
    }

    /// Forgets which groups are shown, but neither their numbers nor their cells.
    pub fn hide_all(&mut self) {
        self.changes.shown = true;
        self.levels.iter_mut().for_each(|level| level.legs.fill(0));
    }

    pub fn width(&self) -> usize {
        self.width
    }
}
