//! One value of a table cell as a 128-bit integer, and exact decimals between text and that integer.
//!
//! Every column fits: decimals are scaled integers, text is a dictionary code, a date counts days and a
//! timestamp microseconds since 1970. So keys compare, hash and join as integers, and no value ever
//! passes through a binary float. The type of a datum stands in its column, never in the datum.

use datafusion::arrow::datatypes::i256;

/// A value whose type its column knows; [`NULL`] where there is none.
pub type Datum = i128;

/// No value. It lies outside every type's range, so it needs no validity bit.
pub const NULL: Datum = i128::MIN;

/// The most digits a decimal has, in SQL and here.
pub const DIGITS_MAX: u8 = 38;

/// Why a text is no decimal of the wanted shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    #[error("not a decimal number")]
    Syntax,
    #[error("more than {0} digits after the point")]
    Scale(u8),
    #[error("more than {0} digits before the point")]
    Range(u8),
}

/// Ten to the power of `exponent`, at most 38.
pub const fn power_of_ten(exponent: u8) -> i128 {
    POWERS[exponent as usize]
}

const POWERS: [i128; DIGITS_MAX as usize + 1] = {
    let mut powers = [1; DIGITS_MAX as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Parses a JSON number, or the same in a string, into an integer scaled by `10^scale`.
///
/// Zeros beyond the scale are no digits: `1.50` fits scale 1.
///
/// # Errors
/// [`DecimalError`] where the text is no number, or needs rounding, or is out of range.
pub fn parse_decimal(text: &str, precision: u8, scale: u8) -> Result<Datum, DecimalError> {
    let bytes = text.as_bytes();
    let (negative, rest) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    let mantissa_end = rest.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(rest.len());
    let exponent: i32 = match rest.get(mantissa_end + 1..) {
        None => 0,
        Some(digits) => {
            std::str::from_utf8(digits).ok().and_then(|t| t.parse().ok()).ok_or(DecimalError::Syntax)?
        }
    };
    let mantissa = &rest[..mantissa_end];
    let point = mantissa.iter().position(|&b| b == b'.').unwrap_or(mantissa.len());
    let integer = &mantissa[..point];
    let fraction = mantissa.get(point + 1..).unwrap_or(&[]);
    if integer.is_empty() || (point < mantissa.len() && fraction.is_empty()) {
        return Err(DecimalError::Syntax);
    }
    let mut value = 0i128;
    // The digit at `place` counts 10^place; one pass, leading zeros are free.
    let place_first = integer.len() as i32 - 1 + exponent.clamp(-10_000, 10_000);
    for (at, &digit) in integer.iter().chain(fraction).enumerate() {
        if !digit.is_ascii_digit() {
            return Err(DecimalError::Syntax);
        }
        let place = place_first - at as i32;
        if digit == b'0' {
            continue;
        }
        if place < -i32::from(scale) {
            return Err(DecimalError::Scale(scale));
        }
        if place >= i32::from(precision - scale) {
            return Err(DecimalError::Range(precision - scale));
        }
        value += i128::from(digit - b'0') * power_of_ten((place + i32::from(scale)) as u8);
    }
    Ok(if negative { -value } else { value })
}

/// Writes a scaled integer in plain notation without trailing zeros: `-0.5`, `120`, `0`.
pub fn format_decimal(value: Datum, scale: u8) -> String {
    let digits = value.unsigned_abs().to_string();
    let scale = usize::from(scale);
    let padded = if digits.len() <= scale { format!("{digits:0>width$}", width = scale + 1) } else { digits };
    let (integer, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{integer}") } else { format!("{sign}{integer}.{fraction}") }
}

/// Divides by `divisor > 0` and rounds half to even.
pub fn divide_half_even(value: i128, divisor: i128) -> i128 {
    debug_assert!(divisor > 0);
    let quotient = match (i64::try_from(value), i64::try_from(divisor)) {
        // One instruction instead of a call.
        (Ok(value), Ok(divisor)) => i128::from(value / divisor),
        _ => value / divisor,
    };
    let remainder = (value - quotient * divisor).unsigned_abs();
    // remainder < divisor ≤ i128::MAX, so its double fits u128.
    let away = match (2 * remainder).cmp(&divisor.unsigned_abs()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
    };
    if away { quotient + if value < 0 { -1 } else { 1 } } else { quotient }
}

/// The exact product of scaled integers, rounded half to even to `scale_to` decimals.
///
/// `None` where the result has more than 38 digits: it is no value rather than a wrong one.
pub fn round_product(factors: &[(i128, u8)], scale_to: u8) -> Option<i128> {
    let mut scale: i32 = 0;
    let mut narrow = Some(1i128);
    for &(value, factor_scale) in factors {
        scale += i32::from(factor_scale);
        match exponent_of_ten(value) {
            // A factor of 1, 100 or 0.01, as most multipliers and price scales are, costs no digits.
            Some(exponent) => scale -= i32::from(exponent),
            None => narrow = narrow.and_then(|product| product.checked_mul(value)),
        }
    }
    let shift = scale - i32::from(scale_to);
    if let Some(product) = narrow {
        match shift {
            -38..=0 => return bounded(product.checked_mul(power_of_ten(-shift as u8))?),
            1..=38 => return bounded(divide_half_even(product, power_of_ten(shift as u8))),
            _ => {}
        }
    }
    round_product_wide(factors, scale_to.into())
}

/// Which power of ten a value is, if any.
fn exponent_of_ten(value: i128) -> Option<u8> {
    if value <= 0 {
        return None;
    }
    // 1233 / 4096 is a little more than log10(2), so this is the exponent or one more.
    let exponent = ((i128::BITS - value.leading_zeros()) * 1233) >> 12;
    let exponents = [exponent.saturating_sub(1), exponent];
    exponents.into_iter().find(|&at| POWERS.get(at as usize) == Some(&value)).map(|at| at as u8)
}

#[cold]
fn round_product_wide(factors: &[(i128, u8)], scale_to: u32) -> Option<i128> {
    // Dropping trailing zeros keeps the product of full decimals within 256 bits, and most within 128.
    let mut product = i256::ONE;
    let mut narrow = Some(1i128);
    let mut scale = 0;
    for &(value, factor_scale) in factors {
        let (value, left) = without_trailing_zeros(value, factor_scale);
        scale += u32::from(left);
        narrow = narrow.and_then(|product| product.checked_mul(value));
        product = product.checked_mul(i256::from_i128(value))?;
    }
    if let Some(product) = narrow
        && (scale_to..=scale_to + 38).contains(&scale)
    {
        return bounded(divide_half_even(product, power_of_ten((scale - scale_to) as u8)));
    }
    let ten = i256::from_i128(10);
    if scale <= scale_to {
        return bounded(product.checked_mul(ten.checked_pow(scale_to - scale)?)?.to_i128()?);
    }
    let Some(divisor) = ten.checked_pow(scale - scale_to) else { return Some(0) };
    divide_half_even_wide(product, divisor).and_then(bounded)
}

/// The same value with fewer digits after the point, where its last ones are zeros.
fn without_trailing_zeros(value: i128, scale: u8) -> (i128, u8) {
    if let Ok(mut short) = i64::try_from(value) {
        let mut left = scale;
        while left > 0 && short != 0 && short % 10 == 0 {
            short /= 10;
            left -= 1;
        }
        return (short.into(), left);
    }
    let (mut value, mut left) = (value, scale);
    while left > 0 && value % 10 == 0 {
        value /= 10;
        left -= 1;
    }
    (value, left)
}

/// `numerator ÷ denominator` of scaled integers, rounded half to even to `scale_to` decimals.
///
/// `None` for a zero denominator, and where the result has more than 38 digits.
pub fn round_quotient(numerator: (i128, u8), denominator: (i128, u8), scale_to: u8) -> Option<i128> {
    if denominator.0 == 0 {
        return None;
    }
    let sign = if denominator.0 < 0 { -1 } else { 1 };
    let shift = i32::from(scale_to) + i32::from(denominator.1) - i32::from(numerator.1);
    if let 0..=38 = shift
        && let Some(top) = numerator.0.checked_mul(sign)
        && let Some(top) = top.checked_mul(power_of_ten(shift as u8))
        && let Some(bottom) = denominator.0.checked_mul(sign)
    {
        return bounded(divide_half_even(top, bottom));
    }
    let ten = i256::from_i128(10);
    let mut top = i256::from_i128(numerator.0).checked_mul(i256::from_i128(sign))?;
    let mut bottom = i256::from_i128(denominator.0).checked_mul(i256::from_i128(sign))?;
    match shift {
        0.. => top = top.checked_mul(ten.checked_pow(shift as u32)?)?,
        _ => bottom = bottom.checked_mul(ten.checked_pow(shift.unsigned_abs())?)?,
    }
    divide_half_even_wide(top, bottom).and_then(bounded)
}

fn divide_half_even_wide(value: i256, divisor: i256) -> Option<i128> {
    let quotient = value.checked_div(divisor)?;
    let remainder = value.checked_rem(divisor)?.checked_abs()?;
    // Compares with the rest of the divisor, since doubling a remainder could overflow.
    let away = match remainder.cmp(&divisor.checked_sub(remainder)?) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient.checked_rem(i256::from_i128(2))? != i256::ZERO,
    };
    let step = if value < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
    if away { quotient.checked_add(step)?.to_i128() } else { quotient.to_i128() }
}

/// The value, unless it has more than 38 digits and so is no decimal that SQL can hold.
fn bounded(value: i128) -> Option<i128> {
    (value.unsigned_abs() < power_of_ten(DIGITS_MAX).unsigned_abs()).then_some(value)
}
