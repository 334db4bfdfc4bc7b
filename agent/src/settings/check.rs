//! `check FILE` as it is typed, to the agent and to a launcher: the few
//! settings that it needs, and its answer.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::values::{host, prune, texts, watch};
use super::{OneOrMany, read_file};
use crate::check::{Setting, check};
use crate::config::{self, BadSetting, Custom, LogPattern};

/// Flags and variables of `check FILE`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The producer's file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// JSON for machines
    #[arg(long)]
    pub(super) json: bool,
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "PHASELINE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Name of this host, 1 to 64 bytes [default: the machine's host name]
    #[arg(long, value_name = "NAME", env = "PHASELINE_HOST")]
    pub(super) host: Option<String>,
    /// Directories that are watched, separated by `:` [default: wherever the file is]
    #[arg(long, value_name = "DIRS", env = "PHASELINE_WATCH")]
    pub(super) watch: Option<OsString>,
    /// Names of directories that are not walked, separated by commas; replaces the built-in list
    #[arg(long, value_name = "NAMES", env = "PHASELINE_PRUNE")]
    pub(super) prune: Option<String>,
    /// What texts of producers may leave this host: `none`, `logs` or `all` [default: logs]
    #[arg(long, value_name = "WHAT", env = "PHASELINE_TEXTS")]
    pub(super) texts: Option<String>,
}

/// What is read of a file, which may be that of `phaseline up`: it has other keys beside.
#[derive(Debug, Default, Deserialize)]
struct CheckFile {
    host: Option<String>,
    watch: Option<OneOrMany>,
    prune: Option<OneOrMany>,
    texts: Option<String>,
    #[serde(default)]
    log_file: Vec<LogPattern>,
    #[serde(default)]
    transcripts: Vec<String>,
    #[serde(default)]
    producer: Vec<toml::Table>,
}

/// A file that is to be explained.
#[derive(Debug)]
pub struct Checking {
    /// Absolute.
    file: PathBuf,
    /// For machines.
    json: bool,
    setting: Setting,
}

impl CheckArgs {
    /// Checks what it needs; nothing that only a running agent does.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn read(self) -> Result<Checking, BadSetting> {
        let absolute = config::absolute("FILE", &self.file)?;
        let file: CheckFile = read_file(self.config.as_deref())?;
        let is_told =
            self.watch.as_ref().is_some_and(|list| !list.is_empty()) || file.watch.is_some();
        let watch: Result<Vec<PathBuf>, BadSetting> = watch(self.watch, file.watch)
            .iter()
            .map(|path| config::absolute("PHASELINE_WATCH", path))
            .collect();
        let prune = prune(self.prune, file.prune)?;
        let producers = Custom::read(&file.producer)?;
        producers.check_walked(&prune)?;
        for log in &file.log_file {
            log.check()?;
        }
        let mut watch = watch?;
        config::watch_transcripts(&mut watch, &file.transcripts)?;
        let setting = Setting {
            host: host(self.host, file.host),
            watch: Some(watch).filter(|_| is_told),
            prune,
            producers,
            transcripts: file.transcripts,
            logs: file.log_file,
            texts: texts(self.texts, file.texts)?,
        };
        Ok(Checking {
            file: absolute,
            json: self.json,
            setting,
        })
    }
}

impl Checking {
    /// The text for standard output, and the exit code: 0, or 1 where there are warnings.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn explain(&self) -> Result<(String, u8), BadSetting> {
        let report = check(&self.file, &self.setting)?;
        let text = match self.json {
            true => report.json() + "\n",
            false => report.text(),
        };
        Ok((text, u8::from(!report.warnings.is_empty())))
    }
}
