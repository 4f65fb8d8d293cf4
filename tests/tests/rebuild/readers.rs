//! Story 8, while orders come in all along: every answer is right as of the position that it names, none is older than the one before, and
//! neither readers nor commands are held up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use system_tests::client::{
    Answer, Error, Freshness, NewOrder, Order, OrderFilter, OrderSummary, ReadAfter, Receipt, RustClient, Stock,
    TallyClient,
};
use system_tests::fold::Fold;
use system_tests::{Log, PATIENCE, Tally, eventually, views_equal_fold};
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;
use tally_api::projections::v1::*;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;

/// What is read, and so rebuilt.
const PROJECTIONS: [&str; 3] = ["order", "order_summaries", "stock"];
const SKUS: [&str; 3] = ["LAMP", "TABLE", "CHAIR"];
const OPEN: &str = "ORDER_STATUS_OPEN";
/// Orders in the page that is asked for: fewer than there are.
const PAGE_SIZE: i32 = 5;
/// Orders before the first rebuild, so that it takes a while.
const ORDERS_BEFORE: usize = 150;
/// How many commands later an order is cancelled.
const CANCELLED_AFTER: usize = 8;
/// Far more than come in while all is rebuilt.
const COMMANDS_MAX: usize = 30_000;
/// All in this test share two cores: who goes on without a pause leaves none to the others.
const PAUSE: Duration = Duration::from_millis(25);
/// What one call may take on a busy machine.
const CALL_MAX: Duration = Duration::from_secs(10);
/// How often each has to get through to show that it goes on.
const TURNS: usize = 2;

/// What is asked, and what the answer must have seen.
type Asked = (Question, Option<Receipt>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Order(String),
    OpenOrders,
    Stock(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
enum Told {
    NoOrder,
    Order(Box<Order>),
    /// A page, and whether there is another.
    Orders(Vec<OrderSummary>, bool),
    Stock(Box<Stock>),
}

impl Told {
    /// What a naive fold of the log says.
    fn by_the_book(question: &Question, fold: &Fold) -> Self {
        match question {
            Question::Order(order_id) => {
                fold.order(order_id).map_or(Self::NoOrder, |order| Self::Order(Box::new(order.clone())))
            }
            Question::OpenOrders => {
                let page_size = PAGE_SIZE.unsigned_abs() as usize;
                let mut open: Vec<_> = fold.summaries(|order| order.status == OPEN).take(page_size + 1).collect();
                let has_more = open.len() > page_size;
                open.truncate(page_size);
                Self::Orders(open, has_more)
            }
            Question::Stock(sku) => Self::Stock(Box::new(fold.stock(sku))),
        }
    }
}

/// Orders that come in, sessions that read, and what they were told.
struct Scene {
    client: RustClient,
    orders: Mutex<Vec<(String, Receipt)>>,
    told: Mutex<BTreeMap<(i64, Question), Told>>,
    /// How often each who takes part got through.
    turns: Mutex<Vec<Arc<AtomicUsize>>>,
    /// Beginnings and ends of the times at which a generation from before is read until it has caught up: odd while it is.
    roll_back_turns: AtomicUsize,
    is_over: AtomicBool,
}

impl Scene {
    fn new(client: RustClient) -> Arc<Self> {
        Arc::new(Self {
            client: client.deadline(2 * PATIENCE),
            orders: Mutex::default(),
            told: Mutex::default(),
            turns: Mutex::default(),
            roll_back_turns: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    /// One more who takes part.
    fn counted(&self) -> Arc<AtomicUsize> {
        let turns = Arc::<AtomicUsize>::default();
        self.turns.lock().unwrap().push(Arc::clone(&turns));
        turns
    }

    fn turns(&self) -> Vec<usize> {
        self.turns.lock().unwrap().iter().map(|turns| turns.load(Ordering::SeqCst)).collect()
    }

    /// Waits until all who take part have got through a few times more.
    async fn goes_on(&self) {
        let before = self.turns();
        eventually("all go on", async || {
            self.turns().iter().zip(&before).all(|(now, before)| *now >= before + TURNS).then_some(())
        })
        .await;
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn roll_back_turns(&self) -> usize {
        self.roll_back_turns.load(Ordering::SeqCst)
    }

    fn newest_order(&self, _turn: usize) -> Asked {
        let orders = self.orders.lock().unwrap();
        let (order_id, receipt) = orders.last().unwrap();
        (Question::Order(order_id.clone()), Some(receipt.clone()))
    }

    fn any_order(&self, turn: usize) -> Asked {
        if turn.is_multiple_of(2) {
            return self.newest_order(turn);
        }
        let orders = self.orders.lock().unwrap();
        (Question::Order(orders[turn * 7 % orders.len()].0.clone()), None)
    }

    fn open_orders(&self, _turn: usize) -> Asked {
        (Question::OpenOrders, None)
    }

    fn stock(&self, turn: usize) -> Asked {
        (Question::Stock(SKUS[turn % SKUS.len()]), None)
    }

    async fn ask(&self, question: &Question, seen: &ReadAfter) -> (Told, Freshness) {
        let answer: Answer<_> = match question {
            Question::Order(order_id) => self.client.get_order(order_id, seen).await.map(|mut order| {
                let freshness = std::mem::take(&mut order.freshness);
                (Told::Order(Box::new(order)), freshness)
            }),
            Question::OpenOrders => {
                let filter = OrderFilter { status: OPEN.to_owned(), page_size: PAGE_SIZE, ..OrderFilter::default() };
                let page = self.client.list_orders(&filter, seen).await;
                page.map(|page| (Told::Orders(page.orders, !page.next_page_token.is_empty()), page.freshness))
            }
            Question::Stock(sku) => self.client.get_stock(sku, seen).await.map(|mut stock| {
                let freshness = std::mem::take(&mut stock.freshness);
                (Told::Stock(Box::new(stock)), freshness)
            }),
        };
        match answer {
            Ok(answer) => answer,
            Err(error) if error.is(Code::NotFound, "ORDER_NOT_FOUND") => {
                let freshness = Freshness {
                    position: error.metadata["position"].parse().unwrap(),
                    may_be_stale: error.metadata.get("may_be_stale").is_some_and(|stale| stale == "true"),
                    token: String::new(),
                };
                (Told::NoOrder, freshness)
            }
            Err(error) => panic!("reads go on: {question:?} {seen:?}: {error:?}"),
        }
    }

    /// Asks one thing after the other. With tokens, for nothing older than it has seen and than what it asks for; without, for what there is.
    async fn session(self: Arc<Self>, turns: Arc<AtomicUsize>, pick: fn(&Self, usize) -> Asked, with_tokens: bool) {
        let (mut furthest, mut token) = (0, String::new());
        while !self.is_over() {
            let (question, receipt) = pick(&self, turns.load(Ordering::SeqCst));
            let mut wanted = ReadAfter::nothing();
            if with_tokens {
                let newer = receipt.filter(|receipt| receipt.position > furthest);
                wanted = newer.map_or_else(|| seen(&token), |receipt| seen(&receipt.token));
            }
            let turns_before = self.roll_back_turns();
            let began = Instant::now();
            let (told, freshness) = self.ask(&question, &wanted).await;
            assert!(began.elapsed() < CALL_MAX, "{question:?} was held up for {:?}", began.elapsed());

            // One that is asked before a roll-back and comes back after it may have been answered in the middle.
            let may_be_older = turns_before % 2 == 1 || self.roll_back_turns() > turns_before;
            assert!(!freshness.may_be_stale || may_be_older, "{question:?}: {freshness:?}");
            let says_that_it_is_older = freshness.may_be_stale && !with_tokens;
            assert!(
                freshness.position >= furthest || says_that_it_is_older,
                "{question:?}: {freshness:?} after {furthest}"
            );
            furthest = furthest.max(freshness.position);
            token = freshness.token;
            self.hear((freshness.position, question), told);
            turns.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Who asks the same as of the same position is told the same.
    fn hear(&self, asked: (i64, Question), told: Told) {
        let mut all = self.told.lock().unwrap();
        if let Some(before) = all.get(&asked) {
            assert_eq!(told, *before, "{asked:?}");
        } else {
            all.insert(asked, told);
        }
    }

    /// Orders come and go, and so does stock.
    async fn commands(self: Arc<Self>, turns: Arc<AtomicUsize>) {
        for step in 0..COMMANDS_MAX {
            if self.is_over() {
                return;
            }
            let began = Instant::now();
            self.command(step).await;
            assert!(began.elapsed() < CALL_MAX, "command {step} was held up for {:?}", began.elapsed());
            turns.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(PAUSE).await;
        }
        panic!("all is rebuilt within {COMMANDS_MAX} commands");
    }

    async fn command(&self, step: usize) {
        let (sku, other) = (SKUS[step % SKUS.len()], SKUS[(step + 1) % SKUS.len()]);
        let some = i32::try_from(step % 7).unwrap();
        let done = match step % 4 {
            1 if step > CANCELLED_AFTER => {
                let order_id = {
                    let orders = self.orders.lock().unwrap();
                    orders[orders.len() - CANCELLED_AFTER / 2].0.clone()
                };
                self.client.cancel_order(&order_id, "no").await
            }
            3 => self.client.change_batch_quantity(&format!("{sku}-0"), 4 * some).await,
            _ => {
                let order = NewOrder::of(&format!("c-{some}"), &[(sku, 1 + some), (other, 2)]);
                let created = self.client.create_order(&order).await;
                if let Ok(created) = &created {
                    self.orders.lock().unwrap().push((created.order_id.clone(), created.receipt().clone()));
                }
                created
            }
        };
        done.unwrap_or_else(|error| panic!("command {step}: {error:?}"));
    }

    /// Holds all that anybody was told against the log.
    fn check(&self, log: &Log) {
        let told = self.told.lock().unwrap();
        let (mut fold, mut events) = (Fold::default(), log.events.iter().peekable());
        for ((position, question), told) in told.iter() {
            while let Some(event) = events.next_if(|event| event.position <= *position) {
                fold.take(event);
            }
            assert_eq!(*told, Told::by_the_book(question, &fold), "{question:?} as of {position}");
        }
    }
}

fn seen(token: &str) -> ReadAfter {
    if token.is_empty() { ReadAfter::nothing() } else { ReadAfter::token(token).at_most(PATIENCE).or_fail() }
}

/// What an operator does.
struct Operator {
    admin: ProjectionAdminServiceClient<Channel>,
    scene: Arc<Scene>,
}

impl Operator {
    /// Rebuilds until it is promoted, or waits for that, while all others go on.
    async fn rebuild(&mut self, projection: &str, wait_for_promotion: bool) {
        let before = self.scene.turns();
        let request = RebuildProjectionRequest { projection: projection.to_owned(), wait_for_promotion };
        let mut told = self.admin.rebuild_projection(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(message) = told.message().await.unwrap() {
            last = Some(message);
        }
        let last = last.unwrap();
        assert_eq!(last.promoted, !wait_for_promotion, "{last:?}");
        if wait_for_promotion {
            let comparison = last.rebuild.unwrap().comparison.unwrap();
            assert_eq!(comparison.differing_views, 0, "{comparison:?}");
        }
        let now = self.scene.turns();
        assert!(now.iter().zip(&before).all(|(now, before)| now > before), "held up: {before:?}, then {now:?}");
    }

    /// It may be a few events behind just now.
    async fn promote(&self, projection: &str) {
        eventually("it is promoted", async || {
            let request = PromoteRebuildRequest { projection: projection.to_owned() };
            match self.admin.clone().promote_rebuild(request).await {
                Ok(_) => Some(()),
                Err(status) => {
                    let error = Error::from_status(&status);
                    assert!(error.is(Code::FailedPrecondition, "REBUILD_BEHIND"), "{error:?}");
                    None
                }
            }
        })
        .await;
    }

    /// Answers may be older until the generation from before has caught up.
    async fn roll_back(&mut self, projection: &str) {
        self.scene.roll_back_turns.fetch_add(1, Ordering::SeqCst);
        let request = RollBackRebuildRequest { projection: projection.to_owned() };
        self.admin.roll_back_rebuild(request).await.unwrap();
        let question = match projection {
            "order" => self.scene.newest_order(0).0,
            "order_summaries" => Question::OpenOrders,
            _ => Question::Stock(SKUS[0]),
        };
        eventually("it has caught up", async || {
            let (_, freshness) = self.scene.ask(&question, &ReadAfter::nothing()).await;
            (!freshness.may_be_stale).then_some(())
        })
        .await;
        self.scene.roll_back_turns.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_8_while_orders_come_in_reads_are_right_and_go_on_through_rebuilds_promotions_and_roll_backs() {
    // Few at a time, so that a rebuild takes a while.
    let tally = Tally::start_with_environment(&[("PROJECTOR_REBUILD_EVENTS_MAX", "64")]).await;
    for sku in SKUS {
        tally.stocked(&format!("{sku}-0"), sku, 20).await;
    }
    let scene = Scene::new(tally.client());
    let mut all = JoinSet::new();
    all.spawn(Arc::clone(&scene).commands(scene.counted()));
    eventually("there are orders", async || (scene.orders.lock().unwrap().len() >= ORDERS_BEFORE).then_some(())).await;
    for pick in [Scene::any_order, Scene::open_orders, Scene::stock] {
        all.spawn(Arc::clone(&scene).session(scene.counted(), pick, false));
    }
    for pick in [Scene::newest_order, Scene::open_orders, Scene::stock] {
        all.spawn(Arc::clone(&scene).session(scene.counted(), pick, true));
    }

    let admin = ProjectionAdminServiceClient::new(tally.projector.channel());
    let mut operator = Operator { admin, scene: Arc::clone(&scene) };
    let operated = async {
        for projection in PROJECTIONS {
            operator.rebuild(projection, false).await;
            scene.goes_on().await;
        }
        for projection in PROJECTIONS {
            operator.rebuild(projection, true).await;
            scene.goes_on().await;
            operator.promote(projection).await;
            scene.goes_on().await;
            operator.roll_back(projection).await;
            scene.goes_on().await;
        }
        scene.is_over.store(true, Ordering::SeqCst);
    };
    let finished = async {
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    };
    tokio::join!(operated, finished);

    scene.check(&views_equal_fold(&tally).await);
    let projections =
        operator.admin.list_projections(ListProjectionsRequest {}).await.unwrap().into_inner().projections;
    for Projection { name, losses, .. } in projections {
        assert_eq!(losses, [], "{name} lost nothing");
    }
}
