//! Floats, as client_python prints them.
//!
//! Owns the one rendering of a number that every exposition shares, so that our output and
//! client_python's can be compared byte by byte. Knows no metrics.

use std::io::Write;

/// Appends `value` as `floatToGoString` of client_python 0.26.0 (utils.py) renders it.
///
/// The digits are the fewest that read back as the same float. A positive number has an exponent
/// from 1e+06 on, as in Go; a negative one from 1e+16 on, as in Python.
#[inline]
pub(super) fn write(value: f64, out: &mut Vec<u8>) {
    let integer = value as i64;
    // -0.0 has a sign that an integer lacks. All integers below 2^53 are floats, so no digit of one
    // can be spared but for zeros at its end.
    let is_exact = integer as f64 == value && integer.unsigned_abs() < 1 << 53;
    if is_exact && (integer != 0 || value.is_sign_positive()) {
        write_integer(integer, out);
    } else if value.is_finite() {
        write_float(value, out);
    } else {
        // [exposition.float.special]
        out.extend_from_slice(special_name(value).as_bytes());
    }
}

/// The name of a float that is not finite.
pub(super) fn special_name(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    let mut buffer = [0; 20];
    let digits = decimal_digits(value.unsigned_abs(), &mut buffer);
    if value >= 1_000_000 {
        let end = digits.iter().rposition(|&digit| digit != b'0');
        let significant = &digits[..end.map_or(1, |end| end + 1)];
        write_scientific(significant, digits.len() as i32 - 1, out);
    } else {
        if value < 0 {
            out.push(b'-');
        }
        out.extend_from_slice(digits);
        out.extend_from_slice(b".0");
    }
}

#[inline(never)]
fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut decimal = Decimal::shortest(value.abs());
    decimal.settle_tie(value.abs());
    let (digits, exponent) = (decimal.digits(), decimal.exponent);

    // [exposition.float.exponent]
    let limit = if value < 0.0 { 16 } else { 6 };
    if exponent < -4 || exponent >= limit {
        write_scientific(digits, exponent, out);
    } else {
        write_plain(digits, exponent, out);
    }
}

/// Digits, the first of which weighs 10 to the power of the exponent.
struct Decimal {
    buffer: [u8; 32],
    length: usize,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that read back as `value`, which is positive.
    fn shortest(value: f64) -> Decimal {
        Decimal::parse(|mut rest| {
            write!(rest, "{value:e}").expect("17 digits, a point and e-324 fit 32 bytes");
            rest.len()
        })
    }

    /// Exactly `count` digits.
    fn rounded(value: f64, count: usize) -> Decimal {
        let precision = count - 1;
        Decimal::parse(|mut rest| {
            write!(rest, "{value:.precision$e}")
                .expect("18 digits, a point and e-324 fit 32 bytes");
            rest.len()
        })
    }

    /// Reads what `write` prints; `write` returns how many bytes it left.
    fn parse(write: impl FnOnce(&mut [u8]) -> usize) -> Decimal {
        let mut buffer = [0; 32];
        let end = buffer.len() - write(&mut buffer);
        let mark = buffer.iter().position(|&byte| byte == b'e').unwrap_or(end);
        let exponent = match &buffer[(mark + 1).min(end)..end] {
            [b'-', digits @ ..] => -integer(digits),
            digits => integer(digits),
        };
        // Closes the gap that the point leaves.
        buffer.copy_within(2.min(mark)..mark, 1);
        Decimal {
            buffer,
            length: if mark > 1 { mark - 1 } else { mark },
            exponent,
        }
    }

    fn digits(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Where two decimals of this length are equally near, Python takes the even one, as far as
    /// that reads back; Rust does not promise which it takes.
    fn settle_tie(&mut self, value: f64) {
        // [exposition.float.tie]
        // An odd multiple of 2^-n has n decimal places, the last of them a 5. It is a tie if that 5
        // is the one digit that is missing.
        let places = self.length as i32 - 1 - self.exponent;
        if places + 1 != binary_places(value) || self.buffer[self.length - 1].is_multiple_of(2) {
            return;
        }
        let mut even = Decimal::rounded(value, self.length + 1);
        even.length = self.length;
        // No 9 is left to carry: a tie after a 9 would be nearer to a shorter decimal.
        even.buffer[self.length - 1] += even.buffer[self.length - 1] % 2;
        if even.reads_back(value) {
            *self = even;
        }
    }

    fn reads_back(&self, value: f64) -> bool {
        let mut text = Vec::with_capacity(32);
        write_scientific(self.digits(), self.exponent, &mut text);
        let text = std::str::from_utf8(&text);
        text.is_ok_and(|text| text.parse() == Ok(value))
    }
}

/// The least `n` for which `value` is a multiple of 2^-n.
fn binary_places(value: f64) -> i32 {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i32;
    let mantissa = bits & ((1 << 52) - 1) | u64::from(exponent != 0) << 52;
    1075 - exponent.max(1) - mantissa.trailing_zeros() as i32
}

fn integer(digits: &[u8]) -> i32 {
    digits
        .iter()
        .fold(0, |all, &digit| all * 10 + i32::from(digit - b'0'))
}

/// `1.25e+06`; the exponent has two digits at least.
fn write_scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    let mut buffer = [0; 20];
    out.extend_from_slice(decimal_digits(exponent.unsigned_abs().into(), &mut buffer));
}

/// `125.0`, `0.0125`.
fn write_plain(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let zeros = |count: usize| std::iter::repeat_n(b'0', count);
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(zeros((-exponent - 1) as usize));
        out.extend_from_slice(digits);
        return;
    }
    let whole = exponent as usize + 1;
    let (before, after) = digits.split_at(whole.min(digits.len()));
    out.extend_from_slice(before);
    out.extend(zeros(whole - before.len()));
    out.push(b'.');
    out.extend_from_slice(if after.is_empty() { b"0" } else { after });
}

/// The digits of `value`, written at the end of `buffer`.
fn decimal_digits(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    // [exposition.float.digits] [exposition.float.tie] [exposition.float.exponent]
    // [exposition.float.special]
    #[test]
    fn floats_are_printed_as_client_python_prints_them() {
        // From floatToGoString of prometheus_client 0.26.0 under CPython 3.11.
        let vectors = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.00012345, "-0.00012345"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (99999.0, "99999.0"),
            (100000.0, "100000.0"),
            (999999.0, "999999.0"),
            (999999.5, "999999.5"),
            (1e6, "1e+06"),
            (1000001.0, "1.000001e+06"),
            (1234567.25, "1.23456725e+06"),
            (-1e6, "-1000000.0"),
            (-1234567.25, "-1234567.25"),
            (1e15, "1e+15"),
            (-1e15, "-1000000000000000.0"),
            (9007199254740991.0, "9.007199254740991e+15"),
            (-9007199254740993.0, "-9007199254740992.0"),
            (1e16, "1e+16"),
            (-1e16, "-1e+16"),
            (1e21, "1e+21"),
            (1e23, "1e+23"),
            (1.0 + 2f64.powi(-17), "1.0000076293945312"),
            (8441961263153545.0 / 4.0, "2.1104903157883862e+15"),
            (-8441961263153547.0 / 4.0, "-2110490315788386.8"),
            (2f64.powi(-24), "5.960464477539063e-08"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
        ];
        for (value, expected) in vectors {
            assert_eq!(string(value), expected);
        }
    }

    #[test]
    fn every_power_of_two_reads_back() {
        for exponent in -1074..1024 {
            let value = 2f64.powi(exponent);
            assert_eq!(string(value).parse(), Ok(value));
            assert_eq!(string(-value).parse(), Ok(-value));
        }
    }
}
