//! Tables of cases: what a row of writes makes of a build.

mod adw;
mod calls;
mod contents;
mod costs;
mod play;
mod runs;
mod spent;
