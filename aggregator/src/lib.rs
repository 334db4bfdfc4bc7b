//! The aggregator: takes events from NATS, folds them into builds, commits
//! them to Postgres, and serves browsers and scripts. [`run`] is all of it;
//! whoever calls it owns the listening socket and the stop signal.

mod alerts;
pub mod budgets;
pub mod config;
pub mod fold;
mod history;
mod ingest;
mod live;
pub mod metrics;
mod nats;
mod run;
mod store;
mod web;
mod writer;

pub use config::Config;
pub use history::{Rebuilt, rebuild};
pub use nats::NatsTarget;
pub use run::{listen, migrate, run};
pub use store::{DatabaseTarget, LogLimits};
pub use web::healthcheck;
