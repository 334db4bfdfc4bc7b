//! Thousands of browsers, some of which never read.
