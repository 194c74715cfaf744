//! The rows of one pair that a view has, with the group of each: what sums run over.
//!
//! Where a part nets rows that stand apart, such as those of one account in two sleeves, sums run over all
//! rows as if each were a net, and then over the few accounts with several rows to put that right.

use super::arrangement::Slot;
use super::fields::Placed;
use super::groups::GroupId;
use super::kernel::{FACTOR_BITS_MAX, HALF_BITS, bits};
use super::maintained::Base;
use super::packed::{Codes, Packed};
use super::pair::Pair;
use super::selection::Selection;
use super::shape::Form;
use crate::datum::Datum;
use crate::plan::scalar::multiply;

pub struct SlotRows<'a> {
    pub pair: Pair,
    slot: &'a Slot,
    /// All of the slot's rows where there is none.
    rows: Option<Vec<u32>>,
    targets: Targets,
}

/// The group that each row adds to.
enum Targets {
    One(GroupId),
    Each(Vec<GroupId>),
}

/// Sums by group, to which products are added in halves: two products of 64 bits are several times as fast
/// as one of 128.
#[derive(Default)]
pub struct Sums {
    pub totals: Vec<Datum>,
    /// What is not in the totals yet: a lower half, and an upper one that is times 2^31.
    halves: Vec<[i64; 2]>,
    /// No half is greater than this times 2^31.
    bound: u64,
}

impl Sums {
    pub fn new(groups: usize) -> Sums {
        Sums { totals: vec![0; groups], halves: vec![[0; 2]; groups], bound: 0 }
    }

    /// Makes room for so many groups, new ones with this total.
    pub fn grow(&mut self, groups: usize, total: Datum) {
        self.totals.resize(groups.max(self.totals.len()), total);
        self.halves.resize(self.totals.len(), [0; 2]);
    }

    pub fn bytes(&self) -> usize {
        self.totals.capacity() * size_of::<Datum>() + self.halves.capacity() * size_of::<[i64; 2]>()
    }

    /// Makes sure that so many codes of so many bits can be added to every half: none where no half has room
    /// for as many, false where a total leaves 128 bits.
    fn make_room(&mut self, code_bits: u32, codes: usize) -> Option<bool> {
        const ROOM: u64 = 1 << (i64::BITS - 1 - HALF_BITS);
        let more = (codes as u64) << code_bits;
        if more >= ROOM {
            return None;
        }
        if self.bound + more >= ROOM && !self.settle() {
            return Some(false);
        }
        self.bound += more;
        Some(true)
    }

    /// Brings the halves into the totals; false where one leaves 128 bits.
    #[must_use]
    pub fn settle(&mut self) -> bool {
        if std::mem::take(&mut self.bound) == 0 {
            return true;
        }
        let mut fits = true;
        for (total, half) in self.totals.iter_mut().zip(&mut self.halves) {
            let [lower, upper] = std::mem::take(half);
            fits &= add_to(total, (i128::from(upper) << HALF_BITS) + i128::from(lower));
        }
        fits
    }
}

/// Rows that make one net.
pub struct Net {
    /// The group of the first of them at the deepest level.
    group: GroupId,
    rows: Vec<usize>,
}

impl<'a> SlotRows<'a> {
    /// The rows of a pair; `None` where the view has none of them.
    pub fn new(pair: Pair, selection: &Selection, placed: Placed, base: Base<'a>) -> Option<SlotRows<'a>> {
        let slot: &Slot = base.arrangement.slots().get(pair as usize)?;
        if slot.is_empty() {
            return None;
        }
        let rows = selection.rows(slot, base);
        if rows.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        // What a slot's coordinates tell is mostly the same for all of them: then the account decides.
        let kinds = slot.kinds();
        let first = kinds[slot.kind().get(rows.as_ref().map_or(0, |rows| rows[0] as usize)) as usize];
        let targets = match (kinds.iter().all(|&kind| placed.alike(kind, first)), &rows) {
            (true, rows) => match (placed.groups(first), rows) {
                (Err(group), _) => Targets::One(group),
                (Ok(groups), None) => {
                    Targets::Each(slot.accounts().iter().map(|&account| groups[account as usize]).collect())
                }
                (Ok(groups), Some(rows)) => {
                    let group = |&row: &u32| groups[slot.accounts()[row as usize] as usize];
                    Targets::Each(rows.iter().map(group).collect())
                }
            },
            (false, rows) => {
                let group = |row: usize| placed.group(slot.coordinate(row), slot.accounts()[row]);
                let targets: Vec<GroupId> = match rows {
                    None => (0..slot.len()).map(group).collect(),
                    Some(rows) => rows.iter().map(|&row| group(row as usize)).collect(),
                };
                match targets.iter().all(|&target| target == targets[0]) {
                    true => Targets::One(targets[0]),
                    false => Targets::Each(targets),
                }
            }
        };
        Some(SlotRows { pair, slot, rows, targets })
    }

    pub fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.slot.len(), Vec::len)
    }

    /// The groups that rows add to, each once, and the same rows with the places of these instead.
    pub fn by_place(self, places: &mut Vec<GroupId>) -> SlotRows<'a> {
        places.clear();
        let targets = match self.targets {
            Targets::One(group) => {
                places.push(group);
                Targets::One(0)
            }
            Targets::Each(mut targets) => {
                let mut order = targets.clone();
                order.sort_unstable();
                order.dedup();
                places.extend(order);
                for target in &mut targets {
                    *target = places.binary_search(target).expect("every group is among them") as GroupId;
                }
                Targets::Each(targets)
            }
        };
        SlotRows { targets, ..self }
    }

    /// The group of each row where the rows are all of the slot's, else of those that are chosen.
    pub fn targets(&self, take: &mut dyn FnMut(GroupId)) {
        match &self.targets {
            Targets::One(group) => take(*group),
            Targets::Each(targets) => targets.iter().for_each(|&target| take(target)),
        }
    }

    #[inline]
    fn each(&self, mut take: impl FnMut(usize, GroupId)) {
        let target = |at: usize| match &self.targets {
            Targets::One(group) => *group,
            Targets::Each(targets) => targets[at],
        };
        match &self.rows {
            None => (0..self.slot.len()).for_each(|row| take(row, target(row))),
            Some(rows) => rows.iter().enumerate().for_each(|(at, &row)| take(row as usize, target(at))),
        }
    }

    /// Adds what is kept for each row, times a factor, to its group's sum.
    ///
    /// Returns false where a sum left 128 bits.
    #[must_use]
    pub fn add(&self, form: &Form, factor: Datum, into: &mut [Datum]) -> bool {
        let sums = self.slot.sums();
        match form {
            Form::Nothing => true,
            Form::Sum(place) => self.add_column(&sums[*place], factor, into, |value| value),
            Form::Positive(place) => self.add_column(&sums[*place], factor, into, |value| value.max(0)),
            Form::Negative(place) => self.add_column(&sums[*place], factor, into, |value| value.min(0)),
            Form::Any(places) => match places.as_slice() {
                [place] => self.add_signs(&sums[*place], factor, into),
                places => {
                    let mut fits = true;
                    self.each(|row, target| {
                        if places.iter().any(|&place| !sums[place].is_zero() && sums[place].get(row) != 0) {
                            fits &= add_to(&mut into[target as usize], factor);
                        }
                    });
                    fits
                }
            },
        }
    }

    /// As [`Self::add`], with sums that are kept in halves as long as they fit.
    ///
    /// A group has at most one row of each coordinate here.
    #[must_use]
    pub fn add_fine(&self, form: &Form, factor: Datum, into: &mut Sums) -> bool {
        match form {
            Form::Sum(place) => self.add_column_fine(form, *place, factor, into, |code| code),
            Form::Positive(place) => self.add_column_fine(form, *place, factor, into, |code| code.max(0)),
            Form::Negative(place) => self.add_column_fine(form, *place, factor, into, |code| code.min(0)),
            Form::Nothing | Form::Any(_) => self.add(form, factor, &mut into.totals),
        }
    }

    fn add_column_fine(
        &self,
        form: &Form,
        place: usize,
        factor: Datum,
        into: &mut Sums,
        part: impl Fn(i64) -> i64 + Copy,
    ) -> bool {
        let column = &self.slot.sums()[place];
        let fits = |factor: &i64| 64 - factor.unsigned_abs().leading_zeros() <= FACTOR_BITS_MAX;
        let stepped = i64::try_from(factor).ok().and_then(|factor| factor.checked_mul(column.step()));
        let (Some(stepped), Targets::Each(targets)) = (stepped.filter(fits), &self.targets) else {
            return self.add(form, factor, &mut into.totals);
        };
        let added = match column.codes() {
            Codes::Zero(_) => Some(true),
            Codes::I8(codes) => self.add_halves(codes, targets, part, stepped, into),
            Codes::I16(codes) => self.add_halves(codes, targets, part, stepped, into),
            Codes::I32(codes) => self.add_halves(codes, targets, part, stepped, into),
            Codes::I64(_) | Codes::I128(_) => None,
        };
        added.unwrap_or_else(|| self.add(form, factor, &mut into.totals))
    }

    fn add_halves<T: Copy + Into<i64>>(
        &self,
        codes: &[T],
        targets: &[GroupId],
        part: impl Fn(i64) -> i64,
        factor: i64,
        into: &mut Sums,
    ) -> Option<bool> {
        match into.make_room(bits(codes), self.slot.kinds().len()) {
            Some(true) => {}
            other => return other,
        }
        let (lower, upper) = (factor & ((1 << HALF_BITS) - 1), factor >> HALF_BITS);
        let halves = into.halves.as_mut_slice();
        let mut add = |code: i64, target: GroupId| {
            let half = &mut halves[target as usize];
            half[0] += code * lower;
            half[1] += code * upper;
        };
        match &self.rows {
            None => codes.iter().zip(targets).for_each(|(&code, &target)| add(part(code.into()), target)),
            Some(rows) => rows
                .iter()
                .zip(targets)
                .for_each(|(&row, &target)| add(part(codes[row as usize].into()), target)),
        }
        Some(true)
    }

    /// Adds a factor for each row that is not 0.
    fn add_signs(&self, column: &Packed, factor: Datum, into: &mut [Datum]) -> bool {
        macro_rules! signs {
            ($codes:expr) => {
                self.add_narrow(|row| i64::from($codes[row] != 0), 1, factor, into)
            };
        }
        match column.codes() {
            Codes::Zero(_) => true,
            Codes::I8(codes) => signs!(codes),
            Codes::I16(codes) => signs!(codes),
            Codes::I32(codes) => signs!(codes),
            Codes::I64(codes) => signs!(codes),
            Codes::I128(codes) => signs!(codes),
        }
    }

    fn add_column(
        &self,
        column: &Packed,
        factor: Datum,
        into: &mut [Datum],
        part: impl Fn(i64) -> i64 + Copy,
    ) -> bool {
        // A sign decides the part, and the step is positive: the part of a code is that of its value.
        match column.codes() {
            Codes::Zero(_) => true,
            Codes::I8(codes) => self.add_narrow(|row| part(codes[row].into()), column.step(), factor, into),
            Codes::I16(codes) => self.add_narrow(|row| part(codes[row].into()), column.step(), factor, into),
            Codes::I32(codes) => self.add_narrow(|row| part(codes[row].into()), column.step(), factor, into),
            Codes::I64(codes) => self.add_wide(|row| part(codes[row]).into(), column.step(), factor, into),
            Codes::I128(codes) => {
                let keeps = [part(1), part(-1)].map(|sign| sign != 0);
                let part = |value: Datum| if keeps[usize::from(value < 0)] { value } else { 0 };
                self.add_wide(|row| part(codes[row]), column.step(), factor, into)
            }
        }
    }

    /// Adds codes of at most 32 bits, each times a step and a factor.
    #[inline]
    fn add_narrow(&self, code: impl Fn(usize) -> i64, step: i64, factor: Datum, into: &mut [Datum]) -> bool {
        match (&self.targets, i64::try_from(factor)) {
            // So many codes of 32 bits have a sum of 64.
            (Targets::One(group), _) => {
                let sum: i64 = match &self.rows {
                    None => (0..self.slot.len()).map(code).sum(),
                    Some(rows) => rows.iter().map(|&row| code(row as usize)).sum(),
                };
                let sum = i128::from(sum) * i128::from(step);
                multiply(sum, factor).is_some_and(|product| add_to(&mut into[*group as usize], product))
            }
            (Targets::Each(_), Ok(factor)) => {
                // 32 bits of a code and 20 of a step are 52.
                let mut overflown = false;
                let mut add = |row: usize, target: GroupId| {
                    let product = i128::from(code(row) * step) * i128::from(factor);
                    let sum = &mut into[target as usize];
                    let (after, over) = sum.overflowing_add(product);
                    *sum = after;
                    overflown |= over;
                };
                match (&self.rows, &self.targets) {
                    (None, Targets::Each(targets)) => {
                        targets.iter().enumerate().for_each(|(row, &target)| add(row, target));
                    }
                    _ => self.each(add),
                }
                !overflown
            }
            _ => self.add_wide(|row| code(row).into(), step, factor, into),
        }
    }

    /// Adds codes of any width, each times a step and a factor.
    fn add_wide(&self, code: impl Fn(usize) -> Datum, step: i64, factor: Datum, into: &mut [Datum]) -> bool {
        let mut fits = true;
        self.each(|row, target| {
            let product = multiply(code(row), step.into()).and_then(|value| multiply(value, factor));
            fits &= product.is_some_and(|product| add_to(&mut into[target as usize], product));
        });
        fits
    }

    /// Whether a row is there for a form, group by group.
    pub fn present(&self, form: &Form, mut take: impl FnMut(GroupId)) {
        let sums = self.slot.sums();
        match form {
            Form::Any(places) => {
                let places: Vec<usize> =
                    places.iter().copied().filter(|&place| !sums[place].is_zero()).collect();
                self.each(|row, target| {
                    if places.iter().any(|&place| sums[place].get(row) != 0) {
                        take(target);
                    }
                });
            }
            form => self.each(|row, target| {
                if form.value(&|place| sums[place].get(row)) != 0 {
                    take(target);
                }
            }),
        }
    }

    /// The nets of several rows, by the coordinate's columns that are told apart and by group, where `of`
    /// gives the group that nets stand in for one at the deepest level.
    pub fn nets(
        &self,
        told: &[bool],
        of: &dyn Fn(GroupId) -> GroupId,
        selection: &Selection,
        placed: Placed,
        base: Base,
    ) -> Vec<Net> {
        let mut nets: Vec<Net> = Vec::new();
        let coordinates = &base.arrangement.coordinates;
        for &account in self.slot.several().iter().filter(|&&account| selection.has_account(account)) {
            let start = nets.len();
            for row in self.slot.rows_of(account) {
                let coordinate = self.slot.coordinate(row);
                if !selection.has_coordinate(coordinate, base) {
                    continue;
                }
                let group = placed.group(coordinate, account);
                let same = |net: &&mut Net| {
                    let other = self.slot.coordinate(net.rows[0]);
                    let (a, b) = (coordinates.codes(coordinate), coordinates.codes(other));
                    of(net.group) == of(group)
                        && told.iter().enumerate().all(|(at, &told)| !told || a[at] == b[at])
                };
                match nets[start..].iter_mut().find(same) {
                    Some(net) => net.rows.push(row),
                    None => nets.push(Net { group, rows: vec![row] }),
                }
            }
        }
        nets.retain(|net| net.rows.len() > 1);
        nets
    }

    /// Adds to the sums of groups what nets of several rows are more than their rows taken one by one.
    ///
    /// `place` says where a group's sum stands. Returns false where a sum left 128 bits.
    #[must_use]
    pub fn correct(
        &self,
        nets: &[Net],
        form: &Form,
        factor: Datum,
        place: impl Fn(GroupId) -> usize,
        into: &mut [Datum],
    ) -> bool {
        if form.adds_up() {
            return true;
        }
        let sums = self.slot.sums();
        nets.iter().all(|net| {
            let one = |row: &usize| form.value(&|place| sums[place].get(*row));
            let all = form.value(&|place| net.rows.iter().map(|&row| sums[place].get(row)).sum());
            let more = all - net.rows.iter().map(one).sum::<Datum>();
            multiply(more, factor).is_some_and(|product| add_to(&mut into[place(net.group)], product))
        })
    }
}

#[inline]
fn add_to(sum: &mut Datum, value: Datum) -> bool {
    let after = sum.checked_add(value);
    if let Some(after) = after {
        *sum = after;
    }
    after.is_some()
}
