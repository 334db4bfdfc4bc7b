//! `phaseline-agent check FILE`: what a producer's file becomes, read in the
//! very way the agent reads it, without starting anything. What a file alone
//! does not tell (which run it is, what other files of the build say) is the
//! aggregator's, and is said to be.

mod mapped;
mod show;

use std::path::{Path, PathBuf};

use protocol::event::MAX_DOCUMENT_BYTES;
use protocol::mapping;
use serde::Serialize;
use serde_json::Value;

use crate::beneath::{Beneath, Meta, ReadError};
use crate::config::{BadSetting, Custom, LogPattern, Prune, Texts, all_producers};
use crate::producer::{Format, Producers, Spec};
use crate::roots::Roots;
use crate::stream_json::{Kind, Options, Stream};
use crate::tail;

/// What `check` needs to know.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The host's name, for the build's id.
    pub host: String,
    /// The watched roots, absolute; none: nobody said what is watched.
    pub watch: Option<Vec<PathBuf>>,
    /// Directories that are not walked.
    pub prune: Prune,
    /// Producers that the configuration names.
    pub producers: Custom,
    /// Places of transcripts, as in [`Config::transcripts`](crate::Config::transcripts).
    pub transcripts: Vec<String>,
    /// Logs that the configuration names.
    pub logs: Vec<LogPattern>,
    /// What texts may leave the host.
    pub texts: Texts,
}

impl Setting {
    /// As the agent has them, were so much allowed to leave the host.
    fn producers(&self, texts: Texts) -> Producers {
        all_producers(&self.producers, &self.transcripts, &self.logs, texts)
    }
}

/// What a file becomes.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The file, absolute.
    pub file: String,
    /// Whose it is; none: nobody's, and the rest is empty.
    pub producer: Option<String>,
    /// Its place relative to the project.
    pub pattern: Option<String>,
    /// How it is read.
    pub format: Option<&'static str>,
    /// The project's directory.
    pub project: Option<String>,
    /// The build's id, with `N` for its run, which the aggregator counts.
    pub build: Option<String>,
    /// In one of our words; none where this file alone does not tell.
    pub state: Option<String>,
    /// Why we say so.
    pub reason: Option<String>,
    /// Whether it ends the build; none where this file alone does not tell.
    pub ends: Option<bool>,
    /// What becomes of the file's members.
    pub fields: Vec<Line>,
    /// Names of the table that find nothing in the file.
    pub missing: Vec<Line>,
    /// Members of the file that the table does not name: kept, and shown raw.
    pub kept: Vec<String>,
    /// Its lines are shipped, their secrets masked: they are the log of the build, or of the newest build of its
    /// project where the file tells no build.
    pub log: bool,
    /// What is shipped of a file that is told by its figures.
    pub digest: Option<Value>,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// A name of the build and what there is to say of it.
#[derive(Debug, Serialize)]
pub struct Line {
    /// As the API names it, or as a fact is called.
    pub name: String,
    /// Where it stands in the file, as JSON Pointers.
    pub at: String,
    /// What stands there; null where nothing does.
    pub value: Value,
}

impl Report {
    /// As JSON for machines.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        show::text(self)
    }
}

/// Says what a file becomes.
///
/// # Errors
/// When there is no such file.
pub fn check(file: &Path, setting: &Setting) -> Result<Report, BadSetting> {
    if file.symlink_metadata().is_err() {
        return Err(BadSetting::new("FILE", file, "a file that is there"));
    }
    let mut report = Report {
        file: file.display().to_string(),
        ..Report::default()
    };
    let watched = setting.watch.as_deref().unwrap_or_default();
    let roots = Roots::new(watched, None);
    let root = roots.owner(file).map(|root| roots.get(root).path.clone());
    if root.is_none() && setting.watch.is_some() {
        report.warn(
            "it is not beneath a watched directory (PHASELINE_WATCH): the agent does not see it",
        );
    }
    let root = root.unwrap_or_else(|| PathBuf::from("/"));
    let producers = setting.producers(setting.texts);
    let log = producers.log(&root, file);
    report.log = log.is_some();
    let told = producers.spec(&root, file);
    let is_told = told.is_some();
    let Some(spec) = told.or(log) else {
        let logs = setting.producers(Texts::Logs);
        report.warn(match logs.log(&root, file) {
            Some(_) => "it is a log, and its lines stay on the host: PHASELINE_TEXTS is none",
            None => "it is no producer's file: no place of a [[producer]] or [[log_file]] table, of transcripts, nor of a producer that is known, fits",
        });
        return Ok(report);
    };
    report.identify(&spec, &setting.host);
    report.look_for_pruned(&spec, &root, &setting.prune);
    let beneath = Beneath::open(&root).map_err(|error| {
        BadSetting::new("FILE", file, &format!("a file that can be read: {error}"))
    })?;
    let relative = file.strip_prefix(&root).unwrap_or(file);
    match spec.source.format {
        _ if !is_told => report.read_log(&spec, &beneath, relative),
        Format::Lines(kind) => report.follow(kind, &beneath, relative),
        _ => report.read(&spec, &beneath, relative),
    }
    Ok(report)
}

impl Report {
    fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    fn identify(&mut self, spec: &Spec, host: &str) {
        // A log of the configuration may be of whatever builds in its project.
        self.producer = Some(spec.source.producer.to_string()).filter(|name| !name.is_empty());
        self.pattern = Some(spec.source.pattern.to_string());
        self.format = Some(match spec.source.format {
            Format::Json => "json",
            Format::LastLine => "jsonl",
            Format::Lines(Kind::StreamJson) => "stream-json",
            Format::Lines(Kind::Transcript) => "transcript",
            Format::Lines(_) => "jsonl, of which only figures are told",
            Format::PhaseLog => "phase log",
            Format::Text => "text, of which only the size is told",
            Format::Held => "text, of which the size is told, and whether it is held open",
            Format::Count => "text with a number in it",
            Format::Report => "text, of which only figures are told",
        });
        self.project = Some(spec.project.display().to_string());
        if self.producer.is_some() {
            let first = protocol::subject::build_id(host, spec.token(), 1);
            self.build = Some(format!("{}N", first.trim_end_matches('1')));
        }
    }

    /// A file of which nothing but its lines is told.
    fn read_log(&mut self, spec: &Spec, beneath: &Beneath, relative: &Path) {
        self.format = Some("lines of a log");
        self.reason = Some("lines of a log say nothing of it".to_owned());
        if let Err(error) = spec.source.read(beneath, relative) {
            self.warn(unread(&error, spec));
        }
    }

    fn look_for_pruned(&mut self, spec: &Spec, root: &Path, prune: &Prune) {
        let above = spec.project.ancestors().take_while(|dir| *dir != root);
        let left_out = above
            .filter(|dir| dir.starts_with(root))
            .find(|dir| prune.skips(dir, || dir.parent().is_some_and(crate::prune::is_project)));
        if let Some(dir) = left_out {
            self.warn(format!(
                "the agent does not walk {}: PHASELINE_PRUNE leaves it out",
                dir.display()
            ));
        }
    }

    fn read(&mut self, spec: &Spec, beneath: &Beneath, relative: &Path) {
        let source = &spec.source;
        let reading = match source.read(beneath, relative) {
            Ok(Some(reading)) => reading,
            Ok(None) => {
                self.reason = Some("it says nothing yet: no whole line".to_owned());
                return;
            }
            Err(error) => return self.warn(unread(&error, spec)),
        };
        if source.format == Format::LastLine {
            self.look_at_lines(beneath, relative);
        }
        if let Err(error) = source.document(&reading.bytes) {
            return self.warn(format!("it cannot be read as JSON: {error}"));
        }
        let Ok(document) = protocol::json::Json::parse(&reading.bytes)
            .map(|json| protocol::canonical::write(&json))
        else {
            return;
        };
        let document: Value = serde_json::from_str(&document).unwrap_or(Value::Null);
        if let Some(mapping) = &source.mapping {
            return mapped::by_table(self, &mapping.table, &document);
        }
        if !document.is_object() {
            self.warn("it holds JSON, but no object");
            return;
        }
        let name = relative.file_name().unwrap_or_default();
        let known = mapping::built_in(&source.producer, &name.to_string_lossy());
        match (known.table, source.format) {
            (Some(table), _) => mapped::by_built_in(self, table, &document, &known),
            (
                None,
                Format::PhaseLog | Format::Text | Format::Held | Format::Count | Format::Report,
            ) => {
                self.reason = Some(known.beyond.to_owned());
                self.count_bad_lines(&document);
                self.digest = Some(document);
            }
            (None, _) => {
                self.reason = Some(known.beyond.to_owned());
                mapped::whole(self, &document);
            }
        }
    }

    /// Lines after the last that is JSON.
    fn look_at_lines(&mut self, beneath: &Beneath, relative: &Path) {
        let Ok(tail) = tail::read(beneath, relative, MAX_DOCUMENT_BYTES) else {
            return;
        };
        if let Some((_, passed_over @ 1..)) = tail::last_json(&tail.bytes) {
            self.warn(format!(
                "the last {passed_over} whole lines are no JSON and are passed over"
            ));
        }
    }

    fn count_bad_lines(&mut self, digest: &Value) {
        if let Some(bad @ 1..) = digest.get("bad_lines").and_then(Value::as_u64) {
            self.warn(format!("{bad} lines are no JSON, and are left out"));
        }
    }

    /// Claude Code's stream-JSON, read to its end.
    fn follow(&mut self, kind: Kind, beneath: &Beneath, relative: &Path) {
        let mut stream = Stream::new(kind).with(Options {
            transcript: kind == Kind::Transcript,
            ..Options::default()
        });
        loop {
            match stream.follow(beneath, relative) {
                Ok(turn) if turn.more => {}
                Ok(_) => break,
                Err(error) => return self.warn(format!("it cannot be read: {}", plain(&error))),
            }
        }
        self.reason = Some("its figures are of the build; texts stay on the host".to_owned());
        if !stream.has_lines() {
            self.reason = Some("it says nothing yet: no whole line".to_owned());
            return;
        }
        let digest = serde_json::from_str(&stream.document().text).unwrap_or(Value::Null);
        self.count_bad_lines(&digest);
        self.digest = Some(digest);
    }
}

fn unread(error: &ReadError, spec: &Spec) -> String {
    match (error, &spec.source.beside) {
        (ReadError::Missing, Some(beside)) => {
            format!(
                "it is no file of {}: there is no {beside} beside it",
                spec.source.producer
            )
        }
        _ => format!("it cannot be read: {}", plain(error)),
    }
}

fn plain(error: &ReadError) -> String {
    match error {
        ReadError::Missing => "it is not there".to_owned(),
        ReadError::NotRegular(kind) => format!("{kind}, not a regular file"),
        ReadError::TooLarge(Meta { size, .. }) => {
            format!("{size} bytes; of a document or a line at most {MAX_DOCUMENT_BYTES} are read")
        }
        ReadError::Refused(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
