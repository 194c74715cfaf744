//! The second stage of a factored view: what is looked up late is applied to sums of rows.
//!
//! Each key of the arrangement has what it adds to its group. A key that was touched, or whose looked-up
//! rows changed in a column that is read, is computed again: what it added is taken back, what it adds now
//! goes to the group it is in now. A product beyond 128 bits makes its group say so.
//! Cost of a tick: such keys; 16 bytes a sum of each.

use hashbrown::{HashMap, HashSet};

use super::arrangement::{Arrangement, KeyRow};
use super::sides::{SideId, Sides};
use super::{Columns, World, evaluate};
use crate::datum::{Datum, NULL};
use crate::error::{Error, Result};
use crate::limits::LIVE_GROUPS_MAX;
use crate::plan::live::Factored;
use crate::plan::relation::{Input, Lookup};
use crate::plan::scalar::{Scalar, Values, multiply};

/// The groups of a view by key.
pub(super) type GroupKey = Box<[Datum]>;

/// Keys computed in one go.
const BATCH_KEYS: usize = 1_024;

const NO_GROUP: u32 = u32::MAX;

pub(super) struct Stage {
    pub late: Vec<Lookup>,
    pub inputs: Vec<Input>,
    pub groups: Vec<Scalar>,
    pub sums: Vec<Vec<(usize, Scalar)>>,
    /// The groups, then what each sum multiplies, over the inputs and keys.
    columns: Columns,
    /// What the inputs are called.
    pub names: Vec<String>,
    sides: Vec<SideId>,
    /// By look-up: the columns of it that are read.
    read: Vec<Vec<bool>>,
    used: Vec<bool>,
    keys: Vec<KeyState>,
    /// Of each key, what it adds to each sum.
    added: Vec<Datum>,
    /// Of each key, the row it found by each look-up.
    found: Vec<u32>,
    /// By look-up and row: the keys that found it, and some that did once.
    holders: Vec<HashMap<u32, Vec<KeyRow>>>,
    numbers: HashMap<GroupKey, u32>,
    states: Vec<GroupState>,
    totals: Vec<Datum>,
    free: Vec<u32>,
    /// Groups whose sums left 128 bits, which only a computation anew mends.
    broken: bool,
    pub touched: HashSet<GroupKey>,
    pub keys_moved: usize,
}

#[derive(Clone, Copy)]
struct KeyState {
    group: u32,
    /// A product left 128 bits.
    overflowed: bool,
}

struct GroupState {
    key: GroupKey,
    /// Keys that are in it.
    keys: usize,
    overflowed: usize,
}

impl Stage {
    pub fn new(form: &Factored, currency: &str, sides: &mut Sides, world: &World) -> Stage {
        let mut used = vec![false; form.inputs.len()];
        let mut mark = |scalar: &Scalar| {
            scalar.columns(&mut |at| {
                if let Some(used) = used.get_mut(at) {
                    *used = true;
                }
            });
        };
        form.groups.iter().for_each(&mut mark);
        form.sums.iter().flatten().for_each(|(_, g)| mark(g));
        form.late.iter().flat_map(|lookup| &lookup.keys).for_each(|(_, key)| mark(key));
        let ids: Vec<SideId> =
            form.late.iter().map(|lookup| sides.of(&lookup.relation, currency, world)).collect();
        let mut read: Vec<Vec<bool>> = ids.iter().map(|&side| vec![false; sides.width(side)]).collect();
        for (input, used) in form.inputs.iter().zip(&used) {
            if let (Some(lookup), true) = (input.lookup, used) {
                read[lookup][input.column] = true;
            }
        }
        Stage {
            late: form.late.clone(),
            inputs: form.inputs.clone(),
            columns: Columns::new(form.groups.iter().chain(form.sums.iter().flatten().map(|(_, g)| g))),
            groups: form.groups.clone(),
            sums: form.sums.clone(),
            names: form.names.clone(),
            holders: form.late.iter().map(|_| HashMap::new()).collect(),
            sides: ids,
            read,
            used,
            keys: Vec::new(),
            added: Vec::new(),
            found: Vec::new(),
            numbers: HashMap::new(),
            states: Vec::new(),
            totals: Vec::new(),
            free: Vec::new(),
            broken: false,
            touched: HashSet::new(),
            keys_moved: 0,
        }
    }

    /// Computes every group from the sums there are.
    pub fn rebuild(&mut self, arrangement: &Arrangement, sides: &mut Sides, world: &World) -> Result<()> {
        self.touched.extend(self.numbers.drain().map(|(key, _)| key));
        self.keys.clear();
        self.added.clear();
        self.found.clear();
        self.holders.iter_mut().for_each(HashMap::clear);
        self.states.clear();
        self.totals.clear();
        self.free.clear();
        self.broken = false;
        let all: Vec<KeyRow> =
            (0..arrangement.places() as KeyRow).filter(|&at| arrangement.count(at) > 0).collect();
        self.compute(&all, arrangement, sides, world)
    }

    /// Brings the groups to the epoch of the sides and the arrangement.
    ///
    /// # Errors
    /// `Data` where sums leave 128 bits, `Overloaded` where there are too many groups; the next update then
    /// computes all of them anew.
    pub fn update(&mut self, arrangement: &Arrangement, sides: &mut Sides, world: &World) -> Result<()> {
        self.touched.clear();
        self.keys_moved = 0;
        if arrangement.overflowed {
            self.broken = true;
            return Err(overflow());
        }
        if arrangement.anew || self.broken {
            return self.rebuild(arrangement, sides, world);
        }
        let mut rows: Vec<KeyRow> = arrangement.touched.clone();
        let lookups = self.late.len();
        for (lookup, holders) in self.holders.iter_mut().enumerate() {
            for number in sides.changed(self.sides[lookup], &self.read[lookup]) {
                if let Some(keys) = holders.get_mut(&number) {
                    keys.retain(|&key| self.found[key as usize * lookups + lookup] == number);
                    rows.extend_from_slice(keys);
                }
            }
        }
        rows.sort_unstable();
        rows.dedup();
        self.compute(&rows, arrangement, sides, world)
    }

    fn compute(
        &mut self,
        rows: &[KeyRow],
        arrangement: &Arrangement,
        sides: &mut Sides,
        world: &World,
    ) -> Result<()> {
        self.keys_moved += rows.len();
        let places = arrangement.places();
        self.keys.resize(places, KeyState { group: NO_GROUP, overflowed: false });
        self.added.resize(places * self.sums.len(), 0);
        self.found.resize(places * self.late.len(), u32::MAX - 1);
        for rows in rows.chunks(BATCH_KEYS) {
            self.compute_batch(rows, arrangement, sides, world);
        }
        if self.broken {
            return Err(overflow());
        }
        if self.numbers.len() > LIVE_GROUPS_MAX {
            self.broken = true;
            return Err(too_many_groups());
        }
        Ok(())
    }

    fn compute_batch(
        &mut self,
        rows: &[KeyRow],
        arrangement: &Arrangement,
        sides: &mut Sides,
        world: &World,
    ) {
        let late = self.inputs.len();
        let mut columns: Vec<Vec<Datum>> = vec![Vec::new(); late + arrangement.keys.len()];
        for (at, column) in columns[late..].iter_mut().enumerate() {
            *column = rows.iter().map(|&row| arrangement.key(row)[at]).collect();
        }
        for lookup in 0..self.late.len() {
            let side = self.sides[lookup];
            let numbers = sides.find(side, &self.late[lookup], &columns, rows.len(), world);
            for (&row, &number) in rows.iter().zip(&numbers) {
                let found = &mut self.found[row as usize * self.late.len() + lookup];
                if std::mem::replace(found, number) != number {
                    self.holders[lookup].entry(number).or_default().push(row);
                }
            }
            for (at, input) in self.inputs.iter().enumerate() {
                if input.lookup == Some(lookup) && self.used[at] {
                    columns[at] =
                        numbers.iter().map(|&number| sides.value(side, number, input.column)).collect();
                }
            }
        }
        let values = evaluate(&self.columns, &columns, rows.len());
        let (groups, multiplied) = values.split_at(self.groups.len());
        let mut multiplied = multiplied.iter();
        let mut with = |kept: usize| (kept, multiplied.next().expect("one for each product"));
        let sums: Vec<Vec<(usize, &Values)>> =
            self.sums.iter().map(|sum| sum.iter().map(|(kept, _)| with(*kept)).collect()).collect();
        let width = sums.len();
        let mut key = Vec::with_capacity(groups.len());
        let mut adds = Vec::with_capacity(width);
        for (at, &row) in rows.iter().enumerate() {
            self.take_back(row);
            if arrangement.count(row) == 0 {
                continue;
            }
            let kept = arrangement.sums(row);
            let mut overflowed = false;
            adds.clear();
            for sum in &sums {
                let mut total = Some(0i128);
                for (h, g) in sum {
                    let product = match (kept[*h], g.get(at)) {
                        (_, NULL) => None,
                        (h, g) => multiply(h, g),
                    };
                    total = total.zip(product).and_then(|(total, product)| total.checked_add(product));
                }
                overflowed |= total.is_none();
                adds.push(total.unwrap_or(0));
            }
            if !overflowed && adds[0] == 0 {
                // No row of it passes the condition.
                continue;
            }
            key.clear();
            key.extend(groups.iter().map(|lane| lane.get(at)));
            let group = self.group(&key);
            let state = &mut self.states[group as usize];
            state.keys += 1;
            state.overflowed += usize::from(overflowed);
            self.touched.insert(state.key.clone());
            self.keys[row as usize] = KeyState { group, overflowed };
            let added = &mut self.added[row as usize * width..][..width];
            let totals = &mut self.totals[group as usize * width..][..width];
            for ((total, added), &add) in totals.iter_mut().zip(added).zip(&adds) {
                *added = add;
                match total.checked_add(add) {
                    Some(sum) => *total = sum,
                    None => self.broken = true,
                }
            }
        }
    }

    fn take_back(&mut self, row: KeyRow) {
        let none = KeyState { group: NO_GROUP, overflowed: false };
        let KeyState { group, overflowed } = std::mem::replace(&mut self.keys[row as usize], none);
        if group == NO_GROUP {
            return;
        }
        let width = self.sums.len();
        let state = &mut self.states[group as usize];
        state.keys -= 1;
        state.overflowed -= usize::from(overflowed);
        self.touched.insert(state.key.clone());
        let totals = &mut self.totals[group as usize * width..][..width];
        for (total, added) in totals.iter_mut().zip(&mut self.added[row as usize * width..][..width]) {
            match total.checked_sub(std::mem::take(added)) {
                Some(sum) => *total = sum,
                None => self.broken = true,
            }
        }
        if state.keys == 0 {
            self.numbers.remove(&state.key);
            self.free.push(group);
        }
    }

    fn group(&mut self, key: &[Datum]) -> u32 {
        if let Some(&group) = self.numbers.get(key) {
            return group;
        }
        let key: GroupKey = key.into();
        let width = self.sums.len();
        let state = GroupState { key: key.clone(), keys: 0, overflowed: 0 };
        let group = match self.free.pop() {
            Some(group) => {
                self.states[group as usize] = state;
                self.totals[group as usize * width..][..width].fill(0);
                group
            }
            None => {
                self.states.push(state);
                self.totals.resize(self.totals.len() + width, 0);
                self.states.len() as u32 - 1
            }
        };
        self.numbers.insert(key, group);
        group
    }

    /// The groups there are.
    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.numbers.keys()
    }

    pub fn holds(&self, key: &[Datum]) -> bool {
        self.numbers.contains_key(key)
    }

    /// The sums of a group, if it is there.
    ///
    /// # Errors
    /// `Data` where a product of it left 128 bits.
    pub fn totals(&self, key: &[Datum]) -> Result<Option<&[Datum]>> {
        let Some(&group) = self.numbers.get(key) else { return Ok(None) };
        if self.states[group as usize].overflowed > 0 {
            return Err(overflow());
        }
        Ok(Some(&self.totals[group as usize * self.sums.len()..][..self.sums.len()]))
    }

    /// How many rows of what is looked up late changed.
    pub fn changes(&self, sides: &Sides) -> usize {
        self.sides.iter().zip(&self.read).map(|(&side, read)| sides.changed(side, read).count()).sum()
    }

    /// Whether the tick touches anything of the view.
    pub fn stirred(&self, arrangement: &Arrangement, sides: &Sides) -> bool {
        let mut lookups = self.sides.iter().zip(&self.read);
        self.broken
            || arrangement.anew
            || arrangement.overflowed
            || !arrangement.touched.is_empty()
            || lookups.any(|(&side, read)| sides.changed(side, read).next().is_some())
    }

    pub fn bytes(&self) -> usize {
        (self.added.capacity() + self.totals.capacity()) * 16
            + self.keys.capacity() * 8
            + self.found.capacity() * 4
            + self.holders.iter().flat_map(HashMap::values).map(|keys| keys.capacity() * 4 + 8).sum::<usize>()
            + self.numbers.len() * (32 * self.groups.len() + 48)
    }
}

pub(super) fn overflow() -> Error {
    Error::data("a number of this view needs more than 38 digits; mend the price, rate or quantity behind it")
}

pub(super) fn too_many_groups() -> Error {
    Error::new(
        crate::error::Kind::Overloaded,
        "LIMIT",
        format!("the view has more than {LIVE_GROUPS_MAX} groups; group by fewer columns"),
    )
}
