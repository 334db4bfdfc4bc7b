//! Hostile files and poison messages.
