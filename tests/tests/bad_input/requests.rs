//! Good requests, and the places in them where something bad can be put.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::rules::{Rule, entry_rule, rule};

/// A UUID.
const ID: &str = "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e";

/// A place in a request.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Field names and indices from the request down.
    pub(super) path: Vec<Step>,
    pub(super) rule: Rule,
    pub(super) is_text: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Field(String),
    Index(usize),
}

/// A request without fault, with every field that it must have; `read_after` is empty.
pub(super) fn good(message: &MessageDescriptor) -> Value {
    let mut request = Map::new();
    for field in message.fields() {
        if rule(&field).is_needed() {
            request.insert(field.name().to_owned(), good_value(&field));
        }
    }
    // One of the two is needed.
    if message.name() == "ListOrdersRequest" {
        request.insert("customer_id".to_owned(), json!("c-1"));
    }
    request.into()
}

fn good_value(field: &FieldDescriptor) -> Value {
    let one = match (field.parent_message().name(), field.name(), field.kind()) {
        ("StreamVersion" | "ReadStreamRequest", "stream_id", _) => json!("product-LAMP"),
        ("Money", "currency_code", _) => json!("EUR"),
        ("PostalAddress", "region_code", _) => json!("DE"),
        ("Date", "year", _) => json!(2030),
        ("Date", "month", _) => json!(2),
        ("Date", "day", _) => json!(28),
        (_, "order_id", _) => json!(ID),
        (_, _, Kind::Message(nested)) => good(&nested),
        (_, _, Kind::Int32 | Kind::Int64) => json!(1),
        (_, _, Kind::String) => json!("LAMP"),
        (message, name, kind) => panic!("{message}.{name}: no good value of {kind:?}"),
    };
    if field.is_list() { json!([one]) } else { one }
}

/// Every place in the requests of a method, whole messages and lists before what is in them.
pub(super) fn places(method: &MethodDescriptor) -> Vec<Place> {
    let mut found = Vec::new();
    walk(&method.input(), &[], &mut found);
    found
}

fn walk(message: &MessageDescriptor, path: &[Step], found: &mut Vec<Place>) {
    for field in message.fields() {
        let mut path = path.to_vec();
        path.push(Step::Field(field.name().to_owned()));
        found.push(Place {
            path: path.clone(),
            rule: rule(&field),
            is_text: matches!(field.kind(), Kind::String) && !field.is_list(),
        });
        if field.is_list() {
            path.push(Step::Index(0));
            if let Some(rule) = entry_rule(&field) {
                found.push(Place { path: path.clone(), rule, is_text: true });
            }
        }
        match field.kind() {
            Kind::Message(nested) if nested.full_name().starts_with("google.protobuf.") => {}
            Kind::Message(nested) => walk(&nested, &path, found),
            _ => {}
        }
    }
}

impl Place {
    /// As errors name it: `items[0].sku`.
    pub(super) fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.path {
            match step {
                Step::Field(field) if name.is_empty() => name.push_str(field),
                Step::Field(field) => name.extend([".", field]),
                Step::Index(index) => name.push_str(&format!("[{index}]")),
            }
        }
        name
    }

    /// A number of a date is a part of it: the date is bad, whichever it is.
    pub(super) fn is_in_date(&self) -> bool {
        matches!(self.rule, Rule::Year | Rule::Month | Rule::Day)
    }

    /// What an error for this place names.
    pub(super) fn reported(&self) -> String {
        let name = self.name();
        if self.is_in_date() { name.rsplit_once('.').map(|(date, _)| date.to_owned()).unwrap() } else { name }
    }

    /// A good request of `method` whose value here is `value`, or which has none here. What is around it is good.
    pub(super) fn put(&self, method: &MethodDescriptor, request: &mut Value, value: Option<Value>) {
        let mut message = method.input();
        let mut at = request;
        let (last, before) = self.path.split_last().unwrap();
        for step in before {
            match step {
                Step::Field(name) => {
                    let field = message.get_field_by_name(name).unwrap();
                    if at[name].is_null() {
                        at[name] = if field.is_list() { json!([good_value(&field)[0]]) } else { good_value(&field) };
                    }
                    if let Kind::Message(nested) = field.kind() {
                        message = nested;
                    }
                    at = &mut at[name];
                }
                Step::Index(index) => at = &mut at[*index],
            }
        }
        match (last, value) {
            (Step::Field(name), Some(value)) => at[name] = value,
            (Step::Field(name), None) => drop(at.as_object_mut().unwrap().remove(name)),
            (Step::Index(index), Some(value)) => at[*index] = value,
            (Step::Index(_), None) => panic!("an entry can't be absent"),
        }
    }

    /// A good value for the whole of this place, from which a list's rule makes bad ones.
    pub(super) fn good(&self, method: &MethodDescriptor) -> Value {
        let mut message = method.input();
        for step in &self.path {
            let Step::Field(name) = step else { continue };
            let field = message.get_field_by_name(name).unwrap();
            match field.kind() {
                Kind::Message(nested) => message = nested,
                _ => return good_value_or_null(&field),
            }
            if self.path.last().is_some_and(|last| matches!(last, Step::Field(last) if last == name)) {
                return good_value_or_null(&field);
            }
        }
        Value::Null
    }
}

fn good_value_or_null(field: &FieldDescriptor) -> Value {
    if field.is_list() { good_value(field) } else { Value::Null }
}
