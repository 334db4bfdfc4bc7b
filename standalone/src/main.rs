//! The program `phaseline`: reads its settings, starts the log, runs until it
//! is told to stop, and turns the result into an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use agent::settings::CheckArgs;
use anyhow::Result;
use standalone::cli::{Cli, Command};
use standalone::settings::{BadSetting, EXIT_USAGE, Settings};
use standalone::{demo, rebuild, roots, signals, up};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    if let Command::Check(args) = cli.command {
        return check(args);
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the terminal is gone.
            let _ = writeln!(std::io::stderr(), "phaseline: {error:#}");
            ExitCode::from(if error.is::<BadSetting>() {
                EXIT_USAGE
            } else {
                1
            })
        }
    }
}

/// Says what a file becomes, as the agent's own program does.
fn check(args: CheckArgs) -> ExitCode {
    match args.read().and_then(|checking| checking.explain()) {
        Ok((text, code)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(code)
        }
        Err(bad) => {
            let _ = writeln!(std::io::stderr(), "phaseline: {bad}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

#[tokio::main]
async fn run(cli: Cli) -> Result<()> {
    let stop = CancellationToken::new();
    let work = async {
        match cli.command {
            Command::Up(settings) => run_up(*settings, stop.clone()).await,
            Command::Demo(args) => {
                args.log()?.start();
                demo::run(args, std::io::stdout(), stop.clone()).await
            }
            Command::Rebuild(args) => {
                let (config, log) = Settings::from(args).resolve()?;
                log.start();
                rebuild::run(config, std::io::stdout(), stop.clone()).await
            }
            // Done by `main`: it needs none of this.
            Command::Check(_) => Ok(()),
        }
    };
    tokio::select! {
        result = work => result,
        failed = signals::cancel_on_signal(&stop) => failed,
    }
}

async fn run_up(settings: Settings, stop: CancellationToken) -> Result<()> {
    let (config, log) = settings.resolve()?;
    log.start();
    let (ready, page) = oneshot::channel();
    let watch = config.watch.clone();
    let announce = async {
        if let Ok(page) = page.await {
            let _ = writeln!(std::io::stdout(), "ready {page}");
            for doubt in roots::in_doubt(&watch) {
                tracing::warn!("{doubt}");
            }
        }
    };
    tokio::join!(up::run(config, ready, stop), announce).0
}
