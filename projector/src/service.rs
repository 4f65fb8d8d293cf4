//! `ProjectionAdminService`: decodes, calls, encodes.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tally_api::projections::v1::projection_admin_service_server::ProjectionAdminService;
use tally_api::projections::v1::*;
use tally_runtime::{Violations, limits};
use tokio::sync::{OnceCell, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::Fold;
use crate::admin::{Admin, PROGRESS_EVERY, ParkedPlace};
use crate::conduct;
use crate::engine::Engine;
use crate::proto::number;
use crate::refusal::{conduct_refused, failed, no_projection, retry_refused};

/// How many messages about a rebuild wait for a caller that reads slowly; after that progress waits for the caller.
const PROGRESS_QUEUED_MAX: usize = 4;

pub(crate) struct Service {
    engine: Engine,
    admin: OnceCell<Admin>,
}

impl Service {
    /// Waits for nothing: which log it is about shows when it is asked.
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, admin: OnceCell::new() }
    }

    async fn admin(&self) -> Result<&Admin, Status> {
        self.admin.get_or_try_init(|| Admin::open(&self.engine)).await.map_err(failed)
    }

    #[allow(clippy::result_large_err, reason = "a Status is what tonic takes")]
    fn projection(&self, name: &str) -> Result<Arc<dyn Fold>, Status> {
        let mut violations = Violations::new();
        violations.identifier("projection", name);
        violations.into_result()?;
        self.known(name)
    }

    #[allow(clippy::result_large_err, reason = "a Status is what tonic takes")]
    fn known(&self, name: &str) -> Result<Arc<dyn Fold>, Status> {
        self.engine.projections.iter().find(|fold| fold.name() == name).cloned().ok_or_else(|| no_projection(name))
    }
}

#[tonic::async_trait]
impl ProjectionAdminService for Service {
    type RebuildProjectionStream = Pin<Box<dyn Stream<Item = Result<RebuildProjectionResponse, Status>> + Send>>;

    async fn list_projections(
        &self,
        _request: Request<ListProjectionsRequest>,
    ) -> Result<Response<ListProjectionsResponse>, Status> {
        Ok(Response::new(self.admin().await?.list().await.map_err(failed)?))
    }

    async fn rebuild_projection(
        &self,
        request: Request<RebuildProjectionRequest>,
    ) -> Result<Response<Self::RebuildProjectionStream>, Status> {
        let request = request.into_inner();
        let fold = self.projection(&request.projection)?;
        let begun = self.admin().await?.conductor(&fold).begin(!request.wait_for_promotion).await;
        match begun {
            // One that is under way is told of.
            Ok(_) | Err(conduct::Error::Unfit(conduct::Unfit::UnderWay)) => {}
            Err(error) => return Err(conduct_refused(error)),
        }
        let (told, messages) = mpsc::channel(PROGRESS_QUEUED_MAX);
        let admin = self.admin().await?.clone();
        tokio::spawn(async move { tell(&admin, &fold, &told).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn promote_rebuild(
        &self,
        request: Request<PromoteRebuildRequest>,
    ) -> Result<Response<PromoteRebuildResponse>, Status> {
        let fold = self.projection(&request.into_inner().projection)?;
        let generation = self.admin().await?.conductor(&fold).promote().await.map_err(conduct_refused)?;
        Ok(Response::new(PromoteRebuildResponse { generation: number(generation) }))
    }

    async fn roll_back_rebuild(
        &self,
        request: Request<RollBackRebuildRequest>,
    ) -> Result<Response<RollBackRebuildResponse>, Status> {
        let fold = self.projection(&request.into_inner().projection)?;
        let generation = self.admin().await?.conductor(&fold).roll_back().await.map_err(conduct_refused)?;
        Ok(Response::new(RollBackRebuildResponse { generation: number(generation) }))
    }

    async fn pause_projection(
        &self,
        request: Request<PauseProjectionRequest>,
    ) -> Result<Response<PauseProjectionResponse>, Status> {
        let fold = self.projection(&request.into_inner().projection)?;
        self.admin().await?.conductor(&fold).pause(true).await.map_err(conduct_refused)?;
        Ok(Response::new(PauseProjectionResponse {}))
    }

    async fn resume_projection(
        &self,
        request: Request<ResumeProjectionRequest>,
    ) -> Result<Response<ResumeProjectionResponse>, Status> {
        let fold = self.projection(&request.into_inner().projection)?;
        self.admin().await?.conductor(&fold).pause(false).await.map_err(conduct_refused)?;
        Ok(Response::new(ResumeProjectionResponse {}))
    }

    async fn list_parked_events(
        &self,
        request: Request<ListParkedEventsRequest>,
    ) -> Result<Response<ListParkedEventsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        violations.optional_text("projection", &request.projection, limits::IDENTIFIER_CHARS_MAX);
        let page_size = match usize::try_from(request.page_size) {
            Ok(0) => limits::PAGE_SIZE_DEFAULT,
            Ok(size) => size.min(limits::PAGE_SIZE_MAX),
            Err(_) => {
                violations.add("page_size", "must not be negative");
                0
            }
        };
        let after = place(&request.page_token);
        if after.is_none() {
            violations.add("page_token", "is not a page token that was handed out");
        }
        violations.into_result()?;
        let wanted = (!request.projection.is_empty()).then_some(request.projection.as_str());
        if let Some(name) = wanted {
            self.known(name)?;
        }
        let mut events =
            self.admin().await?.parked(wanted, &after.unwrap_or_default(), page_size + 1).await.map_err(failed)?;
        let is_last = events.len() <= page_size;
        events.truncate(page_size);
        let next_page_token = events.last().filter(|_| !is_last).map(page_token).unwrap_or_default();
        Ok(Response::new(ListParkedEventsResponse { events, next_page_token }))
    }

    async fn retry_parked_event(
        &self,
        request: Request<RetryParkedEventRequest>,
    ) -> Result<Response<RetryParkedEventResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        violations.identifier("projection", &request.projection);
        let position = u64::try_from(request.position).unwrap_or_default();
        if position == 0 {
            violations.add("position", "must be at least 1, the position of a log's first event");
        }
        violations.into_result()?;
        let fold = self.known(&request.projection)?;
        let retried = self.admin().await?.retry_parked(&fold, position).await.map_err(retry_refused)?;
        let count = |events: usize| i32::try_from(events).unwrap_or(i32::MAX);
        let (folded_events, waiting_events) = (count(retried.folded), count(retried.waiting));
        Ok(Response::new(RetryParkedEventResponse { folded_events, waiting_events }))
    }

    async fn explain_lag(&self, request: Request<ExplainLagRequest>) -> Result<Response<ExplainLagResponse>, Status> {
        let fold = self.projection(&request.into_inner().projection)?;
        let (explanation, facts) = self.admin().await?.explain_lag(&fold).await;
        let (explanation, reason) = (explanation.sentence, explanation.reason.to_owned());
        Ok(Response::new(ExplainLagResponse { explanation, reason, facts }))
    }
}

/// Tells how far a rebuild has come until it is promoted or waits for that, or the caller has gone.
async fn tell(admin: &Admin, fold: &Arc<dyn Fold>, told: &mpsc::Sender<Result<RebuildProjectionResponse, Status>>) {
    let mut last: Option<Rebuild> = None;
    loop {
        let message = match admin.one(fold).await {
            Ok(facts) => match (facts.rebuild, last.take()) {
                (Some(rebuild), _) => RebuildProjectionResponse { rebuild: Some(rebuild), promoted: false },
                (None, last) => {
                    let promoted = last.as_ref().is_none_or(|rebuild| rebuild.generation == facts.generation);
                    let rebuild = last.map(|rebuild| Rebuild {
                        done_events: rebuild.total_events,
                        caught_up: true,
                        time_left: None,
                        ..rebuild
                    });
                    RebuildProjectionResponse { rebuild, promoted }
                }
            },
            Err(failure) => {
                let _ = told.send(Err(failed(failure))).await;
                return;
            }
        };
        last.clone_from(&message.rebuild);
        let is_over = message
            .rebuild
            .as_ref()
            .is_none_or(|rebuild| rebuild.waits_for_promotion && rebuild.caught_up && rebuild.comparison.is_some());
        let is_over = is_over || message.promoted;
        if told.send(Ok(message)).await.is_err() || is_over {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PROGRESS_EVERY) => {}
            () = told.closed() => return,
        }
    }
}

/// Opaque to callers, and nothing that they couldn't list anyway.
fn page_token(event: &ProjectionParkedEvent) -> String {
    let (position, shard) = event.event.as_ref().map_or((0, 0), |event| (event.position, event.shard));
    format!("{}.{position}.{shard}", event.projection)
}

/// Whether ListParkedEvents could have handed this out: for whoever tries out what it makes of other texts.
pub fn is_page_token(text: &str) -> bool {
    place(text).is_some()
}

fn place(page_token: &str) -> Option<ParkedPlace> {
    if page_token.is_empty() {
        return Some(ParkedPlace::default());
    }
    let mut parts = page_token.split('.');
    let (projection, position, shard) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then(|| ParkedPlace { projection: projection.to_owned(), position, shard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_leads_back_to_its_place() {
        let event = ParkedEvent { position: 7, shard: 3, ..ParkedEvent::default() };
        let event = ProjectionParkedEvent { projection: "order".into(), event: Some(event) };
        let expected = ParkedPlace { projection: "order".into(), position: 7, shard: 3 };
        assert_eq!(place(&page_token(&event)), Some(expected));
        assert_eq!(place(""), Some(ParkedPlace::default()));
        for token in ["order", "order.x.1", "order.1", "order.1.2.3"] {
            assert_eq!(place(token), None, "{token}");
        }
    }
}
