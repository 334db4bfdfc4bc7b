//! `phaseline-agent`: settings, logging, run, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use agent::settings::{self, Checking, Command, NoSettings};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// `EX_USAGE` of sysexits: a setting cannot be used.
const BAD_SETTING: u8 = 64;

fn main() -> ExitCode {
    let (config, log) = match settings::read(std::env::args_os()) {
        Ok(Command::Watch(config, log)) => (*config, log),
        Ok(Command::Check(checking)) => return check(&checking),
        Err(NoSettings::Asked(text)) => {
            let _ = write!(std::io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(NoSettings::Bad(sentence)) => return refused(&sentence),
    };
    agent::logging::start(&log);
    // One thread: the agent waits nearly all of its life.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(anyhow::Error::from);
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(run(config));
        // Not waited for: a file system may hang under a thread that reads a log.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refused(sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "phaseline-agent: {sentence}");
    ExitCode::from(BAD_SETTING)
}

/// Says what a file becomes.
fn check(checking: &Checking) -> ExitCode {
    match checking.explain() {
        Ok((text, code)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(code)
        }
        Err(bad) => refused(&bad.to_string()),
    }
}

async fn run(config: agent::Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (ready, is_ready) = oneshot::channel();
    let stop = CancellationToken::new();
    tracing::info!(host = config.host, watch = ?config.watch, "agent starts");
    let stopping = async {
        if is_ready.await.is_ok() {
            tracing::info!("agent is ready");
        }
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("agent stops");
        stop.cancel();
        std::future::pending().await
    };
    tokio::select! { result = agent::run(config, ready, stop.clone()) => result, never = stopping => never }
}
