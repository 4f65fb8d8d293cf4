//! The requests about stock, and the short ones about orders.

use tally_api::allocation::v1 as allocation;
use tally_api::google::r#type as google;
use tally_api::orders::v1 as orders;
use tally_domain::{Command, Date};
use tally_runtime::{Violations, limits};
use uuid::Uuid;

use super::{IntoCommand, Request, expected_version};

/// The least that a batch or a line may have.
const QUANTITY_MIN: i32 = 1;
/// The least that a batch may be changed to.
const CHANGED_QUANTITY_MIN: i32 = 0;

impl IntoCommand for allocation::CreateBatchRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        violations.identifier("batch_ref", &self.batch_ref);
        violations.identifier("sku", &self.sku);
        let quantity = violations.quantity("quantity", self.quantity, QUANTITY_MIN);
        let eta = self.eta.and_then(|eta| date(violations, "eta", eta));
        Request {
            command: Command::CreateBatch { batch_ref: self.batch_ref, sku: self.sku, quantity, eta },
            command_id,
            expected_version: None,
            validate_only: self.validate_only,
        }
    }
}

impl IntoCommand for allocation::ReceiveBatchRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        violations.identifier("batch_ref", &self.batch_ref);
        Request {
            expected_version: expected_version(violations, self.expected_version),
            command: Command::ReceiveBatch { batch_ref: self.batch_ref },
            command_id,
            validate_only: self.validate_only,
        }
    }
}

impl IntoCommand for allocation::ChangeBatchQuantityRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        violations.identifier("batch_ref", &self.batch_ref);
        let quantity = violations.quantity("quantity", self.quantity, CHANGED_QUANTITY_MIN);
        Request {
            expected_version: expected_version(violations, self.expected_version),
            command: Command::ChangeBatchQuantity { batch_ref: self.batch_ref, quantity },
            command_id,
            validate_only: self.validate_only,
        }
    }
}

impl IntoCommand for allocation::AllocateRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        let order_id = order_id(violations, self.order_id);
        violations.identifier("sku", &self.sku);
        let quantity = violations.quantity("quantity", self.quantity, QUANTITY_MIN);
        Request {
            expected_version: expected_version(violations, self.expected_version),
            command: Command::Allocate { order_id, sku: self.sku, quantity },
            command_id,
            validate_only: self.validate_only,
        }
    }
}

impl IntoCommand for allocation::DeallocateRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        let order_id = order_id(violations, self.order_id);
        violations.identifier("sku", &self.sku);
        Request {
            expected_version: expected_version(violations, self.expected_version),
            command: Command::Deallocate { order_id, sku: self.sku },
            command_id,
            validate_only: self.validate_only,
        }
    }
}

impl IntoCommand for orders::CancelOrderRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        let order_id = own_order_id(violations, &self.order_id);
        violations.text("reason", &self.reason, limits::REASON_CHARS_MAX);
        Request {
            expected_version: expected_version(violations, self.expected_version),
            command: Command::CancelOrder { order_id, reason: self.reason },
            command_id,
            validate_only: self.validate_only,
        }
    }
}

impl IntoCommand for orders::ShipOrderRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        let order_id = own_order_id(violations, &self.order_id);
        Request {
            expected_version: expected_version(violations, self.expected_version),
            command: Command::ShipOrder { order_id },
            command_id,
            validate_only: self.validate_only,
        }
    }
}

/// An order kept anywhere. One that may be ours is brought to the one form that its stream has.
fn order_id(violations: &mut Violations, value: String) -> String {
    violations.identifier("order_id", &value);
    let lowercase = value.to_ascii_lowercase();
    if tally_domain::is_own_order_id(&lowercase) { lowercase } else { value }
}

/// An order that Tally keeps.
fn own_order_id(violations: &mut Violations, value: &str) -> String {
    if value.is_empty() {
        violations.add("order_id", "must not be empty");
    }
    violations.optional_uuid("order_id", value).as_ref().map(Uuid::to_string).unwrap_or_default()
}

fn date(violations: &mut Violations, field: &str, value: google::Date) -> Option<Date> {
    let month = u32::try_from(value.month).unwrap_or_default();
    let day = u32::try_from(value.day).unwrap_or_default();
    let date = Date::new(value.year, month, day);
    if date.is_none() {
        violations.add(field, "must be a full date of the calendar, with year, month and day");
    }
    date
}
