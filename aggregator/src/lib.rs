//! stub
pub mod fold;
