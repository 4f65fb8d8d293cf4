//! `EventLogService`: decodes, reads the log, encodes.

use std::sync::Arc;
use std::time::Duration;

use tally_api::consistency::v1::Freshness;
use tally_api::events::v1::event_log_service_server::EventLogService;
use tally_api::events::v1::{
    Direction, ReadStreamRequest, ReadStreamResponse, SubscribeRequest, SubscribeResponse, subscribe_request,
};
use tally_event_store::{Direction as Way, ReadStore, StreamPage};
use tally_receipt::Token;
use tally_runtime::{Violations, time_left};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::log_tail::LogTail;
use crate::metrics::{Counted, METRICS};
use crate::outbox::{Outgoing, StreamLimits};
use crate::paging;
use crate::read_after::{OF_ANOTHER_LOG, is_of_another_log, stream_id};
use crate::status::{Failure, Missing};

mod encode;
mod filter;
mod subscription;

use encode::{Event, fitting, proto_position};
use filter::Filter;
use subscription::Subscription;

/// How long a call may take whose caller sets no deadline: above all that Postgres is given.
const CALL_MAX: Duration = Duration::from_secs(30);

pub(crate) struct EventLog {
    pub(crate) store: ReadStore,
    pub(crate) tail: Arc<LogTail>,
    pub(crate) subscribers: Arc<Semaphore>,
    pub(crate) reading: Semaphore,
    pub(crate) limits: StreamLimits,
    /// Cancelled when the process begins to stop: a subscription would never end by itself.
    pub(crate) stopping: CancellationToken,
}

#[tonic::async_trait]
impl EventLogService for EventLog {
    async fn read_stream(&self, request: Request<ReadStreamRequest>) -> Result<Response<ReadStreamResponse>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        let stream_id = stream_id(&mut violations, "stream_id", &request.stream_id);
        let way = way(&mut violations, request.direction);
        let from_version = from_version(&mut violations, request.from_version);
        let page_size = paging::page_size(&mut violations, request.page_size);
        violations.into_result()?;

        let room = self.reading.try_acquire();
        let _room = room.map_err(|_| Failure::Overloaded { limit: "event_reads_in_flight_max" })?;
        let read = async {
            // One more than asked for says whether there is another page.
            let page = self.store.read_stream(&stream_id, way, from_version, page_size + 1).await?;
            let (log_id, _) = self.tail.ask().await?;
            Ok::<_, Failure>((page, Token { log_id, position: 0 }))
        };
        let time_left = time_left.map_or(CALL_MAX, |left| left.min(CALL_MAX));
        let (page, token) = timeout(time_left, read).await.unwrap_or(Err(Failure::LogUnavailable(None)))?;
        if !page.exists {
            let position = proto_position(page.head);
            return Err(Failure::NotFound { what: Missing::Stream, position, may_be_stale: false }.into());
        }
        Ok(Response::new(answer(page, page_size, way, token)))
    }

    type SubscribeStream = Outgoing<SubscribeResponse>;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        let start = Start::parse(&mut violations, request.start);
        let filter = Filter::parse(&mut violations, request.event_types, request.stream_id_prefixes);
        violations.into_result()?;

        let place = Arc::clone(&self.subscribers).try_acquire_owned();
        let place = place.map_err(|_| Failure::Overloaded { limit: "subscribers_max" })?;
        // Before it is asked where the log ends, so that nothing which comes after that is missed.
        let known = self.tail.follow();
        let time_left = time_left.map_or(CALL_MAX, |left| left.min(CALL_MAX));
        let asked = timeout(time_left, self.tail.ask()).await;
        let (log_id, head) = asked.map_err(|_| Failure::LogUnavailable(None))?.map_err(Failure::from)?;
        let outages = known.borrow().outages;
        let position = start.position(log_id, head)?;
        if position > head {
            return Err(Failure::BeyondLog { position, head }.into());
        }
        let (tail, limits, stopping) = (Arc::clone(&self.tail), self.limits, self.stopping.clone());
        Ok(Response::new(Outgoing::begin(limits, |outbox| async move {
            let _place = (place, Counted::in_gauge(&METRICS.subscribed));
            let subscription =
                Subscription { tail, known, log_id, filter, limits, outbox, position, head, outages, stopping };
            subscription.run().await
        })))
    }
}

/// Where a subscription begins, as the caller said it.
enum Start {
    After(u64),
    AfterToken(Token),
    AtHead,
}

impl Start {
    fn parse(violations: &mut Violations, given: Option<subscribe_request::Start>) -> Self {
        match given {
            None | Some(subscribe_request::Start::OnlyNew(false)) => Self::After(0),
            Some(subscribe_request::Start::OnlyNew(true)) => Self::AtHead,
            Some(subscribe_request::Start::AfterPosition(position)) => {
                Self::After(u64::try_from(position).unwrap_or_else(|_| {
                    violations.add("after_position", "must not be negative");
                    0
                }))
            }
            Some(subscribe_request::Start::AfterToken(text)) => match Token::decode(&text) {
                Ok(token) => Self::AfterToken(token),
                Err(malformed) => {
                    violations.add("after_token", malformed.to_string());
                    Self::After(0)
                }
            },
        }
    }

    #[allow(clippy::result_large_err, reason = "a Status is what tonic takes")]
    fn position(self, log_id: uuid::Uuid, head: u64) -> Result<u64, Status> {
        match self {
            Self::After(position) => Ok(position),
            Self::AtHead => Ok(head),
            Self::AfterToken(token) if is_of_another_log(&token, log_id) => {
                let mut violations = Violations::new();
                violations.add("after_token", OF_ANOTHER_LOG);
                violations.into_result().map(|()| head)
            }
            Self::AfterToken(token) => Ok(token.position),
        }
    }
}

fn way(violations: &mut Violations, given: i32) -> Way {
    match Direction::try_from(given) {
        Ok(Direction::Unspecified | Direction::Forwards) => Way::Forwards,
        Ok(Direction::Backwards) => Way::Backwards,
        Err(_) => {
            violations.add("direction", "is none of the values that there are");
            Way::Forwards
        }
    }
}

fn from_version(violations: &mut Violations, given: i64) -> Option<u64> {
    match u64::try_from(given) {
        Ok(0) => None,
        Ok(version) => Some(version),
        Err(_) => {
            violations.add("from_version", "must not be negative");
            None
        }
    }
}

fn answer(page: StreamPage, page_size: usize, way: Way, token: Token) -> ReadStreamResponse {
    let mut events: Vec<Event> = page.events.iter().map(Event::from).collect();
    let fitting = fitting(&events, page_size);
    let is_last = fitting == events.len();
    events.truncate(fitting);
    let next_version = match (events.last(), way) {
        (Some(last), Way::Forwards) if !is_last => last.0.version + 1,
        (Some(last), Way::Backwards) if !is_last => last.0.version - 1,
        (Some(_) | None, Way::Forwards | Way::Backwards) => 0,
    };
    let token = Token { position: page.head, ..token }.encode();
    let freshness = Freshness { position: proto_position(page.head), may_be_stale: false, token, parked_position: 0 };
    ReadStreamResponse {
        events: events.into_iter().map(|event| event.0).collect(),
        next_version,
        freshness: Some(freshness),
    }
}
