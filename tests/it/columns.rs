//! Columns as narrow as their values, and exact sums of products over them.

use proptest::prelude::*;
use tickview::view::kernel::{
    Cut, FACTOR_BITS_MAX, Factor, HALF_BITS, Halves, LIMB_BITS, Machine, Part, bits, counted_up, limbs,
};
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
        codes in prop::collection::vec(any::<i64>(), 0..200),
        code_bits in 0u32..56,
        factor_bits in 0..=FACTOR_BITS_MAX,
        seeds in prop::collection::vec(any::<i64>(), 200),
        from in 0usize..64,
    ) {
        let codes: Vec<i64> = codes.iter().map(|code| code >> (i64::BITS - 1 - code_bits)).collect();
        prop_assert!(bits(&codes) <= code_bits);
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
        prop_assert_eq!(halves.dot(&codes, from, bits(&codes)), Some(expected));
    }

    /// Codes of every length and sign, cut into limbs, by every loop that the machine runs.
    #[test]
    fn products_are_the_same_on_every_machine(
        codes in prop::collection::vec((any::<i64>(), 0u32..64), 1..150),
        longest in 0u32..64,
        factor in any::<i64>(),
        factor_bits in 0..=FACTOR_BITS_MAX,
        part in prop_oneof![Just(Part::Whole), Just(Part::Positive), Just(Part::Negative)],
    ) {
        let codes: Vec<i64> =
            codes.iter().map(|(code, shift)| code >> (i64::BITS - 1 - longest.min(*shift))).collect();
        let factor = factor >> (i64::BITS - 1 - factor_bits);
        let of = |code: i64| match part {
            Part::Whole => code,
            Part::Positive => code.max(0),
            Part::Negative => code.min(0),
        };
        let expected: Vec<i128> =
            codes.iter().map(|&code| i128::from(of(code)) * i128::from(factor)).collect();
        let halves = Factor::new(factor).expect("a factor of few bits has halves");
        for machine in Machine::all() {
            let mut sums = vec![0i128; codes.len()];
            for limb in 0..limbs(bits(&codes)) {
                let (mut lower, mut upper) = (vec![0; codes.len()], vec![0; codes.len()]);
                let cut = Cut::new(part, limb, bits(&codes));
                machine.add_products(&codes, cut, halves, &mut lower, &mut upper);
                for ((sum, lower), upper) in sums.iter_mut().zip(lower).zip(upper) {
                    let of_limb = i128::from(lower) + (i128::from(upper) << HALF_BITS);
                    *sum += of_limb << (LIMB_BITS * limb as u32);
                }
            }
            prop_assert_eq!(&sums, &expected, "{:?}", machine);
        }
    }

    #[test]
    fn numbers_are_counted_up_to_the_first_that_is_another(
        from in any::<u32>(),
        good in 0usize..300,
        rest in prop::collection::vec(any::<u32>(), 0..80),
    ) {
        let up = |at: usize| from.wrapping_add(at as u32);
        let numbers: Vec<u32> = (0..good).map(up).chain(rest).collect();
        let expected = numbers.iter().enumerate().take_while(|&(at, &number)| number == up(at)).count();
        prop_assert_eq!(counted_up(&numbers, from), expected);
    }
}

#[test]
fn the_greatest_codes_and_factors_add_up() {
    let most = (1i64 << FACTOR_BITS_MAX) - 1;
    for factor in [most, -most, 1 << HALF_BITS, -(1 << HALF_BITS), i64::from(i32::MIN), -1] {
        let many =
            [((1 << 21) - 1, 1_023), (-(1 << 26), 257), (i32::MIN, 300), (i32::from(i16::MIN), 65_535)];
        for (code, count) in many {
            let codes = vec![code; count];
            let mut halves = Halves::default();
            halves.set(std::iter::repeat_n(factor, count));
            let expected = i128::from(code) * i128::from(factor) * count as i128;
            let sum = halves.dot(&codes, 0, bits(&codes));
            assert_eq!(sum, Some(expected), "{count} times {code} of {factor}");
        }
    }
}
