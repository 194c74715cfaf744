//! The rows of one pair that a view has, with the group of each: what sums run over.
//!
//! Where a part nets rows that stand apart, such as those of one account in two sleeves, sums run over all
//! rows as if each were a net, and then over the few accounts with several rows to put that right.

use std::ops::Range;

use super::arrangement::Slot;
use super::fields::Placed;
use super::groups::GroupId;
use super::kernel::{
    ALONE_BITS_MAX, Cut, Factor, HALF_BITS, LIMB_BITS, LIMBS_MAX, Machine, Part, bits, counted_up, limbs,
    prefetch,
};
use super::maintained::Base;
use super::packed::{Codes, Packed};
use super::pair::Pair;
use super::selection::Selection;
use super::shape::Form;
use crate::datum::Datum;
use crate::plan::scalar::multiply;
use crate::table::PartitionId;

pub struct SlotRows<'a> {
    pub pair: Pair,
    slot: &'a Slot,
    /// All of the slot's rows where there is none.
    rows: Option<Vec<u32>>,
    targets: Targets<'a>,
}

/// The group that each row adds to.
enum Targets<'a> {
    One(GroupId),
    /// By account, where the rows are all of the slot's.
    OfAccounts(&'a [GroupId]),
    /// By row where the rows are all of the slot's, else by chosen row.
    Each(Vec<GroupId>),
    /// Rows of the slot whose groups go up by one with them.
    Runs(Vec<Run>),
}

#[derive(Debug, Clone, Copy)]
struct Run {
    row: u32,
    group: GroupId,
    len: u32,
}

/// Rows in a run, on an average, from which on runs are faster than single rows.
const RUN_ROWS_MIN: usize = 16;

/// Sums by group, to which products are added in halves: two products of 64 bits are several times as fast
/// as one of 128.
#[derive(Default)]
pub struct Sums {
    pub totals: Vec<Datum>,
    /// What is not in the totals yet, by step of the codes and limb.
    limbs: [[Limb; LIMBS_MAX]; Packed::STEPS.len()],
    /// No half is greater than this times 2^31.
    bound: u64,
}

/// Lower halves, and upper ones that are times 2^31, by group; none until they are used.
#[derive(Default)]
struct Limb {
    lower: Vec<i64>,
    upper: Vec<i64>,
    is_used: bool,
}

impl Sums {
    pub fn new(groups: usize) -> Sums {
        Sums { totals: vec![0; groups], ..Sums::default() }
    }

    /// Makes room for so many groups, new ones with this total.
    pub fn grow(&mut self, groups: usize, total: Datum) {
        self.totals.resize(groups.max(self.totals.len()), total);
    }

    pub fn bytes(&self) -> usize {
        let limbs = self.limbs.iter().flatten();
        let halves: usize = limbs.map(|limb| limb.lower.capacity() + limb.upper.capacity()).sum();
        self.totals.capacity() * size_of::<Datum>() + halves * size_of::<i64>()
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

    /// The halves of a limb of codes of a step, to be added to.
    fn limb(&mut self, step: usize, limb: usize) -> (&mut [i64], &mut [i64]) {
        let Sums { totals, limbs, .. } = self;
        let Limb { lower, upper, is_used } = &mut limbs[step][limb];
        *is_used = true;
        lower.resize(totals.len(), 0);
        upper.resize(totals.len(), 0);
        (lower, upper)
    }

    /// Brings the halves into the totals; false where one leaves 128 bits.
    #[must_use]
    pub fn settle(&mut self) -> bool {
        if std::mem::take(&mut self.bound) == 0 {
            return true;
        }
        let mut fits = true;
        for (limbs, step) in self.limbs.iter_mut().zip(Packed::STEPS) {
            for (at, limb) in limbs.iter_mut().enumerate() {
                if !std::mem::take(&mut limb.is_used) {
                    continue;
                }
                // 20 bits of the step and 48 of the limb's place.
                let unit = i128::from(step) << (LIMB_BITS * at as u32);
                let halves = limb.lower.iter_mut().zip(&mut limb.upper);
                for (total, (lower, upper)) in self.totals.iter_mut().zip(halves) {
                    let (lower, upper) = (std::mem::take(lower), std::mem::take(upper));
                    // 63 bits of a half, 31 of its place.
                    let value = (i128::from(upper) << HALF_BITS) + i128::from(lower);
                    fits &= multiply(value, unit).is_some_and(|value| add_to(total, value));
                }
            }
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
    /// Asks memory for where rows of some pairs begin: each stands somewhere else, so that one after another
    /// they would be waited for. `places` are the sums that are wanted.
    pub fn ask(pairs: &[Pair], places: &[usize], base: Base) {
        let slots = || pairs.iter().map(|&pair| &base.arrangement.slots()[pair as usize]);
        // Where a slot says what it has comes first; one wait is for all.
        if slots().map(|slot| slot.len()).sum::<usize>() == 0 {
            return;
        }
        for slot in slots().filter(|slot| !slot.is_empty()) {
            prefetch(slot.accounts());
            prefetch(slot.kinds());
            for &place in places {
                match slot.sums()[place].codes() {
                    Codes::Zero(_) => {}
                    Codes::I8(codes) => prefetch(codes),
                    Codes::I16(codes) => prefetch(codes),
                    Codes::I32(codes) => prefetch(codes),
                    Codes::I64(codes) => prefetch(codes),
                    Codes::I128(codes) => prefetch(codes),
                }
            }
        }
    }

    /// The rows of a pair; `None` where the view has none of them.
    pub fn new(
        pair: Pair,
        selection: &Selection,
        placed: Placed<'a>,
        base: Base<'a>,
    ) -> Option<SlotRows<'a>> {
        let slot: &Slot = base.arrangement.slots().get(pair as usize)?;
        if slot.is_empty() {
            return None;
        }
        let rows = selection.rows(slot, base);
        if rows.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        // What a slot's coordinates tell is mostly the same for all of them: then the account decides.
        let targets = match (placed.alike(slot.kinds()), &rows) {
            (Some(one), rows) => match (placed.groups(one), rows) {
                (Err(group), _) => Targets::One(group),
                (Ok(groups), rows) => match (runs_of(slot.accounts(), groups, rows.as_deref()), rows) {
                    (Some(runs), _) => Targets::Runs(runs),
                    (None, None) => Targets::OfAccounts(groups),
                    (None, Some(rows)) => {
                        let group = |&row: &u32| groups[slot.accounts()[row as usize] as usize];
                        Targets::Each(rows.iter().map(group).collect())
                    }
                },
            },
            (None, rows) => {
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
            Targets::OfAccounts(_) | Targets::Each(_) | Targets::Runs(_) => {
                let mut targets = Vec::with_capacity(self.len());
                self.targets(&mut |group| targets.push(group));
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
            Targets::OfAccounts(groups) => {
                self.slot.accounts().iter().for_each(|&account| take(groups[account as usize]));
            }
            Targets::Each(targets) => targets.iter().for_each(|&target| take(target)),
            Targets::Runs(runs) => runs.iter().flat_map(Run::groups).for_each(|group| take(group as GroupId)),
        }
    }

    #[inline]
    fn each(&self, mut take: impl FnMut(usize, GroupId)) {
        match (&self.rows, &self.targets) {
            (_, Targets::Runs(runs)) => {
                for run in runs {
                    run.rows().zip(run.groups()).for_each(|(row, group)| take(row, group as GroupId));
                }
            }
            (_, Targets::OfAccounts(groups)) => {
                let accounts = self.slot.accounts().iter().enumerate();
                accounts.for_each(|(row, &account)| take(row, groups[account as usize]));
            }
            (None, Targets::One(group)) => (0..self.slot.len()).for_each(|row| take(row, *group)),
            (Some(rows), Targets::One(group)) => rows.iter().for_each(|&row| take(row as usize, *group)),
            (None, Targets::Each(targets)) => {
                targets.iter().enumerate().for_each(|(row, &target)| take(row, target));
            }
            (Some(rows), Targets::Each(targets)) => {
                rows.iter().zip(targets).for_each(|(&row, &target)| take(row as usize, target));
            }
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
        let (place, part) = match form {
            Form::Sum(place) => (*place, Part::Whole),
            Form::Positive(place) => (*place, Part::Positive),
            Form::Negative(place) => (*place, Part::Negative),
            Form::Nothing | Form::Any(_) => return self.add(form, factor, &mut into.totals),
        };
        let column = &self.slot.sums()[place];
        let halves = i64::try_from(factor).ok().and_then(Factor::new);
        let step = column.step_place();
        let added = match (halves, column.codes()) {
            (_, Codes::Zero(_)) => Some(true),
            (None, _) | (_, Codes::I128(_)) => None,
            _ if matches!(self.targets, Targets::One(_)) => None,
            (Some(halves), Codes::I8(codes)) => self.add_halves(codes, step, part, halves, into),
            (Some(halves), Codes::I16(codes)) => self.add_halves(codes, step, part, halves, into),
            (Some(halves), Codes::I32(codes)) => self.add_halves(codes, step, part, halves, into),
            (Some(halves), Codes::I64(codes)) => self.add_halves(codes, step, part, halves, into),
        };
        added.unwrap_or_else(|| self.add(form, factor, &mut into.totals))
    }

    /// None where the halves have no room for as many codes; nothing is added then.
    fn add_halves<T: Copy + Into<i64>>(
        &self,
        codes: &[T],
        step: usize,
        part: Part,
        factor: Factor,
        into: &mut Sums,
    ) -> Option<bool> {
        let code_bits = self.bits(codes);
        let of_limb = if code_bits <= ALONE_BITS_MAX { code_bits } else { LIMB_BITS };
        // A group has one row of each account where no account has several.
        let of_group = if self.slot.several().is_empty() { 1 } else { self.slot.kinds().len() };
        match into.make_room(of_limb, of_group) {
            Some(true) => {}
            other => return other,
        }
        let machine = Machine::best();
        for limb in 0..limbs(code_bits) {
            let cut = Cut::new(part, limb, code_bits);
            let (lower, upper) = into.limb(step, limb);
            match &self.targets {
                Targets::Runs(runs) => {
                    for run in runs {
                        let (lower, upper) = (&mut lower[run.groups()], &mut upper[run.groups()]);
                        machine.add_products(&codes[run.rows()], cut, factor, lower, upper);
                    }
                }
                _ => self.each(|row, target| {
                    let target = target as usize;
                    factor.add(codes[row].into(), cut, &mut lower[target], &mut upper[target]);
                }),
            }
        }
        Some(true)
    }

    /// No code of the rows has more bits.
    fn bits<T: Copy + Into<i64>>(&self, codes: &[T]) -> u32 {
        if size_of::<T>() <= size_of::<i16>() {
            return i16::BITS - 1;
        }
        match &self.rows {
            Some(rows) if rows.len() < codes.len() / 4 => {
                rows.iter().fold(0, |most, &row| most.max(bits(std::slice::from_ref(&codes[row as usize]))))
            }
            _ => bits(codes),
        }
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
            (_, Ok(factor)) => {
                // 32 bits of a code and 20 of a step are 52.
                let mut overflown = false;
                let mut add = |row: usize, target: GroupId| {
                    let product = i128::from(code(row) * step) * i128::from(factor);
                    let sum = &mut into[target as usize];
                    let (after, over) = sum.overflowing_add(product);
                    *sum = after;
                    overflown |= over;
                };
                self.each(&mut add);
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

impl Run {
    fn rows(&self) -> Range<usize> {
        self.row as usize..(self.row + self.len) as usize
    }

    fn groups(&self) -> Range<usize> {
        self.group as usize..(self.group + self.len) as usize
    }
}

/// Rows as runs of accounts whose groups go up by one, as those of a load do; none where these would be short.
///
/// `rows` are the chosen ones, all of them where there is none.
fn runs_of(accounts: &[PartitionId], groups: &[GroupId], rows: Option<&[u32]>) -> Option<Vec<Run>> {
    /// Short runs that a few irregular rows may make.
    const SHORT_MAX: usize = 4;
    let count = rows.map_or(accounts.len(), <[u32]>::len);
    let most = SHORT_MAX + count / RUN_ROWS_MIN;
    // Rows with many gaps between their accounts are told by where two of them stand.
    let account = |at: usize| accounts[rows.map_or(at, |rows| rows[at] as usize)] as usize;
    let is_off = |at: usize| account(at).abs_diff(account(0) + at) > most;
    if is_off(count / 2) && is_off(count / 3) {
        return None;
    }
    let mut runs = Vec::new();
    let mut at = 0;
    while at < count {
        if runs.len() > SHORT_MAX + at / RUN_ROWS_MIN {
            return None;
        }
        let row = rows.map_or(at as u32, |rows| rows[at]);
        let account = accounts[row as usize];
        let group = groups[account as usize];
        let len = rows.map_or(count - at, |rows| counted_up(&rows[at..], row));
        let len = counted_up(&accounts[row as usize..][..len], account);
        let len = counted_up(&groups[account as usize..][..len], group);
        runs.push(Run { row, group, len: len as u32 });
        at += len;
    }
    (runs.len() <= most).then_some(runs)
}

#[inline]
fn add_to(sum: &mut Datum, value: Datum) -> bool {
    let after = sum.checked_add(value);
    if let Some(after) = after {
        *sum = after;
    }
    after.is_some()
}
