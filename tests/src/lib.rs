//! The harness of the end-to-end tests and of the benchmark: real servers, the
//! workspace's own programs as child processes, writers that behave as the
//! producers do, clients of the API and the stream, an oracle over Postgres
//! and a browser. Everything it starts ends with the process, also when that
//! is killed.
//!
//! It is test code: a failure panics with what was expected and what was seen.

#![allow(
    clippy::print_stderr,
    reason = "a failing test shows the output of its children"
)]

pub mod adw;
pub mod api;
mod background;
pub mod browser;
pub mod claude;
pub mod db;
pub mod disk;
pub mod fixtures;
pub mod fleet;
pub mod follower;
pub mod load;
pub mod nats;
pub mod oracle;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod publisher;
pub mod scale;
pub mod scratch;
pub mod seen;
pub mod spawner;
pub mod steady;
pub mod stream;
pub mod system;
pub mod wait;
pub mod writer;
