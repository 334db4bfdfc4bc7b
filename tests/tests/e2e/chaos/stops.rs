//! Clean stops and rolling restarts under load.
