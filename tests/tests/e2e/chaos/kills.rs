//! Every part is killed at any moment.
