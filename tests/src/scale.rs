//! Two sizes of the same test: the short form that everybody runs with every
//! change, and the long form of `make chaos` and `make soak`.

/// Set (to anything) for the long form.
const LONG: &str = "PHASELINE_TEST_LONG";

/// The size for this run.
#[must_use]
pub fn scale<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Whether this is the long form.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

/// A number that a person may choose, such as `MINUTES=60`.
#[must_use]
pub fn chosen(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
