//! Every fault, tried from outside: what `docs/reliability.md` promises is
//! shown here. `make test` runs the short forms, `make chaos` the long ones.

mod clients;
mod corruption;
mod disks;
mod files;
mod inputs;
mod kills;
mod outages;
mod slow_disk;
mod soak;
mod stops;
