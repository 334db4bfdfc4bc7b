//! Conversations over a real WebSocket without a server behind it.

mod conversation;
mod frames;
mod rfc6455;
mod same_for_all;
