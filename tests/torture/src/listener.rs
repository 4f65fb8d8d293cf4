//! A client that listens beside its other work: to an order or a stock as it changes, or to the log. Each message goes into the history; where
//! it is dropped it goes on from where it was told.

mod subscribing;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use system_tests::client::{Error, Freshness, Order, ReadAfter, RustClient, Stock, read_after};
use tally_api::allocation::v1::allocation_query_service_client::AllocationQueryServiceClient;
use tally_api::allocation::v1::{GetStockResponse, WatchStockRequest, WatchStockResponse};
use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;
use tally_api::orders::v1::{GetOrderResponse, WatchOrderRequest, WatchOrderResponse};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::checker::views;
use crate::history::{Asked, EventFilter, Failed, Shown, StreamEnd, Told, View, Watch};
use crate::session::{GRACE, READ_DEADLINE, READ_WAIT_MS, SHORT_WAIT_MS_MAX, Shared};

pub(crate) use subscribing::{Begin, Subscribing};

/// How long it listens.
const LISTENS_MS: Range<u64> = 300..4_000;
/// Messages after which it has heard enough.
const MESSAGES_MAX: usize = 30;
/// How often it goes on after it was dropped.
const DROPS_MAX: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);
/// Of a hundred watches, how many take a token along.
const TOKENS_PERCENT: u8 = 75;
/// Of a hundred of those, how many don't wait for it.
const SHORT_WAIT_PERCENT: u8 = 10;
/// How far before the newest position that it has seen a subscription begins, at the most.
const CATCH_UP_MAX: i64 = 400;
/// Of a hundred subscriptions, how many read nothing for longer than they are waited for.
const SLOW_PERCENT: u8 = 10;
const SLOW_FOR: Duration = Duration::from_secs(2);

/// One who listens.
pub(crate) struct Listener {
    pub(crate) session: usize,
    pub(crate) rng: Rng,
    pub(crate) clients: Vec<RustClient>,
    pub(crate) shared: Arc<Shared>,
    /// The newest position that its session has seen, with its token.
    pub(crate) seen: (i64, String),
}

impl Listener {
    /// Watches an order or a stock for a while, if others leave it a place.
    pub(crate) async fn watch(mut self, view: View) {
        let shared = Arc::clone(&self.shared);
        let Ok(_place) = shared.watches.try_acquire() else { return };
        let mut after = if self.rng.u8(..100) < TOKENS_PERCENT { self.seen.clone() } else { (0, String::new()) };
        for _ in 0..=DROPS_MAX {
            if !self.watch_once(&view, &mut after).await || *shared.stop.borrow() {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    /// Leaves the token of the last message in `after`. Whether it was dropped.
    async fn watch_once(&mut self, view: &View, after: &mut (i64, String)) -> bool {
        let short = self.rng.u8(..100) < SHORT_WAIT_PERCENT;
        let wait_ms = if short { self.rng.u64(1..=SHORT_WAIT_MS_MAX) } else { READ_WAIT_MS };
        let wanted = after.0;
        let read_after = match wanted {
            0 => None,
            _ => read_after(&ReadAfter::token(&after.1).at_most(Duration::from_millis(wait_ms))),
        };
        let replica = self.rng.usize(..self.clients.len());
        let channel = self.clients[replica].queries();
        let hearing = self.hearing(Duration::ZERO);
        let mut told = Vec::new();
        let mut take = |(shown, freshness): (Option<Shown>, Freshness)| {
            let Freshness { position, may_be_stale, token } = freshness;
            told.push(Told { at_us: self.shared.recorder.now_us(), position, may_be_stale, shown });
            *after = (position, token);
            told.len() < MESSAGES_MAX
        };
        let invoked_us = self.shared.recorder.now_us();
        let end = match view {
            View::Order(order_id) => {
                let request = request(WatchOrderRequest { order_id: order_id.clone(), read_after });
                let mut client = OrderQueryServiceClient::new(channel);
                hearing.hear(client.watch_order(request), |message| take(of_order(message))).await
            }
            View::Stock(sku) => {
                let request = request(WatchStockRequest { sku: sku.clone(), read_after });
                let mut client = AllocationQueryServiceClient::new(channel);
                hearing.hear(client.watch_stock(request), |message| take(of_stock(message))).await
            }
            View::Allocations(_) | View::OrdersOf(_) | View::History(_) | View::Backorders(_) => StreamEnd::GivenUp,
        };
        let is_dropped = matches!(end, StreamEnd::Failed { .. });
        let (session, view, ended_us) = (self.session, view.clone(), self.shared.recorder.now_us());
        let asked = Asked { session, view, replica, invoked_us, ended_us, wanted, wait_ms };
        self.shared.recorder.history().watches.push(Watch { asked, told, end });
        is_dropped
    }

    /// Follows the log for a while, if others leave it a place.
    pub(crate) async fn subscribe(mut self) {
        let shared = Arc::clone(&self.shared);
        let Ok(_place) = shared.subscriptions.try_acquire() else { return };
        let is_slow = self.rng.u8(..100) < SLOW_PERCENT;
        // Who is slow asks for all that there is: little would be sent before it is missed.
        let (mut begin, filter) = match is_slow {
            true => (Begin::after(0), EventFilter::default()),
            false => (self.begin(), self.filter()),
        };
        for drops in 0..=DROPS_MAX {
            let replica = self.rng.usize(..self.clients.len());
            let is_pausing = is_slow && drops == 0;
            let hearing = self.hearing(if is_pausing { SLOW_FOR } else { Duration::ZERO });
            let client = match is_pausing {
                true => &shared.slow_clients[replica % shared.slow_clients.len()],
                false => &self.clients[replica],
            };
            let subscribing = Subscribing { session: self.session, replica, begin, filter: filter.clone() };
            let (subscription, token) =
                subscribing.hear(client, &shared.recorder, hearing, |handed| handed.len() < MESSAGES_MAX).await;
            let next = match (&subscription.end, subscription.handed.last()) {
                (StreamEnd::Failed { position: Some(position), .. }, _) => Some(Begin::after(*position)),
                (StreamEnd::Failed { .. }, Some(last)) => Some(Begin::after_token(last.position, token)),
                (_, _) => None,
            };
            shared.recorder.history().subscriptions.push(subscription);
            match next {
                Some(next) if !*shared.stop.borrow() => begin = next,
                Some(_) | None => return,
            }
            sleep(PAUSE).await;
        }
    }

    fn begin(&mut self) -> Begin {
        let (seen, token) = self.seen.clone();
        match self.rng.u8(..4) {
            0 => Begin::at_end(seen),
            1 if seen > 0 => Begin::after_token(seen, token),
            _ => Begin::after((seen - self.rng.i64(0..CATCH_UP_MAX)).max(0)),
        }
    }

    fn filter(&mut self) -> EventFilter {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        match self.rng.u8(..4) {
            0 => EventFilter { event_types: texts(&["Allocated", "OutOfStock"]), ..EventFilter::default() },
            1 => EventFilter { stream_id_prefixes: texts(&["order-", "product-SKU-1"]), ..EventFilter::default() },
            2 => EventFilter { event_types: texts(&["Deallocated"]), stream_id_prefixes: texts(&["product-SKU-0"]) },
            _ => EventFilter::default(),
        }
    }

    fn hearing(&mut self, pause: Duration) -> Hearing<impl Future<Output = ()> + use<>> {
        let mut stop = self.shared.stop.subscribe();
        let stopped = async move {
            // The sender outlives all who listen.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        Hearing { stopped, lasts: pause + Duration::from_millis(self.rng.u64(LISTENS_MS)), pause }
    }
}

/// How one listens.
pub(crate) struct Hearing<S> {
    /// No longer than until then.
    pub(crate) stopped: S,
    /// From the first message.
    pub(crate) lasts: Duration,
    /// After the first message.
    pub(crate) pause: Duration,
}

impl<S: Future<Output = ()>> Hearing<S> {
    /// Takes messages for as long as `take` wants more.
    async fn hear<M>(
        self,
        begun: impl Future<Output = Result<Response<Streaming<M>>, Status>>,
        mut take: impl FnMut(M) -> bool,
    ) -> StreamEnd {
        let messages = async {
            let mut stream = match timeout(READ_DEADLINE + GRACE, begun).await {
                Ok(Ok(response)) => response.into_inner(),
                Ok(Err(status)) => return StreamEnd::of(&status),
                Err(_) => return StreamEnd::failed(Failed::silence()),
            };
            let mut pause = Some(self.pause);
            let rest = async {
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            if !take(message) {
                                return StreamEnd::GivenUp;
                            }
                        }
                        Ok(None) => return StreamEnd::Silent,
                        Err(status) => return StreamEnd::of(&status),
                    }
                    if let Some(pause) = pause.take() {
                        sleep(pause).await;
                    }
                }
            };
            timeout(self.lasts, rest).await.unwrap_or(StreamEnd::GivenUp)
        };
        tokio::select! {
            end = messages => end,
            () = self.stopped => StreamEnd::GivenUp,
        }
    }
}

impl StreamEnd {
    fn of(status: &Status) -> Self {
        let error = Error::from_status(status);
        let number = |name: &str| error.metadata.get(name).and_then(|number| number.parse().ok());
        match number("position") {
            Some(position) if error.code == Code::NotFound => {
                Self::Missing { position, may_be_stale: error.metadata.contains_key("may_be_stale") }
            }
            position => Self::Failed { failed: Failed::of(&error), position, version: number("version") },
        }
    }

    fn failed(failed: Failed) -> Self {
        Self::Failed { failed, position: None, version: None }
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(READ_DEADLINE);
    request
}

fn of_order(message: WatchOrderResponse) -> (Option<Shown>, Freshness) {
    let WatchOrderResponse { order, freshness } = message;
    let shown = order.map(|order| {
        let order = Order::from(GetOrderResponse { order: Some(order), freshness: freshness.clone() });
        Shown { version: order.version, view: views::of_order(order) }
    });
    (shown, freshness.into())
}

fn of_stock(message: WatchStockResponse) -> (Option<Shown>, Freshness) {
    let WatchStockResponse { stock, freshness } = message;
    let shown = stock.map(|stock| {
        let stock = Stock::from(GetStockResponse { stock: Some(stock), freshness: freshness.clone() });
        Shown { version: stock.version, view: views::of_stock(stock) }
    });
    (shown, freshness.into())
}
