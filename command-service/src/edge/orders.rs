//! OrderCommandService.

use tally_api::orders::v1::order_command_service_server::OrderCommandService;
use tally_api::orders::v1::{
    CancelOrderRequest, CancelOrderResponse, CreateOrderRequest, CreateOrderResponse, ShipOrderRequest,
    ShipOrderResponse,
};
use tally_domain::{Event, order};
use tonic::{Request, Response, Status};

use super::Edge;
use crate::convert::{line_outcomes, receipt};

#[tonic::async_trait]
impl OrderCommandService for Edge {
    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let outcome = self.execute(request).await?;
        let order_id = outcome.events.iter().find_map(|event| match event {
            Event::Order(order::Event::OrderCreated { order_id, .. }) => Some(order_id.clone()),
            Event::Order(_) | Event::Product(_) | Event::Batch(_) => None,
        });
        Ok(Response::new(CreateOrderResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            order_id: order_id.unwrap_or_default(),
            lines: line_outcomes(&outcome.events),
        }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(CancelOrderResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            lines: line_outcomes(&outcome.events),
        }))
    }

    async fn ship_order(&self, request: Request<ShipOrderRequest>) -> Result<Response<ShipOrderResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(ShipOrderResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            lines: line_outcomes(&outcome.events),
        }))
    }
}
