//! An event as others read it: a CloudEvent, version 1.0, as JSON. A contract: <https://github.com/cloudevents/spec>.

use serde::Serialize;
use serde_json::value::RawValue;
use tally_domain::product::Event as ProductEvent;
use tally_domain::{Event, StoredEventError};

use crate::alarm::Alarm;
use crate::{Recorded, proto};

/// Names of attributes have lower-case letters and digits only: the specification wants it so.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    /// The position: with the source, it names the event for good.
    id: String,
    source: String,
    r#type: String,
    /// The stream.
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    /// The event's fields as they are stored.
    data: &'a RawValue,
    commandid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// The event for others; none where it isn't for them.
pub(super) fn cloud_event(log: &str, recorded: &Recorded) -> Result<Option<String>, Alarm> {
    let event = match &recorded.event {
        Ok(event) => event,
        // Only those of lines are published, and these have names that are known.
        Err(StoredEventError::UnknownType(_)) => return Ok(None),
        Err(error @ StoredEventError::BadShape(_)) => return Err(unpublishable(recorded, error.clone())),
    };
    if !is_for_others(event) {
        return Ok(None);
    }
    let payload = event.payload();
    let data = serde_json::from_str(&payload)
        .map_err(|_| unpublishable(recorded, StoredEventError::BadShape(recorded.event_type.clone())))?;
    let event = CloudEvent {
        specversion: "1.0",
        id: recorded.position.to_string(),
        source: format!("/tally/{log}"),
        r#type: format!("tally.allocation.v1.{}", recorded.event_type),
        subject: &recorded.stream_id,
        time: proto::timestamp(recorded.recorded_at).to_string(),
        datacontenttype: "application/json",
        data,
        commandid: recorded.command_id.to_string(),
        correlationid: recorded.metadata.correlation_id.as_deref(),
        causationid: recorded.metadata.causation_id.as_deref(),
        traceparent: recorded.metadata.traceparent.as_deref(),
    };
    let text = serde_json::to_string(&event);
    text.map(Some).map_err(|_| unpublishable(recorded, StoredEventError::BadShape(recorded.event_type.clone())))
}

fn is_for_others(event: &Event) -> bool {
    match event {
        Event::Product(
            ProductEvent::Allocated { .. } | ProductEvent::Deallocated { .. } | ProductEvent::OutOfStock { .. },
        ) => true,
        Event::Product(
            ProductEvent::BatchCreated { .. }
            | ProductEvent::BatchQuantityChanged { .. }
            | ProductEvent::BatchReceived { .. }
            | ProductEvent::Shipped { .. },
        )
        | Event::Order(_)
        | Event::Batch(_) => false,
    }
}

fn unpublishable(recorded: &Recorded, reason: StoredEventError) -> Alarm {
    Alarm::Unpublishable { position: recorded.position, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tally_event_store::Metadata;

    use super::*;
    use crate::projections::testing::*;

    fn published(given: Given) -> Option<Value> {
        cloud_event("main", &given.recorded()).unwrap().map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn an_event_of_a_line_is_a_cloud_event() {
        let given = allocated("o1", "LAMP", "b1", 3).at(42).of_stream("product-LAMP", 7).of_command(1);
        let expected = json!({
            "specversion": "1.0",
            "id": "42",
            "source": "/tally/main",
            "type": "tally.allocation.v1.Allocated",
            "subject": "product-LAMP",
            "time": "1970-01-01T00:00:42Z",
            "datacontenttype": "application/json",
            "data": {"order_id": "o1", "sku": "LAMP", "batch_ref": "b1", "quantity": 3, "from_backorder": false},
            "commandid": "00000000-0000-0000-0000-000000000001",
        });
        assert_eq!(published(given), Some(expected));
    }

    #[test]
    fn what_is_known_of_where_it_came_from_goes_with_it() {
        let mut recorded = out_of_stock("o1", "LAMP", 3).recorded();
        recorded.metadata = Metadata {
            correlation_id: Some("c".into()),
            causation_id: Some("d".into()),
            traceparent: Some("00-1-2-00".into()),
            actor: Some("somebody".into()),
        };
        let event: Value = serde_json::from_str(&cloud_event("main", &recorded).unwrap().unwrap()).unwrap();
        let extensions = [&event["correlationid"], &event["causationid"], &event["traceparent"]];
        assert_eq!(extensions, ["c", "d", "00-1-2-00"]);
        assert!(event.get("actor").is_none(), "who called is nobody else's matter");
    }

    #[test]
    fn only_what_happens_to_the_stock_of_lines_is_for_others() {
        let types: Vec<String> = one_of_each()
            .into_iter()
            .filter_map(published)
            .map(|event| event["type"].as_str().unwrap().replace("tally.allocation.v1.", ""))
            .collect();
        assert_eq!(types, ["Allocated", "Deallocated", "OutOfStock"]);
    }

    #[test]
    fn an_event_that_cannot_be_read_is_an_alarm_and_one_of_an_unknown_type_is_for_nobody() {
        assert!(cloud_event("main", &allocated("o", "s", "b", 1).unreadable("Allocated").recorded()).is_err());
        assert_eq!(cloud_event("main", &claimed("b").unreadable("SomethingNew").recorded()), Ok(None));
    }
}
