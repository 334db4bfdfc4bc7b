//! From a plan to rows: each changed build and host gets its seq, an ended
//! build a second one for its end. The leader is the only writer, so it knows
//! the newest seq and needs no answer before the rows are sent. Pure.
//! The end has a seq of its own so that a browser that lost its connection
//! between a build's last update and its end gets exactly the end.

use protocol::Host;

use super::batch::{Change, Plan};
use crate::fold::costs;
use crate::store::{BuildRow, HostRow, Rows, TrackKey};

/// A host that changed. `seq` and `last_updated` are filled in at the commit.
#[derive(Debug)]
pub(crate) struct HostChange {
    pub(crate) host: Host,
    /// Its agent was heard just now.
    pub(crate) seen: bool,
}

/// The seqs of a build's change and of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seqs {
    pub(crate) change: i64,
    pub(crate) end: Option<i64>,
}

/// Which change got which seq.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// In the order of `Plan::changes`.
    pub(crate) builds: Vec<Seqs>,
    /// In the order of the hosts.
    pub(crate) hosts: Vec<i64>,
    /// The newest after the commit.
    pub(crate) next: i64,
}

/// Numbers the changes after `newest`, without gaps.
pub(crate) fn number(changes: &[Change<'_>], hosts: usize, newest: i64) -> Numbers {
    let mut next = newest;
    let mut take = || {
        next += 1;
        next
    };
    let builds = changes
        .iter()
        .map(|change| Seqs {
            change: take(),
            end: change.ended.then(&mut take),
        })
        .collect();
    let hosts = (0..hosts).map(|_| take()).collect();
    Numbers {
        builds,
        hosts,
        next,
    }
}

/// Serialised tracks, so that the cache knows the size of what was written.
pub(crate) type TrackTexts<'a> = Vec<(&'a TrackKey, String)>;

/// The tracks as text.
///
/// # Errors
/// When one cannot be written as JSON, which is a bug in the fold.
pub(crate) fn track_texts<'a>(plan: &Plan<'a>) -> Result<TrackTexts<'a>, String> {
    plan.tracks
        .iter()
        .map(|(key, track)| {
            let text = serde_json::to_string(track).map_err(|error| error.to_string())?;
            Ok((*key, text))
        })
        .collect()
}

/// The rows of a transaction.
pub(crate) fn rows<'a>(
    plan: &'a Plan<'_>,
    tracks: &'a TrackTexts<'a>,
    hosts: &'a [HostChange],
    numbers: &Numbers,
) -> Result<Rows<'a>, String> {
    let text = |value: serde_json::Result<String>| value.map_err(|error| error.to_string());
    let builds = plan
        .changes
        .iter()
        .zip(&numbers.builds)
        .map(|(change, seqs)| {
            Ok(BuildRow {
                build: &change.build,
                key: change.key,
                seq: seqs.change,
                completed_seq: seqs.end,
                // Not by way of a `Value`, where an amount of money is a double.
                body: text(serde_json::to_string(&change.build))?,
                costs: costs::stored(&change.build),
            })
        });
    let hosts = hosts.iter().zip(&numbers.hosts).map(|(change, seq)| {
        Ok(HostRow {
            name: &change.host.name,
            state: change.host.state.word(),
            agent: change.host.agent.as_deref(),
            seen: change.seen,
            seq: *seq,
            body: text(serde_json::to_string(&change.host))?,
        })
    });
    Ok(Rows {
        builds: builds.collect::<Result<_, String>>()?,
        hosts: hosts.collect::<Result<_, String>>()?,
        events: &plan.events,
        tracks: tracks
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
            .collect(),
        alive: plan
            .alive
            .iter()
            .map(|(id, at)| (id.as_str(), *at))
            .collect(),
    })
}
