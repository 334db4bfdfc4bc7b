//! `phaseline demo`: two agents with host names of their own watch temporary
//! directories in which three fake builds write their files, so that a
//! newcomer sees a running system do something within seconds, and each panel of it filled.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use protocol::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::log::Log;
use crate::private_dir::create_private_dir;
use crate::runtime_file::RuntimeFile;
use crate::script::{Play, Step, plays};
use crate::secret::Secret;
use crate::settings::{BadSetting, state_dir};

/// A broker on the same machine or in the same network answers in milliseconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The last state of all builds is delivered, and the agents say good-bye.
const END_GRACE: Duration = Duration::from_secs(3);

/// Flags and variables of `phaseline demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// State directory of the running `phaseline up` [default: the usual one]
    #[arg(long, env = "PHASELINE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// NATS of a system that runs elsewhere, e.g. nats://central:4222
    #[arg(
        long,
        env = "PHASELINE_NATS_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    nats_url: Option<String>,
    /// Its user for agents
    #[arg(long, env = "PHASELINE_NATS_USER", value_name = "NAME")]
    nats_user: Option<String>,
    /// File with that user's password
    #[arg(long, env = "PHASELINE_NATS_PASSWORD_FILE", value_name = "FILE")]
    nats_password_file: Option<PathBuf>,
    /// Times the normal speed, which takes about a minute
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = parse_speed)]
    speed: f64,
    /// What is logged [default: warn]
    #[arg(long, env = "PHASELINE_LOG", value_name = "FILTER")]
    log: Option<String>,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=100.0).contains(&speed) => Ok(speed),
        _ => Err("expected a factor from 0.1 to 100".to_owned()),
    }
}

impl DemoArgs {
    /// What is logged.
    ///
    /// # Errors
    /// When the filter cannot be used.
    pub fn log(&self) -> Result<Log, BadSetting> {
        let filter = self.log.clone().unwrap_or_else(|| "warn".to_owned());
        Log::check(Some(filter), None)
    }

    /// The named system, or the one that runs here.
    fn find(&self) -> Result<(agent::NatsTarget, Option<String>)> {
        if let Some(url) = &self.nats_url {
            let file = self.nats_password_file.as_deref();
            let password = file.map(Secret::read).transpose()?;
            let target = agent::NatsTarget {
                url: url.clone(),
                user: self.nats_user.clone(),
                password: password.map(|secret| secret.reveal().to_owned()),
            };
            return Ok((target, None));
        }
        let state_dir = state_dir(self.state_dir.clone())?;
        let Some(running) = RuntimeFile::read(&state_dir)? else {
            bail!(
                "no running Phaseline was found ({}): start one with `make up`, and try again when it says ready; or name one elsewhere with --nats-url",
                state_dir.display()
            );
        };
        let password = Secret::read(&running.nats_password_file)?;
        let target = agent::NatsTarget {
            url: running.nats_url,
            user: Some(running.nats_user),
            password: Some(password.reveal().to_owned()),
        };
        Ok((target, Some(running.page)))
    }
}

/// Plays all builds, saying on `out` what happens, and cleans up.
///
/// # Errors
/// When no running system is found or reached, or files cannot be written.
pub async fn run(args: DemoArgs, mut out: impl Write, stop: CancellationToken) -> Result<()> {
    let (nats, page) = args.find()?;
    check_connection(&nats).await?;
    let stage = Stage::set_up()?;
    let agents_stop = CancellationToken::new();
    let plays = plays();
    let hosts: BTreeSet<&str> = plays.iter().map(|play| play.host).collect();
    let agents = futures::future::try_join_all(
        hosts
            .into_iter()
            .map(|host| run_agent(host, &stage, &nats, agents_stop.clone())),
    );
    let show = async {
        if let Some(page) = &page {
            writeln!(out, "watch it on {page}")?;
        }
        show(&plays, &stage, args.speed, &mut out).await
    };
    let acts = async {
        let result = stop.run_until_cancelled(show).await;
        agents_stop.cancel();
        result.unwrap_or(Ok(()))
    };
    let (agents, acts) = tokio::join!(agents, acts);
    acts.and(agents.map(|_| ()))
}

async fn check_connection(nats: &agent::NatsTarget) -> Result<()> {
    let mut options = async_nats::ConnectOptions::new().connection_timeout(CONNECT_LIMIT);
    if let (Some(user), Some(password)) = (&nats.user, &nats.password) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    options
        .connect(&nats.url)
        .await
        .map(drop)
        .map_err(|error| anyhow!("failed to reach the NATS server of that system: {error}"))
}

/// The temporary directories, removed when dropped.
struct Stage {
    dir: PathBuf,
}

impl Stage {
    fn set_up() -> Result<Self> {
        let name = format!("phaseline-demo-{}", uuid::Uuid::new_v4());
        let dir = std::env::temp_dir().join(name);
        create_private_dir(&dir)?;
        let stage = Self { dir };
        for play in plays() {
            create_dir(&stage.project(&play))?;
        }
        Ok(stage)
    }

    fn root(&self, host: &str) -> PathBuf {
        self.dir.join(host).join("projects")
    }

    fn project(&self, play: &Play) -> PathBuf {
        self.root(play.host).join(play.project)
    }

    fn agent_dir(&self, host: &str) -> PathBuf {
        self.dir.join(host).join("agent")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::warn!(path = %self.dir.display(), %error, "failed to remove the demo's files");
        }
    }
}

async fn run_agent(
    host: &str,
    stage: &Stage,
    nats: &agent::NatsTarget,
    stop: CancellationToken,
) -> Result<()> {
    let config = agent::Config {
        // They are made up: nobody's texts are among them.
        texts: agent::Texts::All,
        ..agent::Config::new(
            host,
            vec![stage.root(host)],
            nats.clone(),
            stage.agent_dir(host),
        )
    };
    let (ready, _) = oneshot::channel();
    agent::run(config, ready, stop)
        .await
        .with_context(|| format!("failed to run the agent {host}"))
}

/// All builds at once, in the order of their times.
async fn show(plays: &[Play], stage: &Stage, speed: f64, out: &mut impl Write) -> Result<()> {
    let begin = Instant::now();
    let started = Timestamp::from_system_time(SystemTime::now());
    for (at, play, step) in timetable(plays) {
        tokio::time::sleep_until(begin + at.div_f64(speed)).await;
        let (text, is_more) = step.text(started, Timestamp::from_system_time(SystemTime::now()));
        write(&stage.project(play).join(&step.file), &text, is_more)?;
        if step.line.is_empty() {
            continue;
        }
        let seconds = begin.elapsed().as_secs();
        writeln!(
            out,
            "{seconds:>3} s  {}  {:<10}  {}",
            play.host, play.project, step.line
        )?;
    }
    writeln!(out, "all builds have ended; the temporary files go now")?;
    tokio::time::sleep(END_GRACE).await;
    Ok(())
}

/// Every step with its time since the beginning.
fn timetable(plays: &[Play]) -> Vec<(Duration, &Play, &Step)> {
    let mut table = Vec::new();
    for play in plays {
        let mut at = Duration::ZERO;
        for step in &play.steps {
            at += step.pause;
            table.push((at, play, step));
        }
    }
    table.sort_by_key(|(at, ..)| *at);
    table
}

fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("failed to create {}", path.display()))
}

/// As the shell's `cat > file` does it: the same file, emptied and filled again; or as `cat >> file`.
fn write(path: &Path, text: &str, is_more: bool) -> Result<()> {
    create_dir(path.parent().unwrap_or(path))?;
    let mut options = OpenOptions::new();
    options
        .create(true)
        .write(true)
        .truncate(!is_more)
        .append(is_more);
    let file = options.open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builds_run_at_the_same_time() {
        let plays = plays();
        let hosts: Vec<_> = timetable(&plays)
            .iter()
            .map(|(_, play, _)| play.host)
            .collect();
        let last = |host| hosts.iter().rposition(|h| *h == host).unwrap();
        let first = |host| hosts.iter().position(|h| *h == host).unwrap();
        assert!(first("demo-2") < last("demo-1"));
    }

    #[test]
    fn the_stage_is_gone_afterwards() {
        let stage = Stage::set_up().unwrap();
        let dir = stage.dir.clone();
        assert!(stage.project(&plays()[0]).is_dir());
        drop(stage);
        assert!(!dir.exists());
    }

    #[test]
    fn a_speed_is_a_factor() {
        assert_eq!(parse_speed("2.5"), Ok(2.5));
        for bad in ["0", "-1", "NaN", "fast", "1e9"] {
            assert!(parse_speed(bad).is_err(), "{bad}");
        }
    }
}
