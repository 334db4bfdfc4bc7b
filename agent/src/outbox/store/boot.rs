//! The identity of a start: boots sort by time, whatever the clock does.

use uuid::Uuid;

/// `now`, or where the clock was set back, a boot one millisecond after the last.
pub(super) fn later(last: Option<Uuid>, now: Uuid) -> Uuid {
    match last {
        Some(last) if now <= last => {
            let millis = u64::try_from(last.as_u128() >> 80).unwrap_or(0) + 1;
            let nanos = u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000;
            let time = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, nanos);
            Uuid::new_v7(time)
        }
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_sort_even_when_the_clock_is_set_back() {
        let now = Uuid::now_v7();
        assert_eq!(later(None, now), now);
        let future = Uuid::from_u128(now.as_u128() + (1 << 100));
        let next = later(Some(future), now);
        assert!(next > future);
        assert_eq!(next.get_version_num(), 7);
    }
}
