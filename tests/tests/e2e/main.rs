//! The end-to-end tests: one file per promise, against real servers, the
//! workspace's own programs and a real browser. `harness` is in `tests/src`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a failure is a panic with its place"
)]

mod adw;
mod adw_logs;
mod any_program;
mod api;
mod browser_fallback;
mod browser_faults;
mod browser_live;
mod browser_looks;
mod chaos;
mod contract;
mod costs;
mod file_to_page;
mod found_by_index;
mod foundry;
mod foundry_sessions;
mod history;
mod hostile;
mod ingest;
mod ingest_agent;
mod ingest_hooks;
mod ingest_order;
mod ingest_runner;
mod ingest_told;
mod limits;
mod log_flood;
mod log_kills;
mod log_lines;
mod moments;
mod moments_many;
mod openbuilder_page;
mod oracle;
mod pages;
mod played;
mod presence;
mod producers_described;
mod promises;
mod refusals;
mod replicas;
mod runner_lines;
mod runs;
mod settings;
mod spent;
mod stream;
mod stream_manners;
mod transcripts;
mod unread;
mod up;
