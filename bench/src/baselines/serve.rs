use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tally_api::allocation::v1::allocation_command_service_server::{
    AllocationCommandService, AllocationCommandServiceServer, SERVICE_NAME,
};
use tally_api::stored::orders::v1::order_query_service_server::{OrderQueryService, OrderQueryServiceServer};
use tally_runtime::{PortArgs, Readiness, bind, serve, stop_signal};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Server, server::TcpIncoming};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The same edge as Tally's own services have, with the same settings.
pub(super) async fn serve_as_tally(service: impl AllocationCommandService) -> Result<()> {
    let routes = Routes::new(AllocationCommandServiceServer::new(service));
    let readiness = Readiness::default();
    readiness.set(true);
    serve(
        bind(ANYWHERE, &PortArgs::default()).await?,
        routes,
        &[SERVICE_NAME],
        readiness,
        DRAIN_TIMEOUT,
        stop_signal()?,
    )
    .await
}

/// tonic and nothing around it.
#[allow(clippy::print_stdout, reason = "the one line that says where it listens")]
pub(super) async fn serve_bare(commands: impl AllocationCommandService, queries: impl OrderQueryService) -> Result<()> {
    let listener = TcpListener::bind(ANYWHERE).await?;
    println!("listening on {}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .add_service(AllocationCommandServiceServer::new(commands))
        .add_service(OrderQueryServiceServer::new(queries));
    Ok(server.serve_with_incoming_shutdown(incoming, stop_signal()?).await?)
}
