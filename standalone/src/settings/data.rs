//! The few settings of commands that work on the data of `phaseline up` while it does not run.

use std::path::PathBuf;

use clap::Args;

use super::Settings;

/// Flags and variables of them; the file may be that of `phaseline up`.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// TOML file with settings; keys are the flags' names with _ for -
    #[arg(long, env = "PHASELINE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where data is kept [default: $XDG_STATE_HOME/phaseline, ~/.local/state/phaseline, as root /var/lib/phaseline]
    #[arg(long, env = "PHASELINE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Directory with the Postgres server binaries [default: found]
    #[arg(long, env = "PHASELINE_POSTGRES_BIN", value_name = "DIR")]
    postgres_bin: Option<PathBuf>,
    /// What is logged, e.g. info or warn,aggregator=debug [default: info]
    #[arg(long, env = "PHASELINE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// text or json [default: text]
    #[arg(long, env = "PHASELINE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
}

impl From<DataArgs> for Settings {
    fn from(args: DataArgs) -> Self {
        Self {
            config: args.config,
            state_dir: args.state_dir,
            postgres_bin: args.postgres_bin,
            log: args.log,
            log_format: args.log_format,
            ..Self::default()
        }
    }
}
