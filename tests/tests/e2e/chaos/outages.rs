//! Long outages and half-open connections.
