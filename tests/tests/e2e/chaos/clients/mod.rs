//! Many browsers, sleeping browsers, rude browsers: each is served or shown
//! out with the fitting code, and nobody pays for another.

mod crowd;
mod many;
mod restart;
mod rude;
