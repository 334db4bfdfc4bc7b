//! Tables of cases: what a row of writes makes of a build.

mod adw;
mod calls;
mod contents;
mod costs;
mod foundry;
mod foundry_oddities;
mod mapped;
mod play;
mod reported;
mod runner_oddities;
mod runs;
mod sent;
mod sent_by_runners;
mod sessions;
mod spent;
