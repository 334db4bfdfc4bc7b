//! What becomes due without an event: presences, hosts that fall silent,
//! builds that fall silent, and the beacon with the newest seq.

use std::time::{Duration, Instant};

use async_nats::Message;
use protocol::presence::MAX_ALIVE;
use protocol::{Presence, Timestamp};
use serde_json::json;

use super::batch::Draft;
use super::commit::HostChange;
use super::leader::{Leader, Lost, Refused, clock};
use super::presence::{self, Judged};
use super::publish;
use super::silence::Life;
use crate::alerts::About;
use crate::fold::{Fact, TimerKind};
use crate::nats::MAX_BATCH;
use crate::store::{CommitError, TrackKey};

/// How often replicas are told the newest seq.
const BEACON_EVERY: Duration = Duration::from_secs(5);
/// After a beginning agents reconnect and send what they have: until then silence means nothing.
const SETTLE: Duration = Duration::from_secs(5);
/// A backlog that nothing was heard of for so long is none any more.
const BACKLOG_VALID: Duration = Duration::from_secs(10);
/// A build that cannot be called silent now is looked at again after this, milliseconds.
const LOOK_AGAIN_MS: i64 = 60_000;

const NAME_REMEDY: &str =
    "give each agent a name of its own with PHASELINE_HOST, and a state directory of its own";

/// When what is due.
pub(crate) struct Duties {
    beacon_at: Instant,
    silence_from: Instant,
    backlog: u64,
    heard_at: Instant,
}

impl Duties {
    pub(crate) fn begin(now: Instant, backlog: u64) -> Self {
        Self {
            beacon_at: now + BEACON_EVERY,
            silence_from: now + SETTLE,
            backlog,
            heard_at: now,
        }
    }

    /// A batch was taken, and so many events wait behind it.
    pub(crate) fn heard(&mut self, pending: u64, now: Instant) {
        self.backlog = pending;
        self.heard_at = now;
    }

    /// Silence may be judged: we have heard all there is to hear.
    fn may_judge_silence(&self, now: Instant) -> bool {
        let caught_up = self.backlog == 0 || now >= self.heard_at + BACKLOG_VALID;
        caught_up && now >= self.silence_from
    }
}

/// The moment of a wall-clock time, not before `now`.
fn moment(at: Timestamp, clock: Timestamp, now: Instant) -> Instant {
    let millis = u64::try_from(at.millis_since(clock)).unwrap_or(0);
    now + Duration::from_millis(millis)
}

impl Leader {
    /// The earliest moment at which something becomes due.
    pub(crate) fn next_duty(&self, duties: &Duties) -> Instant {
        let now = Instant::now();
        let mut next = duties.beacon_at;
        if let Some(at) = self.hosts.next_check() {
            next = next.min(at);
        }
        if let (true, Some(at)) = (duties.may_judge_silence(now), self.open.next_deadline()) {
            next = next.min(moment(at, clock(), now));
        }
        next
    }

    pub(crate) async fn on_timer(&mut self, duties: &mut Duties) -> Result<(), Lost> {
        let now = Instant::now();
        for judged in self.hosts.gone(now) {
            tracing::info!(host = judged.known.host.name, "a host is gone");
            self.adopt(judged, false).await?;
        }
        if duties.may_judge_silence(now) {
            self.call_silent().await?;
        }
        if now >= duties.beacon_at {
            publish::announce(&self.nats, self.seq).await;
            self.tell_of_names(now);
            duties.beacon_at = now + BEACON_EVERY;
        }
        Ok(())
    }

    fn tell_of_names(&self, now: Instant) {
        match self.hosts.rivalry(now) {
            Some(text) => self.alerts.tell(About::Name, text, NAME_REMEDY),
            None => self.alerts.clear(About::Name),
        }
    }

    async fn call_silent(&mut self) -> Result<(), Lost> {
        let now = clock();
        let due = self.open.due(now, MAX_BATCH);
        self.load(due.iter()).await?;
        let mut drafts = Vec::new();
        for key in &due {
            if self.hosts.has_backlog(&key.host) {
                self.open.postpone(key, now.plus_millis(LOOK_AGAIN_MS));
                continue;
            }
            let Some(Ok(track)) = self.tracks.get(key) else {
                continue;
            };
            if let (Some(silence), Some(since)) = (track.silence(), track.alive_at()) {
                let kind = TimerKind::Silent {
                    since,
                    limit_ms: silence.limit_ms,
                    evidence: silence.evidence,
                };
                drafts.push(Draft::timer(key.clone(), kind, now));
            }
        }
        let refused = self.settle(drafts, Vec::new()).await?;
        log_refused(&refused);
        // Whatever is still due would be so at once again.
        let still_due =
            |leader: &Self, key: &TrackKey| leader.open.due(now, MAX_BATCH).contains(key);
        for key in due {
            if still_due(self, &key) {
                self.open.postpone(&key, now.plus_millis(LOOK_AGAIN_MS));
            }
        }
        Ok(())
    }

    pub(crate) async fn on_presence(&mut self, message: &Message) -> Result<(), Lost> {
        let presence = match presence::read(&message.subject, &message.payload) {
            Ok(presence) => presence,
            Err(reason) => {
                self.metrics.writer.bad_presences.inc();
                tracing::warn!(subject = %message.subject, reason, "failed to read a presence");
                return Ok(());
            }
        };
        self.metrics.writer.presences.inc();
        publish::answer(&self.nats, message, self.stream.as_deref()).await;
        let name = self.meet(&presence).await?;
        let judged = self.hosts.judge(&name, &presence, Instant::now(), clock());
        let Some(judged) = judged else {
            self.metrics.writer.bad_presences.inc();
            tracing::debug!(
                host = presence.host,
                "a presence of an earlier start, or of one host too many, was not believed"
            );
            return Ok(());
        };
        let (changed, heard) = (judged.changed, judged.heard);
        if let (true, Some(reason)) = (changed, &judged.known.host.state_reason) {
            tracing::warn!(host = name, reason, "a host is not as it should be");
        }
        if changed {
            self.adopt(judged, heard).await?;
        } else {
            self.hosts.keep(judged.known);
        }
        let moved = self.signs_of_life(&name, &presence).await?;
        let figures = (heard && !changed).then_some(name.as_str());
        self.note_figures(figures, &moved).await
    }

    /// The name under which the host that speaks is kept. Where that is not its own, the one that has it is told.
    async fn meet(&mut self, presence: &Presence) -> Result<String, Lost> {
        let now = Instant::now();
        let name = self.hosts.name_of(&presence.host, presence.agent, now);
        if name != presence.host
            && let Some(judged) = self.hosts.meet_rival(presence, now)
        {
            if judged.changed {
                self.adopt(judged, false).await?;
            } else {
                self.hosts.keep(judged.known);
            }
        }
        Ok(name)
    }

    /// Puts events under the names by which their hosts are kept. One that is not known yet is stored first, so
    /// that whoever takes over calls it the same.
    pub(crate) async fn name_hosts(&mut self, drafts: &mut [Draft]) -> Result<(), Lost> {
        let now = Instant::now();
        for draft in drafts {
            let Fact::Observed(event) = &draft.fact else {
                continue;
            };
            // Who takes calls for a host need not be its agent.
            if event.is_call() {
                draft.key.host = self.hosts.name_of_taker(&event.host, event.agent);
                continue;
            }
            let name = self.hosts.name_of(&event.host, event.agent, now);
            if let Some(known) = self.hosts.introduce(&name, &event.host, event.agent, now) {
                let change = HostChange {
                    host: known.host.clone(),
                    seen: false,
                };
                log_refused(&self.settle(Vec::new(), vec![change]).await?);
                self.hosts.keep(known);
            }
            draft.key.host = name;
        }
        Ok(())
    }

    /// Commits a host's change with what it means for its open builds, and remembers it.
    async fn adopt(&mut self, judged: Judged, seen: bool) -> Result<(), Lost> {
        let now = clock();
        let name = judged.known.host.name.clone();
        let mut drafts: Vec<Draft> = Vec::new();
        for kind in &judged.builds {
            let concerned = self.open.of_host(&name);
            let concerned = concerned.filter(|(_, open)| open.is_concerned(kind));
            drafts.extend(concerned.map(|(key, _)| Draft::timer(key.clone(), kind.clone(), now)));
        }
        // The host itself comes last: whoever takes over in between finds it as it was, and begins anew.
        while drafts.len() > MAX_BATCH {
            let rest = drafts.split_off(MAX_BATCH);
            let refused = self.settle(drafts, Vec::new()).await?;
            log_refused(&refused);
            drafts = rest;
        }
        let change = HostChange {
            host: judged.known.host.clone(),
            seen,
        };
        let refused = self.settle(drafts, vec![change]).await?;
        log_refused(&refused);
        self.hosts.keep(judged.known);
        Ok(())
    }

    /// Takes the signs of life of a presence. Answers those that only move
    /// `alive_at`; a stalled build that shows one is woken by a fact.
    async fn signs_of_life(
        &mut self,
        host: &str,
        presence: &Presence,
    ) -> Result<Vec<(String, Timestamp)>, Lost> {
        let now = clock();
        let offset_ms = presence.sent_at.millis_since(now);
        let mut moved = Vec::new();
        let mut woken = Vec::new();
        for alive in presence.alive.iter().take(MAX_ALIVE) {
            let key = TrackKey {
                host: host.to_owned(),
                producer: alive.producer.clone(),
                project: alive.project_token,
            };
            // A file time after the message's own is no time of a sign of life.
            let at = alive.file_time.min(presence.sent_at);
            match self.open.life(&key, at, offset_ms, now) {
                Life::Known => {}
                Life::Wakes => woken.push(Draft::timer(key, TimerKind::Alive { at }, now)),
                Life::Moved => {
                    if let Some(track) = self.tracks.get_mut(&key) {
                        track.saw_life(at);
                    }
                    moved.extend(self.open.get(&key).map(|open| (open.build_id.clone(), at)));
                }
            }
        }
        while !woken.is_empty() {
            let rest = woken.split_off(woken.len().min(MAX_BATCH));
            let refused = self.settle(woken, Vec::new()).await?;
            log_refused(&refused);
            woken = rest;
        }
        Ok(moved)
    }

    /// Notes that a host was heard, and where builds only showed a sign of life: no seq and no frame.
    async fn note_figures(
        &mut self,
        heard: Option<&str>,
        moved: &[(String, Timestamp)],
    ) -> Result<(), Lost> {
        let known = heard.and_then(|name| self.hosts.get(name));
        let figures = known.map(|known| {
            let host = &known.host;
            let figures = json!({
                "clock_offset_ms": host.clock_offset_ms,
                "outbox": host.outbox,
                "roots": host.roots,
                "calls": host.calls,
            });
            (host.name.as_str(), figures.to_string())
        });
        let figures = figures
            .as_ref()
            .map(|(name, figures)| (*name, figures.as_str()));
        let alive: Vec<_> = moved.iter().map(|(id, at)| (id.as_str(), *at)).collect();
        match self.db.note_figures(figures, &alive).await {
            Ok(()) => Ok(()),
            Err(CommitError::Data(reason)) => {
                tracing::warn!(host = heard, reason, "failed to store what a presence said");
                Ok(())
            }
            Err(error) => Err(Lost(error.to_string())),
        }
    }
}

fn log_refused(refused: &[Refused]) {
    for Refused { draft, reason } in refused {
        let key = draft.as_ref().map(|draft| &draft.key);
        tracing::error!(
            ?key,
            reason,
            "failed to store a finding about a host or its builds"
        );
    }
}
