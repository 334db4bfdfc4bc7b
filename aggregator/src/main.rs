//! `phaseline-aggregator`: settings, logging, then [`aggregator::run`] until a signal.

use std::process::ExitCode;

use aggregator::config::{Cli, Command, EXIT_USAGE, LogFormat, Resolved};
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let _ = told.print();
            return if told.use_stderr() {
                EXIT_USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let command = cli.command;
    let settings = match cli.resolve() {
        Ok(settings) => settings,
        Err(bad) => {
            let _ =
                std::io::Write::write_all(&mut std::io::stderr(), format!("{bad}\n").as_bytes());
            return EXIT_USAGE.into();
        }
    };
    start_logging(&settings);
    let done = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(carry_out(command, settings)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(command: Option<Command>, settings: Resolved) -> anyhow::Result<()> {
    if command == Some(Command::Healthcheck) {
        return aggregator::healthcheck(settings.listen).await;
    }
    let Some(config) = settings.config else {
        anyhow::bail!("start: no database was named")
    };
    if command == Some(Command::Migrate) {
        return aggregator::migrate(&config.database).await;
    }
    let listener = TcpListener::bind(settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let stop = CancellationToken::new();
    let (ready, _) = oneshot::channel();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let mut running = std::pin::pin!(aggregator::run(config, listener, ready, stop.clone()));
    tokio::select! {
        ended = &mut running => return ended,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    running.await
}

fn start_logging(settings: &Resolved) {
    let filter = tracing_subscriber::EnvFilter::new(&settings.log);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.init(),
    }
}
