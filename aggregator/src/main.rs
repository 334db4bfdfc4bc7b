//! `phaseline-aggregator`: settings, logging, then [`aggregator::run`] until a signal.

use std::io::Write as _;
use std::process::ExitCode;

use aggregator::config::{Cli, Command, EXIT_USAGE, Resolved};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) if !told.use_stderr() => {
            let _ = told.print();
            return ExitCode::SUCCESS;
        }
        Err(bad) => {
            // One sentence, as of every setting that cannot be used: the first paragraph.
            let text = bad.to_string();
            let lines = text.lines().map(str::trim);
            let first: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
            let _ = writeln!(std::io::stderr(), "{}; see --help", first.join(" "));
            return EXIT_USAGE.into();
        }
    };
    let command = cli.command;
    let settings = match cli.resolve() {
        Ok(settings) => settings,
        Err(bad) => {
            let _ = writeln!(std::io::stderr(), "{bad}");
            return EXIT_USAGE.into();
        }
    };
    settings.start_logging();
    let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from);
    let done = runtime.and_then(|runtime| runtime.block_on(carry_out(command, settings)));
    let done = done.inspect_err(|error| tracing::error!("failed to {error:#}"));
    done.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

async fn carry_out(command: Option<Command>, settings: Resolved) -> anyhow::Result<()> {
    let config = match (command, settings.config) {
        (Some(Command::Healthcheck), _) => return aggregator::healthcheck(settings.listen).await,
        (_, None) => anyhow::bail!("start: no database was named"),
        (Some(Command::Migrate), Some(config)) => {
            return aggregator::migrate(&config.database).await;
        }
        (Some(Command::Rebuild), Some(config)) => {
            let rebuilt = aggregator::rebuild(&config.database).await?;
            writeln!(std::io::stdout(), "{rebuilt}")?;
            return Ok(());
        }
        (None, Some(config)) => config,
    };
    let listener = aggregator::listen(settings.listen).await?;
    let (stop, (ready, _)) = (CancellationToken::new(), oneshot::channel());
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut running = std::pin::pin!(aggregator::run(config, listener, ready, stop.clone()));
    tokio::select! {
        ended = &mut running => return ended,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    running.await
}
