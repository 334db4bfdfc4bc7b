//! Our own state is damaged or taken away.
