//! One subscription to the log, for a while.

use system_tests::client::RustClient;
use tally_api::events::v1::event_log_service_client::EventLogServiceClient;
use tally_api::events::v1::subscribe_request::Start as Asked;
use tally_api::events::v1::{SubscribeRequest, SubscribeResponse};

use super::{Hearing, request};
use crate::checker::subscriptions::of_event;
use crate::history::{EventFilter, Handed, Recorder, Start, Subscription};

/// Where one begins, and how that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    start: Start,
    asked: Asked,
}

impl Begin {
    pub(crate) fn after(position: i64) -> Self {
        Self { start: Start::After(position), asked: Asked::AfterPosition(position) }
    }

    /// After a token of this position.
    pub(crate) fn after_token(position: i64, token: String) -> Self {
        Self { start: Start::After(position), asked: Asked::AfterToken(token) }
    }

    /// With what comes now, where the log is known to go to `least`.
    pub(crate) fn at_end(least: i64) -> Self {
        Self { start: Start::OnlyNew { least }, asked: Asked::OnlyNew(true) }
    }
}

/// A subscription that is about to begin.
#[derive(Clone, Debug)]
pub(crate) struct Subscribing {
    pub(crate) session: usize,
    pub(crate) replica: usize,
    pub(crate) begin: Begin,
    pub(crate) filter: EventFilter,
}

impl Subscribing {
    /// What is heard for as long as `goes_on`, and the last message's token.
    pub(crate) async fn hear<S: Future<Output = ()>>(
        self,
        client: &RustClient,
        recorder: &Recorder,
        hearing: Hearing<S>,
        goes_on: impl Fn(&[Handed]) -> bool,
    ) -> (Subscription, String) {
        let Self { session, replica, begin: Begin { start, asked }, filter } = self;
        let EventFilter { event_types, stream_id_prefixes } = filter.clone();
        let request = request(SubscribeRequest { start: Some(asked), event_types, stream_id_prefixes });
        let (mut handed, mut last_token) = (Vec::new(), String::new());
        let take = |message: SubscribeResponse| {
            let SubscribeResponse { events, position, head_position: head, token } = message;
            let events = events.into_iter().map(|event| (event.position, of_event(event))).collect();
            handed.push(Handed { events, position, head });
            last_token = token;
            goes_on(&handed)
        };
        let invoked_us = recorder.now_us();
        let end = hearing.hear(EventLogServiceClient::new(client.queries()).subscribe(request), take).await;
        let ended_us = recorder.now_us();
        (Subscription { session, replica, invoked_us, ended_us, start, filter, handed, end }, last_token)
    }
}
