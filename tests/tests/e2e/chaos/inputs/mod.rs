//! No input stops it: hostile files and poison messages of every kind, each
//! accounted for as a row, a flag on its build, or a dead letter; nothing
//! crashes, and what others send is not held up.

mod at_commit;
mod controls;
mod files;
mod others;
mod poison;
mod toxins;
