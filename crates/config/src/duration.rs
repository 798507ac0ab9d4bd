//! Durations as Go writes them: `1h30m`, `60s`, `300ms`, `1.5h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in Go's notation, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(Duration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("a duration is empty; write a number with a unit, such as 90s or 1h30m")]
    Empty,
    /// Durations are not negative here.
    #[error("{0:?} is negative; a duration is at least 0s")]
    Negative(String),
    /// A number without a unit.
    #[error("{0:?} has no unit; write for example {0}s or {0}m")]
    NoUnit(String),
    /// A unit that Go does not have.
    #[error("{text:?} has the unknown unit {unit:?}; use h, m, s, ms, us or ns{days}", days = days_hint(unit))]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit found in it.
        unit: String,
    },
    /// Not of the form at all.
    #[error("{0:?} is not a duration; write a number with a unit, such as 90s or 1h30m")]
    Malformed(String),
    /// More than 2^63 nanoseconds, which Go cannot hold.
    #[error("{0:?} is longer than 2562047h, the longest duration that can be written")]
    TooLong(String),
}

fn days_hint(unit: &str) -> &'static str {
    match unit {
        "d" | "day" | "days" => " (a day is 24h)",
        "w" | "week" | "weeks" => " (a week is 168h)",
        _ => "",
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

impl GoDuration {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.0
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(DurationError::Empty);
        }
        if rest.starts_with('-') {
            return Err(DurationError::Negative(text.to_owned()));
        }
        rest = rest.strip_prefix('+').unwrap_or(rest);
        if rest == "0" {
            return Ok(Self::default());
        }
        let mut nanos: u128 = 0;
        while !rest.is_empty() {
            let (part, after) = component(rest, text)?;
            nanos = nanos.saturating_add(part);
            rest = after;
        }
        if nanos > i64::MAX as u128 {
            return Err(DurationError::TooLong(text.to_owned()));
        }
        let nanos = u64::try_from(nanos).map_err(|_| DurationError::TooLong(text.to_owned()))?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

/// Reads one number and unit from the front of `rest`; returns its nanoseconds and what follows.
fn component<'a>(rest: &'a str, text: &str) -> Result<(u128, &'a str), DurationError> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
    let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationError::Malformed(text.to_owned()));
    }
    let nanos_per_unit: u128 = match unit {
        "" => return Err(DurationError::NoUnit(text.trim().to_owned())),
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return Err(DurationError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() }),
    };
    let too_long = || DurationError::TooLong(text.to_owned());
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| too_long())? };
    // Digits beyond the eighteenth are below a nanosecond for every unit.
    let fraction: String = fraction.chars().take(18).collect();
    let mut nanos = u128::from(whole) * nanos_per_unit;
    if let Ok(digits) = fraction.parse::<u128>() {
        let places = u32::try_from(fraction.len()).unwrap_or(0);
        nanos += digits * nanos_per_unit / 10_u128.pow(places);
    }
    Ok((nanos, after))
}

impl fmt::Display for GoDuration {
    /// The shortest of Go's notations: `1h30m`, `1m`, `1.5s`, `300ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let nanos = self.0.subsec_nanos();
        if seconds == 0 {
            return match nanos {
                0 => f.write_str("0s"),
                n if n % 1_000_000 == 0 => write!(f, "{}ms", n / 1_000_000),
                n if n % 1_000 == 0 => write!(f, "{}us", n / 1_000),
                n => write!(f, "{n}ns"),
            };
        }
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        match (seconds, nanos) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, "{seconds}s"),
            _ => write!(f, "{}s", format!("{seconds}.{nanos:09}").trim_end_matches('0')),
        }
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = GoDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 90s or 1h30m")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<GoDuration, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<GoDuration, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<GoDuration, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Duration, DurationError> {
        text.parse::<GoDuration>().map(GoDuration::get)
    }

    #[test]
    fn go_notations_are_read() {
        for (text, expected) in [
            ("1h30m", Duration::from_secs(5400)),
            ("60s", Duration::from_secs(60)),
            ("300ms", Duration::from_millis(300)),
            ("1.5h", Duration::from_secs(5400)),
            (".5s", Duration::from_millis(500)),
            ("2.s", Duration::from_secs(2)),
            ("1h1m1s1ms1us1ns", Duration::new(3661, 1_001_001)),
            ("7µs", Duration::from_micros(7)),
            ("0", Duration::ZERO),
            ("+5m", Duration::from_secs(300)),
            ("0.000000001s", Duration::from_nanos(1)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_duration_is_said() {
        for (text, expected) in [
            ("", "empty"),
            ("60", "write for example 60s"),
            ("-1s", "negative"),
            ("7d", "a day is 24h"),
            ("1 h", "unknown unit"),
            ("1.2.3s", "not a duration"),
            ("s", "not a duration"),
            (".", "not a duration"),
            ("9999999999h", "longer than"),
            ("99999999999999999999999s", "longer than"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn display_is_the_shortest_notation() {
        for text in ["0s", "1ns", "1us", "300ms", "1s", "1.5s", "1m", "1m0.25s", "1h30m", "168h", "1h1s"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_number_without_unit_is_refused_in_a_file_too() {
        let error = serde_json::from_str::<GoDuration>("60").unwrap_err().to_string();
        assert!(error.contains("has no unit"), "{error}");
        assert_eq!(serde_json::from_str::<GoDuration>("\"60s\"").unwrap(), GoDuration::from_secs(60));
    }

    proptest! {
        #[test]
        fn display_reads_back_as_the_same_duration(nanos in 0..=i64::MAX as u64) {
            let duration = GoDuration::from(Duration::from_nanos(nanos));
            prop_assert_eq!(duration.to_string().parse::<GoDuration>(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<GoDuration>();
        }
    }
}
