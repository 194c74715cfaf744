//! Columns as narrow as their values, and exact sums of products over them.

use proptest::prelude::*;
use tickview::view::kernel::{FACTOR_BITS_MAX, HALF_BITS, Halves, bits};
use tickview::view::packed::Packed;

/// Values as sums have them: nothing, counts, lots, cents, and now and then one of any width.
fn value() -> impl Strategy<Value = i128> {
    prop_oneof![
        4 => Just(0i128),
        2 => -3i128..100,
        3 => (-100_000i128..100_000).prop_map(|lots| lots * 1_000_000),
        2 => (-1_000_000i128..1_000_000).prop_map(|cents| cents * 10_000),
        1 => any::<i64>().prop_map(i128::from),
        1 => i128::MIN / 4..i128::MAX / 4,
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Grow,
    Set(usize, i128),
    Add(usize, i128),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Grow),
        3 => (any::<usize>(), value()).prop_map(|(row, value)| Step::Set(row, value)),
        3 => (any::<usize>(), value()).prop_map(|(row, value)| Step::Add(row, value)),
        1 => any::<usize>().prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_packed_column_is_a_plain_one(steps in prop::collection::vec(step(), 1..120)) {
        let (mut packed, mut plain) = (Packed::default(), Vec::<i128>::new());
        for step in steps {
            let len = plain.len();
            match step {
                Step::Grow => {
                    packed.grow();
                    plain.push(0);
                }
                _ if len == 0 => continue,
                Step::Set(row, value) => {
                    packed.set(row % len, value);
                    plain[row % len] = value;
                }
                Step::Add(row, value) => {
                    let sum = plain[row % len].checked_add(value);
                    prop_assert_eq!(packed.add(row % len, value), sum.is_some());
                    plain[row % len] = sum.unwrap_or(plain[row % len]);
                }
                Step::Remove(row) => {
                    packed.swap_remove(row % len);
                    plain.swap_remove(row % len);
                }
            }
            prop_assert_eq!(packed.len(), plain.len());
            let values: Vec<i128> = (0..plain.len()).map(|row| packed.get(row)).collect();
            prop_assert_eq!(&values, &plain);
        }
    }

    #[test]
    fn sums_of_products_are_exact(
        codes in prop::collection::vec(any::<i32>(), 0..200),
        narrowed in 0u32..32,
        factor_bits in 0..=FACTOR_BITS_MAX,
        seeds in prop::collection::vec(any::<i64>(), 200),
        from in 0usize..64,
    ) {
        // As many bits as a run of this length leaves room for.
        let count_bits = usize::BITS - codes.len().leading_zeros();
        let room = i64::BITS - 1 - HALF_BITS - count_bits;
        let shift = narrowed.max(31u32.saturating_sub(room));
        let codes: Vec<i32> = codes.into_iter().map(|code| code >> shift).collect();
        prop_assert!(bits(&codes) <= room);
        let factors: Vec<i64> =
            seeds.iter().map(|seed| seed >> (i64::BITS - 1 - factor_bits)).collect();
        let from = from.min(factors.len() - codes.len());
        let mut halves = Halves::default();
        halves.set(factors.iter().copied());
        let expected: i128 = codes
            .iter()
            .zip(&factors[from..])
            .map(|(&code, &factor)| i128::from(code) * i128::from(factor))
            .sum();
        prop_assert_eq!(halves.dot(&codes, from), expected);
    }
}

#[test]
fn the_greatest_codes_and_factors_add_up() {
    let most = (1i64 << FACTOR_BITS_MAX) - 1;
    for factor in [most, -most, 1 << HALF_BITS, -1] {
        for (code, count) in [((1 << 21) - 1, 1_023), (-(1 << 21), 1_023), (i32::from(i16::MIN), 65_535)] {
            let codes = vec![code; count];
            let mut halves = Halves::default();
            halves.set(std::iter::repeat_n(factor, count));
            let expected = i128::from(code) * i128::from(factor) * count as i128;
            assert_eq!(halves.dot(&codes, 0), expected, "{count} times {code} of {factor}");
        }
    }
}
