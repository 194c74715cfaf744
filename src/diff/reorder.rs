//! Moves that bring rows into another order: as few as there can be, each told by positions.
//!
//! Rows of a longest increasing subsequence stay; every other row moves once.
//! Cost: O(n log n) for n rows; nothing but one pass where the order is right already.

use super::Move;

/// Moves that turn `0, 1, … n−1` into `wanted`, a permutation of it, applied one after another.
pub(super) fn moves(wanted: &[usize]) -> Vec<Move> {
    if wanted.is_sorted() {
        return Vec::new();
    }
    let stays = longest_increasing(wanted);

    // Every row that moves has two slots, where it stands and where it goes to; one that stays has one.
    // A slot that is taken counts as a row, so a position is the number of taken slots before.
    // Between two rows that stay come first the slots to fill, then the slots to empty.
    let mut slots_from = vec![0; wanted.len()];
    let mut slots_to = vec![0; wanted.len()];
    let mut moving = vec![true; wanted.len()];
    wanted.iter().zip(&stays).filter(|&(_, &stays)| stays).for_each(|(&row, _)| moving[row] = false);
    let mut taken = Vec::with_capacity(2 * wanted.len());
    let mut source = 0;
    let mut target = 0;
    loop {
        while target < wanted.len() && !stays[target] {
            slots_to[wanted[target]] = taken.len();
            taken.push(false);
            target += 1;
        }
        while source < wanted.len() && moving[source] {
            slots_from[source] = taken.len();
            taken.push(true);
            source += 1;
        }
        if target == wanted.len() {
            break;
        }
        debug_assert_eq!(wanted[target], source, "rows that stay come in the same order on both sides");
        taken.push(true);
        source += 1;
        target += 1;
    }

    let mut counts = Counts::new(&taken);
    let moved = wanted.iter().zip(&stays).filter(|&(_, &stays)| !stays);
    moved
        .map(|(&row, _)| {
            counts.add(slots_from[row], -1);
            let from = counts.before(slots_from[row]);
            let to = counts.before(slots_to[row]);
            counts.add(slots_to[row], 1);
            Move { from, to }
        })
        .collect()
}

/// Marks the places of one longest increasing subsequence.
fn longest_increasing(values: &[usize]) -> Vec<bool> {
    // `tails[k]` is the place of the smallest value that ends an increasing subsequence of length k + 1.
    let mut tails: Vec<usize> = Vec::new();
    let mut previous = vec![usize::MAX; values.len()];
    for (at, &value) in values.iter().enumerate() {
        let length = tails.partition_point(|&tail| values[tail] < value);
        if length > 0 {
            previous[at] = tails[length - 1];
        }
        if length == tails.len() {
            tails.push(at);
        } else {
            tails[length] = at;
        }
    }
    let mut marks = vec![false; values.len()];
    let mut at = tails.last().copied().unwrap_or(usize::MAX);
    while at != usize::MAX {
        marks[at] = true;
        at = previous[at];
    }
    marks
}

/// Taken slots before a slot, in O(log n): a Fenwick tree.
struct Counts {
    sums: Vec<isize>,
}

impl Counts {
    fn new(taken: &[bool]) -> Counts {
        let mut counts = Counts { sums: vec![0; taken.len() + 1] };
        for (slot, _) in taken.iter().enumerate().filter(|&(_, &taken)| taken) {
            counts.add(slot, 1);
        }
        counts
    }

    fn add(&mut self, slot: usize, delta: isize) {
        let mut node = slot + 1;
        while node < self.sums.len() {
            self.sums[node] += delta;
            node += node & node.wrapping_neg();
        }
    }

    fn before(&self, slot: usize) -> usize {
        let mut sum = 0;
        let mut node = slot;
        while node > 0 {
            sum += self.sums[node];
            node &= node - 1;
        }
        sum as usize
    }
}
