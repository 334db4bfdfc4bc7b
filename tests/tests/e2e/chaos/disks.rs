//! Disks run full and get room again.
