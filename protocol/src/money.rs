//! US dollars, exact. Money is never a float here: a sum of what result lines
//! say equals what a person adds on paper. On the wire it is a JSON number
//! with all its digits; whoever reads that as a double has the nearest one.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::str::FromStr;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Digits behind the point that are kept: a double of ten-millionths of a
/// dollar is printed with 17 significant digits, and all of them are here.
const DECIMALS: u32 = 24;
const ONE: i128 = 10_i128.pow(DECIMALS);
/// Largest amount, US dollars: a thousand of them still fit into one sum.
const MAX_DOLLARS: i128 = 100_000_000_000;
/// Longest text that is read, bytes: a double is printed in at most 25.
const MAX_TEXT: usize = 64;

/// An amount of US dollars with 24 digits behind the point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i128);

/// The text was no amount: no decimal number, negative, or above 100 billion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of US dollars from 0 to 100 billion")]
pub struct BadMoney;

impl Money {
    /// Nothing to pay; not the same as an unknown amount.
    pub const ZERO: Self = Self(0);

    /// What so many units cost at a price per million of them, digit for digit.
    #[must_use]
    pub fn per_million(self, units: u64) -> Self {
        // A price of cents is far above the last digit: nothing is cut off before the division.
        Self(self.0.saturating_mul(i128::from(units)) / 1_000_000)
    }

    /// The nearest double: for showing, never for adding.
    #[must_use]
    pub fn nearest_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::MAX)
    }

    /// To the cent for people, `0.13` of 0.125: half up on the decimal digits. They are those of the nearest double,
    /// which is all that a page's script has: so an amount reads the same wherever it is shown.
    #[must_use]
    pub fn to_cents(self) -> String {
        let text = self.nearest_f64().to_string();
        let (dollars, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut digits = fraction.bytes().map(|digit| u64::from(digit - b'0'));
        let mut digit = || digits.next().unwrap_or(0);
        let cents = digit() * 10 + digit() + u64::from(digit() >= 5);
        let dollars = dollars.parse::<u64>().unwrap_or(u64::MAX / 100);
        format!("{}.{:02}", dollars + cents / 100, cents % 100)
    }

    /// This without that; none where that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        (self >= other).then(|| Self(self.0 - other.0))
    }

    /// This and that; it stops at the largest amount that can be told.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl FromStr for Money {
    type Err = BadMoney;

    /// Reads a decimal number as JSON and people write it: `4`, `0.25`,
    /// `3.1e-5`. What lies behind the 24th digit is rounded half up.
    fn from_str(text: &str) -> Result<Self, BadMoney> {
        if text.len() > MAX_TEXT {
            return Err(BadMoney);
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().map_err(|_| BadMoney)?),
            None => (text, 0_i32),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadMoney);
        }
        // The value is 0.digits * 10^point.
        let point = i32::try_from(whole.len())
            .ok()
            .and_then(|whole| whole.checked_add(exponent))
            .ok_or(BadMoney)?;
        let mut units: i128 = 0;
        for (place, digit) in (0_i32..).zip(digits.bytes().map(|byte| i128::from(byte - b'0'))) {
            // How many places this digit stands before the last one that is kept.
            let left = i128::from(point) + i128::from(DECIMALS) - 1 - i128::from(place);
            match left {
                _ if digit == 0 => {}
                0.. => {
                    let power = u32::try_from(left)
                        .ok()
                        .and_then(|n| 10_i128.checked_pow(n));
                    let value = power.and_then(|power| power.checked_mul(digit));
                    units = value
                        .and_then(|value| units.checked_add(value))
                        .ok_or(BadMoney)?;
                }
                -1 if digit >= 5 => units += 1,
                _ => {}
            }
        }
        if units > MAX_DOLLARS * ONE {
            return Err(BadMoney);
        }
        Ok(Self(units))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / ONE, self.0 % ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:024}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_told_as_they_were_written() {
        for text in [
            "0",
            "4",
            "0.24176750000000002",
            "0.0031249999999999997",
            "4.12",
        ] {
            assert_eq!(money(text).to_string(), text);
            assert_eq!(serde_json::to_string(&money(text)).unwrap(), text);
        }
        assert_eq!(money("3.2e-7").to_string(), "0.00000032");
        assert_eq!(money("1.20").to_string(), "1.2");
        assert_eq!(money("1.5E+2").to_string(), "150");
        assert_eq!(money("0e999999999"), Money::ZERO);
    }

    #[test]
    fn a_sum_is_exact_where_doubles_are_not() {
        let tenths: Money = (0..10).map(|_| money("0.1")).sum();
        assert_eq!(tenths, money("1"));
        let sum: Money = ["0.0031249999999999997", "0.2386425"]
            .map(money)
            .into_iter()
            .sum();
        assert_eq!(sum.to_string(), "0.2417674999999999997");
    }

    #[test]
    fn cents_are_rounded_half_up_on_the_decimal() {
        for (amount, cents) in [
            ("0", "0.00"),
            ("4", "4.00"),
            ("0.125", "0.13"),
            ("2.135", "2.14"),
            ("1.005", "1.01"),
            ("0.1249", "0.12"),
            ("0.004999", "0.00"),
            ("0.005", "0.01"),
            ("9.995", "10.00"),
            ("2.00000000000000004", "2.00"),
            // A sum of doubles that misses the half by less than a double can tell.
            ("0.2349999999999999997", "0.24"),
            ("0.0000001", "0.00"),
            ("100000000000", "100000000000.00"),
        ] {
            assert_eq!(money(amount).to_cents(), cents, "{amount}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "NaN",
            "1e30",
            "1e",
            "0x1",
            "1.2.3",
            "1 ",
            "9e999999999999",
        ] {
            assert_eq!(text.parse::<Money>(), Err(BadMoney), "{text}");
        }
        assert!(serde_json::from_str::<Money>("\"1\"").is_err());
        assert!(serde_json::from_str::<Money>("null").is_err());
    }

    #[test]
    fn a_price_per_million_is_multiplied_digit_for_digit() {
        assert_eq!(money("6.25").per_million(13_704).to_string(), "0.08565");
        assert_eq!(money("0.5").per_million(214_365).to_string(), "0.1071825");
    }

    proptest! {
        #[test]
        fn a_double_survives_every_way_it_is_carried(usd in 0.0_f64..1e9) {
            let amount = money(&usd.to_string());
            prop_assert_eq!(amount.nearest_f64(), if usd < 1e-7 { amount.nearest_f64() } else { usd });
            let text = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), amount);
            // By way of a `Value`, as frames of the stream go.
            let value = serde_json::to_value(amount).unwrap();
            prop_assert_eq!(value.as_f64(), Some(amount.nearest_f64()));
            let back: Money = serde_json::from_value(value).unwrap();
            prop_assert_eq!(back.nearest_f64(), amount.nearest_f64());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.eE+-]{0,70}") {
            let _ = text.parse::<Money>();
        }

        #[test]
        fn value_and_text_agree(cents in 0_u64..1_000_000_000) {
            let value: Value = serde_json::from_str(&format!("{}.{:02}", cents / 100, cents % 100)).unwrap();
            let amount: Money = serde_json::from_value(value).unwrap();
            prop_assert_eq!(amount, money(&format!("{}.{:02}", cents / 100, cents % 100)));
        }
    }
}
