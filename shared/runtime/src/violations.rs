//! Finds every bad field of a request, not only the first.

use tonic::{Code, Status};
use tonic_types::FieldViolation;
use uuid::Uuid;

use crate::Refusal;
use crate::limits;

/// The bad fields found so far. Checks return a usable value either way; [`Violations::into_result`] decides at the end.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<FieldViolation>,
    more: usize,
}

impl Violations {
    /// None found.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `field` (a path such as `items[3].sku`) is wrong, and how. The description must not quote secrets or personal data.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.found.len() < limits::VIOLATIONS_MAX {
            self.found.push(FieldViolation::new(field, description));
        } else {
            self.more += 1;
        }
    }

    /// An identifier that a caller chooses: 1 to [`limits::IDENTIFIER_CHARS_MAX`] characters, no control characters, no white space at its ends.
    pub fn identifier(&mut self, field: &str, value: &str) {
        self.text(field, value, limits::IDENTIFIER_CHARS_MAX);
    }

    /// A needed text of at most `chars_max` characters, under the same rules as an identifier.
    pub fn text(&mut self, field: &str, value: &str, chars_max: usize) {
        if value.is_empty() {
            self.add(field, "must not be empty");
        } else {
            self.optional_text(field, value, chars_max);
        }
    }

    /// A text that may be empty and is otherwise as in [`Violations::text`].
    pub fn optional_text(&mut self, field: &str, value: &str, chars_max: usize) {
        if value.chars().nth(chars_max).is_some() {
            self.add(field, format!("must have at most {chars_max} characters"));
        }
        if value.chars().any(char::is_control) {
            self.add(field, "must not contain control characters");
        } else if value.trim() != value {
            self.add(field, "must not begin or end with white space");
        }
    }

    /// A quantity from `min` to [`limits::QUANTITY_MAX`].
    pub fn quantity(&mut self, field: &str, value: i32, min: i32) -> u32 {
        if value < min || value > limits::QUANTITY_MAX {
            self.add(field, format!("must be from {min} to {}", limits::QUANTITY_MAX));
        }
        u32::try_from(value).unwrap_or_default()
    }

    /// A UUID in the form 8-4-4-4-12, or empty for none.
    pub fn optional_uuid(&mut self, field: &str, value: &str) -> Option<Uuid> {
        if value.is_empty() {
            return None;
        }
        let parsed = hyphenated_uuid(value);
        if parsed.is_none() {
            self.add(field, "must be a UUID in the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        }
        parsed
    }

    /// How many were found.
    pub fn count(&self) -> usize {
        self.found.len() + self.more
    }

    /// INVALID_ARGUMENT, reason INVALID_FIELDS, with every bad field in a BadRequest; or nothing.
    ///
    /// # Errors
    /// When any violation was added.
    #[allow(clippy::result_large_err, reason = "a Status is what tonic takes")]
    pub fn into_result(mut self) -> Result<(), Status> {
        if self.found.is_empty() {
            return Ok(());
        }
        let named: Vec<&str> = self.found.iter().map(|violation| violation.field.as_str()).collect();
        let message = format!("invalid: {}", named.join(", "));
        if self.more > 0 {
            self.found.push(FieldViolation::new("…", format!("and {} more", self.more)));
        }
        Err(Refusal::new(Code::InvalidArgument, "INVALID_FIELDS", message).bad_fields(self.found).into())
    }
}

/// A UUID in its hyphenated form, in either case. The other forms that UUIDs have are texts like any other.
fn hyphenated_uuid(value: &str) -> Option<Uuid> {
    (value.len() == uuid::fmt::Hyphenated::LENGTH).then(|| Uuid::try_parse(value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn fields(violations: Violations) -> Vec<String> {
        let status = violations.into_result().expect_err("violations");
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let bad_request = details.bad_request().expect("a BadRequest");
        bad_request.field_violations.iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn every_bad_field_is_named() {
        let mut violations = Violations::new();
        violations.identifier("sku", "");
        violations.identifier("order_id", "a\0b");
        violations.identifier("batch_ref", " b");
        violations.quantity("quantity", 0, 1);
        violations.optional_uuid("command_id", "not-a-uuid");
        assert_eq!(fields(violations), ["sku", "order_id", "batch_ref", "quantity", "command_id"]);
    }

    #[test]
    fn what_is_right_passes() {
        let mut violations = Violations::new();
        violations.identifier("sku", &"ü".repeat(limits::IDENTIFIER_CHARS_MAX));
        violations.quantity("quantity", limits::QUANTITY_MAX, 1);
        violations.optional_uuid("command_id", "0192F0C1-7e1b-7c11-8d2e-1f2a3b4c5d6e");
        violations.optional_uuid("command_id", "");
        assert!(violations.into_result().is_ok());
    }

    #[test]
    fn one_character_too_many_is_refused() {
        let mut violations = Violations::new();
        violations.identifier("sku", &"x".repeat(limits::IDENTIFIER_CHARS_MAX + 1));
        assert_eq!(fields(violations), ["sku"]);
    }

    #[test]
    fn an_error_stays_small_however_much_is_wrong() {
        let mut violations = Violations::new();
        for _ in 0..10_000 {
            violations.identifier("items", "");
        }
        assert_eq!(fields(violations).len(), limits::VIOLATIONS_MAX + 1);
    }

    #[test]
    fn a_uuid_without_hyphens_is_refused() {
        let mut violations = Violations::new();
        assert_eq!(violations.optional_uuid("command_id", "0192f0c17e1b7c118d2e1f2a3b4c5d6e"), None);
        assert_eq!(fields(violations), ["command_id"]);
    }
}
