//! Seeded randomness: one generator a purpose, so that a new purpose shifts no other's numbers.
//!
//! Sizes come out as binary floats, by multiplications and divisions alone, which every machine rounds
//! alike; whoever draws one makes it a whole number of lots before it leaves the market.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// What a generator is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Instruments = 1,
    Accounts,
    Holdings,
    LoadedOrders,
    LoadedMovements,
    Prices,
    Orders,
    Movements,
    Fx,
    Quality,
}

pub(super) struct Draw(Pcg64);

impl Draw {
    /// The generator of a purpose, and of one `number` within it, such as an account.
    pub(super) fn new(seed: u64, purpose: Purpose, number: u64) -> Draw {
        // Neighbouring seeds of one PCG are correlated, so the parts are mixed before they seed it.
        Draw(Pcg64::seed_from_u64(mix(seed ^ mix((purpose as u64) << 48 | number))))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number in `0..n`; the bias of one part in 2^64 ÷ n is of no matter here.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    pub(super) fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A whole number in `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// An item of `(weight, item)` pairs.
    pub(super) fn weighted<T: Copy>(&mut self, from: &[(u32, T)]) -> T {
        let mut left = self.below(from.iter().map(|&(weight, _)| u64::from(weight)).sum());
        for &(weight, item) in from {
            match left.checked_sub(u64::from(weight)) {
                None => return item,
                Some(rest) => left = rest,
            }
        }
        unreachable!("the draw lies below the sum of the weights")
    }

    /// A size with median 1 and a long tail: about log-normal with a standard deviation of one e-fold.
    pub(super) fn size(&mut self) -> f64 {
        let bits = self.bits();
        // The low byte smooths the steps between the 65 sizes.
        SIZES[bits.count_ones() as usize] * (0.875 + (bits & 0xff) as f64 / 1_024.0)
    }
}

/// Set bits of a random word are binomial: mean 32, standard deviation 4. Four steps of 1.28 are one e-fold.
const SIZES: [f64; 65] = {
    let mut sizes = [1.0; 65];
    let mut n = 1;
    while n <= 32 {
        // A position of 50 times the usual one is large enough.
        let up = sizes[32 + n - 1] * 1.28;
        sizes[32 + n] = if up < 50.0 { up } else { 50.0 };
        sizes[32 - n] = sizes[32 - n + 1] / 1.28;
        n += 1;
    }
    sizes
};

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
