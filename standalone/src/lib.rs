//! One machine, one command: a private nats-server and a private Postgres as
//! child processes, the aggregator and the agent in this one. The servers are
//! usable by themselves; the end-to-end tests run theirs with them.

mod account;
mod child;
pub mod cli;
pub mod demo;
mod kept_nats;
mod lock;
pub mod log;
pub mod nats_server;
pub mod postgres;
mod postgres_bin;
mod private_dir;
mod ready;
pub mod rebuild;
pub mod roots;
mod runtime_file;
mod script;
pub mod secret;
pub mod settings;
pub mod signals;
mod supervise;
pub mod up;
mod version;

pub use nats_server::{NatsOptions, NatsServer};
pub use postgres::{PostgresOptions, PostgresServer};
pub use secret::Secret;
