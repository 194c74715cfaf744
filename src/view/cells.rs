//! Sums of products kept by deltas: what lines add up to for each bucket and pair of instruments, and what
//! the buckets come to at the prices of the epoch. Where a shape applies rates by other rows than those of
//! instruments, a pair is such a row.
//!
//! A change of lines moves what is kept and, at the prices that stand, the aggregates; a change of prices
//! moves the aggregates by what is kept times the difference. Integers make both exact, so the order of
//! changes leaves no trace. A bucket is a group of a view, or an inner group of one.
//! Cost: a line O(terms); a price O(cells that hold its pair · terms that read it).

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::kernel::{FACTOR_BITS_MAX, Halves, bits};
use super::packed::{Codes, Packed};
use super::pair::Pair;
use super::shape::{Aggregate, Dense, Pricing, Term, Terms};
use crate::datum::{Datum, NULL};
use crate::error::{Error, Result};
use crate::plan::scalar::multiply;

const END: u32 = u32::MAX;
const HASHER: FixedState = FixedState::with_seed(0);

#[derive(Default)]
pub struct Cells {
    /// What is applied to what is kept, and which of that is read, as bits.
    terms: Vec<Terms>,
    read: u64,
    index: HashTable<u32>,
    /// By cell: its bucket, its pair, and the next cell of each.
    buckets: Vec<u32>,
    pairs: Vec<Pair>,
    next_of_pair: Vec<u32>,
    next_of_bucket: Vec<u32>,
    first_of_pair: Vec<u32>,
    first_of_bucket: Vec<u32>,
    kept: Vec<Packed>,
    /// By cell: which of what is kept is not 0, as bits.
    filled: Vec<u64>,
    /// Bucket after bucket, one an aggregate.
    values: Vec<Datum>,
    width: usize,
    touched: Touched,
    /// Buckets whose least or greatest value may be gone.
    rescan: Vec<u32>,
    /// The cells of each bucket that stand together, and the differences of prices by cell.
    runs: Vec<Range<u32>>,
    halves: Halves,
}

/// Buckets whose aggregates moved, with what they were.
#[derive(Default)]
struct Touched {
    buckets: Vec<u32>,
    before: Vec<Datum>,
    is_touched: Vec<bool>,
}

impl Cells {
    /// `terms` are those of the part that are wanted; what `read_too` names is kept besides.
    pub fn new(priced: Pricing, terms: Vec<Terms>, read_too: u64) -> Cells {
        Cells {
            read: terms.iter().fold(read_too, |read, terms| read | terms.mask),
            terms,
            kept: vec![Packed::default(); priced.of.part.factored.kept.len()],
            width: priced.of.aggregates.len(),
            ..Cells::default()
        }
    }

    /// What is applied to what is kept.
    pub fn terms(&self) -> &[Terms] {
        &self.terms
    }

    /// Cells there are.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// One of what is kept, by cell.
    pub fn kept(&self, at: usize) -> &Packed {
        &self.kept[at]
    }

    /// The cells of a pair.
    pub fn cells_of(&self, pair: Pair) -> impl Iterator<Item = u32> {
        let some = |cell: u32| (cell != END).then_some(cell);
        let first = self.first_of_pair.get(pair as usize).copied().and_then(some);
        std::iter::successors(first, move |&cell| some(self.next_of_pair[cell as usize]))
    }

    pub fn bytes(&self) -> usize {
        let Cells { buckets, pairs, next_of_pair, next_of_bucket, first_of_pair, first_of_bucket, .. } = self;
        let numbers = [buckets, pairs, next_of_pair, next_of_bucket, first_of_pair, first_of_bucket];
        numbers.iter().map(|numbers| numbers.capacity() * size_of::<u32>()).sum::<usize>()
            + self.index.allocation_size()
            + self.kept.iter().map(Packed::bytes).sum::<usize>()
            + self.filled.capacity() * size_of::<u64>()
            + (self.values.capacity() + self.touched.before.capacity()) * size_of::<Datum>()
    }

    /// The aggregates of a bucket; `None` where no line was ever in it.
    pub fn values(&self, bucket: u32) -> Option<&[Datum]> {
        self.values.get(bucket as usize * self.width..(bucket as usize + 1) * self.width)
    }

    /// Adds to what is kept for a bucket and a pair, and leaves the aggregates to [`Self::sum_up`].
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits; the same goes for the functions below.
    pub fn keep(
        &mut self,
        priced: Pricing,
        bucket: u32,
        pair: Pair,
        deltas: impl Iterator<Item = Datum>,
    ) -> Result<()> {
        let cell = self.cell(priced, bucket, pair);
        self.keep_at(cell, deltas)
    }

    fn keep_at(&mut self, cell: u32, deltas: impl Iterator<Item = Datum>) -> Result<()> {
        let mut filled = self.filled[cell as usize];
        let read = self.read;
        for (at, (kept, delta)) in self.kept.iter_mut().zip(deltas).enumerate() {
            if delta == 0 || read >> at & 1 == 0 {
                continue;
            }
            if !kept.add(cell as usize, delta) {
                return Err(overflow());
            }
            let bit = 1 << at;
            filled = if kept.get(cell as usize) == 0 { filled & !bit } else { filled | bit };
        }
        self.filled[cell as usize] = filled;
        Ok(())
    }

    /// Computes all aggregates from what is kept.
    pub fn sum_up(&mut self, priced: Pricing) -> Result<()> {
        self.sort();
        for bucket in 0..self.first_of_bucket.len() as u32 {
            self.touch(bucket);
        }
        for values in self.values.chunks_exact_mut(self.width.max(1)) {
            let empty = priced.of.aggregates.iter().map(Aggregate::empty);
            values.iter_mut().zip(empty).for_each(|(value, empty)| *value = empty);
        }
        for terms in &self.terms {
            let g = priced.values(terms.g);
            for cell in 0..self.buckets.len() {
                let price = g.get(self.pairs[cell] as usize);
                if self.filled[cell] & terms.mask == 0 || price == NULL {
                    continue;
                }
                let values = &mut self.values[self.buckets[cell] as usize * self.width..][..self.width];
                for term in &terms.sums {
                    let kept = self.kept[term.kept].get(cell);
                    values[term.aggregate] = add_product(values[term.aggregate], kept, price)?;
                }
                for term in terms.extremes.iter().filter(|term| self.filled[cell] >> term.kept & 1 == 1) {
                    let aggregate = &priced.of.aggregates[term.aggregate];
                    values[term.aggregate] = aggregate.better(values[term.aggregate], price);
                }
            }
        }
        Ok(())
    }

    /// Adds to what is kept for a bucket and a pair, and to the aggregates at the prices that stand.
    pub fn add(&mut self, priced: Pricing, bucket: u32, pair: Pair, deltas: &[Datum]) -> Result<()> {
        let read = |at: usize| self.read >> at & 1 == 1;
        if deltas.iter().enumerate().all(|(at, &delta)| delta == 0 || !read(at)) {
            return Ok(());
        }
        let cell = self.cell(priced, bucket, pair) as usize;
        self.touch(bucket);
        let all = std::mem::take(&mut self.terms);
        let added = self.add_terms(priced, &all, bucket, pair, cell, deltas);
        self.terms = all;
        added?;
        self.keep_at(cell as u32, deltas.iter().copied())
    }

    /// Adds to the aggregates of a bucket what is about to be added to what is kept.
    fn add_terms(
        &mut self,
        priced: Pricing,
        all: &[Terms],
        bucket: u32,
        pair: Pair,
        cell: usize,
        deltas: &[Datum],
    ) -> Result<()> {
        for terms in all {
            let price = priced.values(terms.g).get(pair as usize);
            if price == NULL {
                continue;
            }
            for term in terms.sums.iter().filter(|term| deltas[term.kept] != 0) {
                let at = bucket as usize * self.width + term.aggregate;
                self.values[at] = add_product(self.values[at], deltas[term.kept], price)?;
            }
            for term in &terms.extremes {
                let before = self.kept[term.kept].get(cell);
                let after = before.checked_add(deltas[term.kept]).ok_or_else(overflow)?;
                match (before != 0, after != 0) {
                    (false, true) => self.appear(priced, term, bucket, price),
                    (true, false) => self.vanish(term, bucket, price),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Adds to the aggregates of a bucket what these terms come to, which it does not know by itself.
    pub fn add_up(
        &self,
        priced: Pricing,
        bucket: u32,
        all: &[Terms],
        aggregates: &mut [Datum],
    ) -> Result<()> {
        let mut cell = self.first_of_bucket.get(bucket as usize).copied().unwrap_or(END);
        while cell != END {
            let at = cell as usize;
            for terms in all.iter().filter(|terms| self.filled[at] & terms.mask != 0) {
                let price = priced.values(terms.g).get(self.pairs[at] as usize);
                if price != NULL {
                    for term in &terms.sums {
                        let sum = &mut aggregates[term.aggregate];
                        *sum = add_product(*sum, self.kept[term.kept].get(at), price)?;
                    }
                }
            }
            cell = self.next_of_bucket[at];
        }
        Ok(())
    }

    /// Moves the aggregates to the prices of the epoch.
    pub fn reprice(&mut self, priced: Pricing) -> Result<()> {
        let all = std::mem::take(&mut self.terms);
        let done = self.reprice_terms(priced, &all);
        self.terms = all;
        done
    }

    fn reprice_terms(&mut self, priced: Pricing, all: &[Terms]) -> Result<()> {
        for terms in all {
            if let Some(dense) = priced.dense(terms.g) {
                self.reprice_most(priced, terms, dense)?;
                continue;
            }
            for step in priced.moves(terms.g) {
                let mut cell = self.first_of_pair.get(step.pair as usize).copied().unwrap_or(END);
                while cell != END {
                    let at = cell as usize;
                    cell = self.next_of_pair[at];
                    let filled = self.filled[at];
                    if filled & terms.mask == 0 {
                        continue;
                    }
                    let bucket = self.buckets[at];
                    self.touched.touch(bucket, &self.values, self.width);
                    let values = &mut self.values[bucket as usize * self.width..][..self.width];
                    for term in terms.sums.iter().filter(|term| filled >> term.kept & 1 == 1) {
                        let kept = self.kept[term.kept].get(at);
                        values[term.aggregate] = add_product(values[term.aggregate], kept, step.delta)?;
                    }
                    for term in terms.extremes.iter().filter(|term| filled >> term.kept & 1 == 1) {
                        self.vanish(term, bucket, step.before);
                        self.appear(priced, term, bucket, step.after);
                    }
                }
            }
        }
        Ok(())
    }

    /// As [`Self::reprice`], where most pairs moved: a pass over all cells, column by column.
    fn reprice_most(&mut self, priced: Pricing, terms: &Terms, dense: Dense) -> Result<()> {
        let Cells { kept, buckets, pairs, values, width, touched, runs, halves, .. } = self;
        let is_used = |term: &&Term| !kept[term.kept].is_zero();
        if terms.sums.iter().any(|term| is_used(&term)) {
            runs.clear();
            let mut cell = 0;
            for run in buckets.chunk_by(|a, b| a == b) {
                runs.push(cell..cell + run.len() as u32);
                cell += run.len() as u32;
            }
            if dense.bits <= FACTOR_BITS_MAX {
                halves.set(pairs.iter().map(|&pair| dense.deltas[pair as usize]));
            }
        }
        for term in terms.sums.iter().filter(is_used) {
            let column = &kept[term.kept];
            // What a code is of goes into each run's sum once.
            let step = Datum::from(column.step());
            let mut take = |run: &Range<u32>, sum: Option<Datum>| -> Result<()> {
                let sum = sum.and_then(|sum| multiply(sum, step)).ok_or_else(overflow)?;
                if sum != 0 {
                    let bucket = buckets[run.start as usize];
                    touched.touch(bucket, values, *width);
                    let value = &mut values[bucket as usize * *width + term.aggregate];
                    *value = value.checked_add(sum).ok_or_else(overflow)?;
                }
                Ok(())
            };
            macro_rules! add_runs {
                ($codes:expr) => {{
                    let codes = $codes;
                    let code_bits = bits(codes);
                    for run in runs.iter() {
                        let cells = run.start as usize..run.end as usize;
                        let sum = match dense.bits <= FACTOR_BITS_MAX {
                            true => halves.dot(&codes[cells], run.start as usize, code_bits),
                            false => products(&codes[cells.clone()], &pairs[cells], dense.deltas),
                        };
                        take(run, sum)?;
                    }
                }};
            }
            match column.codes() {
                Codes::Zero(_) => {}
                Codes::I8(codes) => add_runs!(codes),
                Codes::I16(codes) => add_runs!(codes),
                Codes::I32(codes) => add_runs!(codes),
                Codes::I64(codes) => add_runs!(codes),
                Codes::I128(codes) => {
                    for run in runs.iter() {
                        let mut sum = Some(0i128);
                        for cell in run.start as usize..run.end as usize {
                            let delta = dense.deltas[pairs[cell] as usize];
                            let product = multiply(codes[cell], delta.into());
                            sum = sum.zip(product).and_then(|(sum, product)| sum.checked_add(product));
                        }
                        take(run, sum)?;
                    }
                }
            }
        }
        for term in &terms.extremes {
            let aggregate = &priced.of.aggregates[term.aggregate];
            let g = priced.values(terms.g);
            let mut best = vec![NULL; self.first_of_bucket.len()];
            for (cell, (&bucket, &pair)) in self.buckets.iter().zip(&self.pairs).enumerate() {
                if self.filled[cell] >> term.kept & 1 == 1 {
                    let best = &mut best[bucket as usize];
                    *best = aggregate.better(*best, g.get(pair as usize));
                }
            }
            for (bucket, best) in best.into_iter().enumerate() {
                let at = bucket * self.width + term.aggregate;
                if self.values[at] != best {
                    self.touch(bucket as u32);
                    self.values[at] = best;
                }
            }
        }
        Ok(())
    }

    /// Puts the cells of a bucket together, in the order of their pairs.
    fn sort(&mut self) {
        let mut order: Vec<u32> = (0..self.buckets.len() as u32).collect();
        order.sort_unstable_by_key(|&cell| (self.buckets[cell as usize], self.pairs[cell as usize]));
        let sorted = |column: &[u32]| order.iter().map(|&cell| column[cell as usize]).collect::<Vec<_>>();
        self.buckets = sorted(&self.buckets);
        self.pairs = sorted(&self.pairs);
        self.filled = order.iter().map(|&cell| self.filled[cell as usize]).collect();
        self.kept.iter_mut().for_each(|kept| kept.reorder(&order));
        self.first_of_pair.fill(END);
        self.first_of_bucket.fill(END);
        self.index.clear();
        for cell in 0..self.buckets.len() as u32 {
            let (bucket, pair) = (self.buckets[cell as usize], self.pairs[cell as usize]);
            self.next_of_pair[cell as usize] = link(&mut self.first_of_pair, pair, cell);
            self.next_of_bucket[cell as usize] = link(&mut self.first_of_bucket, bucket, cell);
            let Cells { index, buckets, pairs, .. } = self;
            let rehash = |&cell: &u32| hash(buckets[cell as usize], pairs[cell as usize]);
            index.insert_unique(hash(bucket, pair), cell, rehash);
        }
    }

    /// Hands out each bucket whose aggregates moved, once, with what they were and what they are.
    pub fn settle(&mut self, priced: Pricing, take: &mut dyn FnMut(u32, &[Datum], &[Datum])) {
        let mut rescan = std::mem::take(&mut self.rescan);
        rescan.sort_unstable();
        rescan.dedup();
        for &bucket in &rescan {
            self.scan(priced, bucket);
        }
        rescan.clear();
        self.rescan = rescan;
        for (at, &bucket) in self.touched.buckets.iter().enumerate() {
            self.touched.is_touched[bucket as usize] = false;
            let before = &self.touched.before[at * self.width..][..self.width];
            let after = &self.values[bucket as usize * self.width..][..self.width];
            if before != after {
                take(bucket, before, after);
            }
        }
        self.touched.buckets.clear();
        self.touched.before.clear();
    }

    fn touch(&mut self, bucket: u32) {
        self.touched.touch(bucket, &self.values, self.width);
    }

    /// A value is among those of a bucket now.
    fn appear(&mut self, priced: Pricing, term: &Term, bucket: u32, value: Datum) {
        let at = bucket as usize * self.width + term.aggregate;
        self.values[at] = priced.of.aggregates[term.aggregate].better(self.values[at], value);
    }

    /// A value is among those of a bucket no more.
    fn vanish(&mut self, term: &Term, bucket: u32, value: Datum) {
        if value != NULL && self.values[bucket as usize * self.width + term.aggregate] == value {
            self.rescan.push(bucket);
        }
    }

    /// Finds the least and greatest values of a bucket anew.
    fn scan(&mut self, priced: Pricing, bucket: u32) {
        for terms in &self.terms {
            for term in &terms.extremes {
                let aggregate = &priced.of.aggregates[term.aggregate];
                let g = priced.values(terms.g);
                let mut best = NULL;
                let mut cell = self.first_of_bucket[bucket as usize];
                while cell != END {
                    if self.filled[cell as usize] >> term.kept & 1 == 1 {
                        best = aggregate.better(best, g.get(self.pairs[cell as usize] as usize));
                    }
                    cell = self.next_of_bucket[cell as usize];
                }
                self.values[bucket as usize * self.width + term.aggregate] = best;
            }
        }
    }

    /// The cell of a bucket and a pair, which is new the first time it is asked for.
    fn cell(&mut self, priced: Pricing, bucket: u32, pair: Pair) -> u32 {
        let Cells { index, buckets, pairs, .. } = self;
        let entry = index.entry(
            hash(bucket, pair),
            |&cell| buckets[cell as usize] == bucket && pairs[cell as usize] == pair,
            |&cell| hash(buckets[cell as usize], pairs[cell as usize]),
        );
        let vacant = match entry {
            hashbrown::hash_table::Entry::Occupied(found) => return *found.get(),
            hashbrown::hash_table::Entry::Vacant(vacant) => vacant,
        };
        let cell = buckets.len() as u32;
        vacant.insert(cell);
        buckets.push(bucket);
        pairs.push(pair);
        self.filled.push(0);
        self.kept.iter_mut().for_each(Packed::grow);
        self.next_of_pair.push(link(&mut self.first_of_pair, pair, cell));
        let new = self.first_of_bucket.len();
        self.next_of_bucket.push(link(&mut self.first_of_bucket, bucket, cell));
        for _ in new..self.first_of_bucket.len() {
            self.values.extend(priced.of.aggregates.iter().map(Aggregate::empty));
        }
        cell
    }
}

impl Touched {
    #[inline]
    fn touch(&mut self, bucket: u32, values: &[Datum], width: usize) {
        let at = bucket as usize;
        if self.is_touched.len() <= at {
            self.is_touched.resize(at + 1, false);
        }
        if !std::mem::replace(&mut self.is_touched[at], true) {
            self.buckets.push(bucket);
            self.before.extend_from_slice(&values[at * width..][..width]);
        }
    }
}

fn hash(bucket: u32, pair: Pair) -> u64 {
    HASHER.hash_one(u64::from(bucket) << 32 | u64::from(pair))
}

/// The sum of codes, each times the difference of its pair; none where it leaves 128 bits.
fn products<T: Copy + Into<i64>>(codes: &[T], pairs: &[Pair], deltas: &[i64]) -> Option<Datum> {
    let mut sum = 0i128;
    for (&code, &pair) in codes.iter().zip(pairs) {
        sum = sum.checked_add(i128::from(code.into()) * i128::from(deltas[pair as usize]))?;
    }
    Some(sum)
}

/// Puts a cell at the head of a list; returns what follows it.
fn link(firsts: &mut Vec<u32>, list: u32, cell: u32) -> u32 {
    if firsts.len() <= list as usize {
        firsts.resize(list as usize + 1, END);
    }
    std::mem::replace(&mut firsts[list as usize], cell)
}

#[inline]
fn add_product(sum: Datum, a: Datum, b: Datum) -> Result<Datum> {
    multiply(a, b).and_then(|product| sum.checked_add(product)).ok_or_else(overflow)
}

pub fn overflow() -> Error {
    Error::data(
        "a sum has more than 38 digits; take fewer accounts, or mend the price or quantity that is out of proportion",
    )
}
