//! What is in deploy/: each overlay rendered and held against the schemas, against its own parts, and against what the processes really do
//! when they are started as the manifests say.

mod alerts;
mod components;
mod compose;
mod edges;
mod image;
mod linters;
mod migrations;
mod observed;
mod pods;
mod prober;
mod readme;
mod redis_cluster;
mod rendered;
mod retries;
mod roles;
mod scaling;
mod selectors;
mod started;
mod users;
