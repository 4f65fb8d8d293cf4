use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A calendar date from 0001-01-01 to 9999-12-31, written and stored as `2011-01-02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    // In this order, so that the derived comparison is that of the calendar.
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The date, if the calendar has it.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Date> {
        let year = u16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?;
        let day = u8::try_from(day).ok().filter(|day| (1..=days_in_month(year, month)).contains(day))?;
        Some(Date { year, month: u8::try_from(month).ok()?, day })
    }

    /// 1 to 9999.
    pub fn year(self) -> i32 {
        self.year.into()
    }

    /// 1 to 12.
    pub fn month(self) -> u32 {
        self.month.into()
    }

    /// 1 to 31.
    pub fn day(self) -> u32 {
        self.day.into()
    }
}

/// 0 for a month that there is not.
fn days_in_month(year: u16, month: u32) -> u8 {
    let leap_year = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap_year => 29,
        2 => 28,
        0 | 13.. => 0,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Not a date of the form `2011-01-02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a date of the form 2011-01-02")]
pub struct ParseDateError;

impl FromStr for Date {
    type Err = ParseDateError;

    fn from_str(text: &str) -> Result<Date, ParseDateError> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| -> Option<u32> {
            let part = parts.next()?;
            let is_whole = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_whole { part.parse().ok() } else { None }
        };
        let (year, month, day) = (number(4), number(2), number(2));
        match (year, month, day, parts.next()) {
            (Some(year), Some(month), Some(day), None) => {
                i32::try_from(year).ok().and_then(|year| Date::new(year, month, day)).ok_or(ParseDateError)
            }
            (Some(_) | None, Some(_) | None, Some(_) | None, Some(_) | None) => Err(ParseDateError),
        }
    }
}

impl TryFrom<String> for Date {
    type Error = ParseDateError;

    fn try_from(text: String) -> Result<Date, ParseDateError> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> String {
        date.to_string()
    }
}
