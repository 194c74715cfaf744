//! Exact sums of products, as many at a time as the machine has lanes.
//!
//! A factor of up to 62 bits is split into a lower half of 31 bits and an upper half, so that each product
//! with a code of 32 bits fits 64 bits and a run of them can be added up before anything is widened. The
//! machine's features are found out when it runs; every path gives the same bits, because integers do.

/// Bits of a lower half: one less than a lane's half, so that it is not negative as a signed number.
pub const HALF_BITS: u32 = 31;
/// Bits of the greatest factor that can be split, without its sign.
pub const FACTOR_BITS_MAX: u32 = 62;

/// Factors in halves: each is `upper · 2^31 + lower`.
#[derive(Default)]
pub struct Halves {
    lower: Vec<i32>,
    upper: Vec<i32>,
}

impl Halves {
    /// Takes other factors, none of more than [`FACTOR_BITS_MAX`] bits.
    pub fn set(&mut self, factors: impl Iterator<Item = i64>) {
        self.lower.clear();
        self.upper.clear();
        for factor in factors {
            self.lower.push((factor & ((1 << HALF_BITS) - 1)) as i32);
            self.upper.push((factor >> HALF_BITS) as i32);
        }
    }

    /// The sum of `codes[n] · factor[from + n]`.
    ///
    /// Exact where the bits of the greatest code, of [`HALF_BITS`] and of the number of codes are at most
    /// 63 together.
    pub fn dot<T: Copy + Into<i64>>(&self, codes: &[T], from: usize) -> i128 {
        let [lower, upper] = [&self.lower, &self.upper].map(|half| &half[from..from + codes.len()]);
        let (lower, upper) = dot(codes, lower, upper);
        i128::from(lower) + (i128::from(upper) << HALF_BITS)
    }
}

/// Bits that the greatest of some numbers takes, without its sign.
pub fn bits<T: Copy + Into<i64>>(codes: &[T]) -> u32 {
    let most = codes.iter().fold(0, |most, &code| {
        let code: i64 = code.into();
        most | (code ^ (code >> 63))
    });
    64 - most.leading_zeros()
}

fn dot<T: Copy + Into<i64>>(codes: &[T], lower: &[i32], upper: &[i32]) -> (i64, i64) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the machine has these features.
            return unsafe { dot_avx512(codes, lower, upper) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { dot_avx2(codes, lower, upper) };
        }
    }
    dot_anywhere(codes, lower, upper)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn dot_avx512<T: Copy + Into<i64>>(codes: &[T], lower: &[i32], upper: &[i32]) -> (i64, i64) {
    dot_anywhere(codes, lower, upper)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2<T: Copy + Into<i64>>(codes: &[T], lower: &[i32], upper: &[i32]) -> (i64, i64) {
    dot_anywhere(codes, lower, upper)
}

/// The loop itself: what it is compiled for decides how many lanes it takes.
#[inline(always)]
fn dot_anywhere<T: Copy + Into<i64>>(codes: &[T], lower: &[i32], upper: &[i32]) -> (i64, i64) {
    let (mut low, mut up) = (0i64, 0i64);
    for ((&code, &lower), &upper) in codes.iter().zip(lower).zip(upper) {
        let code: i64 = code.into();
        low = low.wrapping_add(code.wrapping_mul(lower.into()));
        up = up.wrapping_add(code.wrapping_mul(upper.into()));
    }
    (low, up)
}
