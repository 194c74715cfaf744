//! Exact sums of products, as many at a time as the machine has lanes.
//!
//! A factor of up to 62 bits is split into a lower half of 31 bits and an upper half, and a code that is long
//! into limbs, so that each product of a half and a limb fits 64 bits and a run of them can be added up
//! before anything is widened. The machine's features are found out when it runs; every path gives the same
//! bits, because integers do.

use std::sync::OnceLock;

/// Bits of a lower half: one less than a lane's half, so that it is not negative as a signed number.
pub const HALF_BITS: u32 = 31;
/// Bits of the greatest factor that can be split, without its sign.
pub const FACTOR_BITS_MAX: u32 = 62;
/// Bits of a limb of a code: 128 products of one with a half have a sum of 62 bits.
pub const LIMB_BITS: u32 = 24;
/// Bits of the greatest code that is a limb by itself: 32 products of one with a half have a sum of 62 bits.
pub const ALONE_BITS_MAX: u32 = 26;
/// Limbs of the longest code.
pub const LIMBS_MAX: usize = (i64::BITS as usize).div_ceil(LIMB_BITS as usize);

/// Which part of each code counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// The greater of the code and 0, and the lesser.
    Positive,
    Negative,
}

/// What is taken of each code before it is multiplied: a part, and a limb of that.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    part: Part,
    shift: u32,
    mask: i64,
}

/// A factor in halves; one that fits the lower half with its sign has no upper one.
#[derive(Debug, Clone, Copy)]
pub struct Factor {
    lower: i32,
    upper: i32,
}

/// The widest vectors a machine has of those that there is a loop for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Factors in halves: each is `upper · 2^31 + lower`.
#[derive(Default)]
pub struct Halves {
    lower: Vec<i32>,
    upper: Vec<i32>,
}

impl Part {
    #[inline(always)]
    pub fn of(self, code: i64) -> i64 {
        match self {
            Part::Whole => code,
            Part::Positive => code.max(0),
            Part::Negative => code.min(0),
        }
    }
}

impl Cut {
    /// A limb of codes of so many bits.
    pub fn new(part: Part, limb: usize, code_bits: u32) -> Cut {
        let is_last = limb + 1 == limbs(code_bits);
        // The last one has the sign.
        Cut { part, shift: LIMB_BITS * limb as u32, mask: if is_last { !0 } else { (1 << LIMB_BITS) - 1 } }
    }

    #[inline(always)]
    fn of(self, code: i64) -> i32 {
        ((code >> self.shift) & self.mask) as i32
    }
}

impl Factor {
    /// A factor in halves; none where it has more than [`FACTOR_BITS_MAX`] bits.
    pub fn new(factor: i64) -> Option<Factor> {
        if let Ok(lower) = i32::try_from(factor) {
            return Some(Factor { lower, upper: 0 });
        }
        let is_short = i64::BITS - factor.unsigned_abs().leading_zeros() <= FACTOR_BITS_MAX;
        let half = (1 << HALF_BITS) - 1;
        is_short.then_some(Factor { lower: (factor & half) as i32, upper: (factor >> HALF_BITS) as i32 })
    }

    /// Adds a code's product to a sum in halves.
    #[inline(always)]
    pub fn add(self, code: i64, cut: Cut, lower: &mut i64, upper: &mut i64) {
        let limb = i64::from(cut.of(cut.part.of(code)));
        *lower = lower.wrapping_add(limb.wrapping_mul(self.lower.into()));
        *upper = upper.wrapping_add(limb.wrapping_mul(self.upper.into()));
    }
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

    /// The sum of `codes[n] · factor[from + n]`, where no code has more than so many bits; none where it
    /// leaves 128 bits.
    pub fn dot<T: Copy + Into<i64>>(&self, codes: &[T], from: usize, code_bits: u32) -> Option<i128> {
        let limb_bits = if limbs(code_bits) == 1 { code_bits } else { LIMB_BITS };
        // The bits of a half, of a limb and of the number of products are 62 together: the least half and the
        // least limb are a power of two each, so that with 63 their products would just not fit.
        let most = 1 << (i64::BITS - 2 - HALF_BITS - limb_bits);
        let mut sum = 0i128;
        for limb in 0..limbs(code_bits) {
            let cut = Cut::new(Part::Whole, limb, code_bits);
            let mut of_limb = 0i128;
            for (at, codes) in codes.chunks(most).enumerate() {
                let start = from + at * most;
                let [lower, upper] = [&self.lower, &self.upper].map(|half| &half[start..start + codes.len()]);
                let (lower, upper) = dot(Machine::best(), codes, cut, lower, upper);
                of_limb += i128::from(lower) + (i128::from(upper) << HALF_BITS);
            }
            sum = of_limb.checked_mul(1 << cut.shift).and_then(|of_limb| sum.checked_add(of_limb))?;
        }
        Some(sum)
    }
}

/// Asks memory for some values, of many for a page of them: from there on it sees by itself what comes next.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE_BYTES: usize = 64;
        const PAGE_LINES: usize = 4_096 / LINE_BYTES;
        let start = values.as_ptr().cast::<i8>();
        for line in 0..size_of_val(values).div_ceil(LINE_BYTES).min(PAGE_LINES) {
            // SAFETY: nothing is read, and the address is within the values.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(line * LINE_BYTES)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// How many limbs codes of so many bits are split into.
pub fn limbs(code_bits: u32) -> usize {
    if code_bits <= ALONE_BITS_MAX { 1 } else { code_bits.div_ceil(LIMB_BITS) as usize }
}

/// Bits that the greatest of some numbers takes, without its sign.
pub fn bits<T: Copy + Into<i64>>(codes: &[T]) -> u32 {
    match Machine::best() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the machine has these features.
        Machine::Avx512 => unsafe { bits_avx512(codes) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Machine::Avx2 => unsafe { bits_avx2(codes) },
        Machine::Plain => bits_anywhere(codes),
    }
}

/// How many numbers go up by one, from this one on, before one does not.
pub fn counted_up(numbers: &[u32], from: u32) -> usize {
    match Machine::best() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the machine has these features.
        Machine::Avx512 => unsafe { counted_up_avx512(numbers, from) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Machine::Avx2 => unsafe { counted_up_avx2(numbers, from) },
        Machine::Plain => counted_up_anywhere(numbers, from),
    }
}

impl Machine {
    /// This machine.
    #[inline]
    pub fn best() -> Machine {
        static BEST: OnceLock<Machine> = OnceLock::new();
        *BEST.get_or_init(|| Machine::all().next().unwrap_or(Machine::Plain))
    }

    /// All whose loops this machine runs, its own first.
    pub fn all() -> impl Iterator<Item = Machine> {
        let of: [(Machine, bool); _] = [
            #[cfg(target_arch = "x86_64")]
            (
                Machine::Avx512,
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq"),
            ),
            #[cfg(target_arch = "x86_64")]
            (Machine::Avx2, is_x86_feature_detected!("avx2")),
            (Machine::Plain, true),
        ];
        of.into_iter().filter(|(_, has)| *has).map(|(machine, _)| machine)
    }

    /// Adds the products of codes with a factor to sums in halves, code by code.
    ///
    /// Exact where the codes are cut to what [`limbs`] says, and where the sums have room.
    ///
    /// # Panics
    /// Where there are fewer sums than codes.
    pub fn add_products<T: Copy + Into<i64>>(
        self,
        codes: &[T],
        cut: Cut,
        factor: Factor,
        lower: &mut [i64],
        upper: &mut [i64],
    ) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only a machine that has these features is said to be one.
            Machine::Avx512 => unsafe { add_avx512(codes, cut, factor, lower, upper) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Machine::Avx2 => unsafe { add_avx2(codes, cut, factor, lower, upper) },
            Machine::Plain => add_anywhere(codes, cut, factor, lower, upper),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn bits_avx512<T: Copy + Into<i64>>(codes: &[T]) -> u32 {
    bits_anywhere(codes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn bits_avx2<T: Copy + Into<i64>>(codes: &[T]) -> u32 {
    bits_anywhere(codes)
}

/// By hand: what the loop below is compiled to compares number by number.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn counted_up_avx512(numbers: &[u32], from: u32) -> usize {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi32, _mm512_cmpneq_epi32_mask, _mm512_loadu_si512,
        _mm512_mask_cmpneq_epi32_mask, _mm512_maskz_loadu_epi32, _mm512_set1_epi32, _mm512_setr_epi32,
    };
    const BLOCK: usize = 16;
    let places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut next = _mm512_add_epi32(_mm512_set1_epi32(from as i32), places);
    let step = _mm512_set1_epi32(BLOCK as i32);
    let (blocks, rest) = numbers.as_chunks::<BLOCK>();
    for (at, block) in blocks.iter().enumerate() {
        // SAFETY: a block is as long as a vector.
        let block = unsafe { _mm512_loadu_si512(block.as_ptr().cast::<__m512i>()) };
        let others = _mm512_cmpneq_epi32_mask(block, next);
        if others != 0 {
            return at * BLOCK + others.trailing_zeros() as usize;
        }
        next = _mm512_add_epi32(next, step);
    }
    let mask = (1u16 << rest.len()) - 1;
    // SAFETY: only as many are read as there are.
    let last = unsafe { _mm512_maskz_loadu_epi32(mask, rest.as_ptr().cast::<i32>()) };
    let others = _mm512_mask_cmpneq_epi32_mask(mask, last, next);
    numbers.len() - rest.len() + rest.len().min(others.trailing_zeros() as usize)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn counted_up_avx2(numbers: &[u32], from: u32) -> usize {
    counted_up_anywhere(numbers, from)
}

#[inline(always)]
fn counted_up_anywhere(numbers: &[u32], from: u32) -> usize {
    (0u32..).zip(numbers).take_while(|(place, number)| **number == from.wrapping_add(*place)).count()
}

#[inline(always)]
fn bits_anywhere<T: Copy + Into<i64>>(codes: &[T]) -> u32 {
    let most = codes.iter().fold(0, |most, &code| {
        let code: i64 = code.into();
        most | (code ^ (code >> 63))
    });
    64 - most.leading_zeros()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn add_avx512<T: Copy + Into<i64>>(
    codes: &[T],
    cut: Cut,
    factor: Factor,
    lower: &mut [i64],
    upper: &mut [i64],
) {
    add_anywhere(codes, cut, factor, lower, upper);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_avx2<T: Copy + Into<i64>>(
    codes: &[T],
    cut: Cut,
    factor: Factor,
    lower: &mut [i64],
    upper: &mut [i64],
) {
    add_anywhere(codes, cut, factor, lower, upper);
}

/// The loop itself: what it is compiled for decides how many lanes it takes. Most codes are taken whole.
#[inline(always)]
fn add_anywhere<T: Copy + Into<i64>>(
    codes: &[T],
    cut: Cut,
    factor: Factor,
    lower: &mut [i64],
    upper: &mut [i64],
) {
    let (lower, upper) = (&mut lower[..codes.len()], &mut upper[..codes.len()]);
    macro_rules! add {
        ($code:ident => $limb:expr) => {
            for ((&code, lower), upper) in codes.iter().zip(lower).zip(upper) {
                let $code: i64 = code.into();
                let limb = i64::from($limb);
                *lower = lower.wrapping_add(limb.wrapping_mul(factor.lower.into()));
                *upper = upper.wrapping_add(limb.wrapping_mul(factor.upper.into()));
            }
        };
    }
    if factor.upper == 0 && (cut.part, cut.shift, cut.mask) == (Part::Whole, 0, -1) {
        for (&code, lower) in codes.iter().zip(lower) {
            let code: i64 = code.into();
            *lower = lower.wrapping_add(i64::from(code as i32).wrapping_mul(factor.lower.into()));
        }
        return;
    }
    match (cut.part, cut.shift, cut.mask) {
        (Part::Whole, 0, -1) => add!(code => code as i32),
        (Part::Whole, ..) => add!(code => cut.of(code)),
        (Part::Positive, ..) => add!(code => cut.of(code.max(0))),
        (Part::Negative, ..) => add!(code => cut.of(code.min(0))),
    }
}

fn dot<T: Copy + Into<i64>>(
    machine: Machine,
    codes: &[T],
    cut: Cut,
    lower: &[i32],
    upper: &[i32],
) -> (i64, i64) {
    match machine {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only a machine that has these features is said to be one.
        Machine::Avx512 => unsafe { dot_avx512(codes, cut, lower, upper) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Machine::Avx2 => unsafe { dot_avx2(codes, cut, lower, upper) },
        Machine::Plain => dot_anywhere(codes, cut, lower, upper),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn dot_avx512<T: Copy + Into<i64>>(codes: &[T], cut: Cut, lower: &[i32], upper: &[i32]) -> (i64, i64) {
    dot_anywhere(codes, cut, lower, upper)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2<T: Copy + Into<i64>>(codes: &[T], cut: Cut, lower: &[i32], upper: &[i32]) -> (i64, i64) {
    dot_anywhere(codes, cut, lower, upper)
}

#[inline(always)]
fn dot_anywhere<T: Copy + Into<i64>>(codes: &[T], cut: Cut, lower: &[i32], upper: &[i32]) -> (i64, i64) {
    let (mut low, mut up) = (0i64, 0i64);
    macro_rules! add {
        ($code:ident => $limb:expr) => {
            for ((&code, &lower), &upper) in codes.iter().zip(lower).zip(upper) {
                let $code: i64 = code.into();
                let limb = i64::from($limb);
                low = low.wrapping_add(limb.wrapping_mul(lower.into()));
                up = up.wrapping_add(limb.wrapping_mul(upper.into()));
            }
        };
    }
    match (cut.shift, cut.mask) {
        (0, -1) => add!(code => code as i32),
        _ => add!(code => cut.of(code)),
    }
    (low, up)
}
