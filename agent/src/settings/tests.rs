//! Settings from flags and files. Variables are not set here: tests share them.

use super::*;
use crate::config::Texts;

fn read_args(args: &[&str]) -> Result<(Config, LogSettings), NoSettings> {
    let all = std::iter::once("phaseline-agent").chain(args.iter().copied());
    match read(all.map(OsString::from))? {
        Command::Watch(config, log) => Ok((*config, log)),
        other @ Command::Check(_) => panic!("{other:?}"),
    }
}

fn refused(args: &[&str]) -> String {
    match read_args(args) {
        Err(NoSettings::Bad(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_beat_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    std::fs::write(
        &path,
        "host = 'file'\nwatch = ['/a', '/b']\noutbox_max = '64MiB'\nmax_depth = 7\nprune = ['x']\n",
    )
    .unwrap();
    let file = path.to_str().unwrap();
    let state = ["--state-dir", "/s"];
    let (config, _) = read_args(&[&["--config", file], &state[..]].concat()).unwrap();
    assert_eq!(config.host, "file");
    assert_eq!(config.watch, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!((config.outbox_max, config.max_depth), (64 << 20, 7));
    let flags = ["--config", file, "--host", "flag", "--watch", "/c:/d"];
    let (config, _) = read_args(&[&flags[..], &state[..]].concat()).unwrap();
    assert_eq!(config.host, "flag");
    assert_eq!(config.watch, [PathBuf::from("/c"), PathBuf::from("/d")]);
}

#[test]
fn a_bad_value_is_one_sentence() {
    assert_eq!(
        refused(&["--outbox-max", "many"]),
        "PHASELINE_OUTBOX_MAX is \"many\", expected a size such as 512MiB"
    );
    assert!(refused(&["--log-format", "xml"]).ends_with("expected text or json"));
    assert!(refused(&["--log", "=,="]).starts_with("PHASELINE_LOG is"));
    assert!(refused(&["--prune", "/abs"]).starts_with("PHASELINE_PRUNE"));
    assert!(refused(&["--nats-password-file", "/none"]).contains("PASSWORD_FILE"));
    let unknown = refused(&["--unknown"]);
    assert!(unknown.contains("--unknown") && !unknown.contains('\n'));
    assert_eq!(
        refused(&["check"]),
        "the following required arguments were not provided: <FILE>; see --help"
    );
}

#[test]
fn an_unknown_key_of_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    std::fs::write(&path, "log = 'info'\nhots = 'x'\n").unwrap();
    let sentence = refused(&["--config", path.to_str().unwrap()]);
    assert!(
        sentence.contains("line 2: unknown field `hots`") && !sentence.contains('\n'),
        "{sentence}"
    );
}

#[test]
fn help_names_every_setting() {
    let Err(NoSettings::Asked(help)) = read_args(&["--help"]) else {
        panic!("no help");
    };
    for variable in [
        "NATS_URL",
        "NATS_USER",
        "NATS_PASSWORD_FILE",
        "HOST",
        "WATCH",
        "STATE_DIR",
        "OUTBOX_MAX",
        "PRUNE",
        "MAX_DEPTH",
        "TEXTS",
        "LOG",
        "LOG_FORMAT",
        "CONFIG",
    ] {
        assert!(
            help.contains(&format!("PHASELINE_{variable}")),
            "{variable}"
        );
    }
}

#[test]
fn the_state_directory_follows_the_user() {
    let with = |set: &'static [(&str, &str)], root| {
        let find = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        default_state_dir(&find, root).map(|path| path.to_string_lossy().into_owned())
    };
    let home = &[("HOME", "/home/u")];
    assert_eq!(with(home, false).unwrap(), "/home/u/.local/state/phaseline");
    assert_eq!(with(home, true).unwrap(), "/var/lib/phaseline");
    let xdg = &[("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")];
    assert_eq!(with(xdg, true).unwrap(), "/x/phaseline");
    assert!(with(&[], false).is_err());
}

#[test]
fn what_texts_may_leave_and_which_logs_is_configured() {
    assert_eq!(read_args(&[]).unwrap().0.texts, Texts::Logs);
    assert_eq!(
        read_args(&["--texts", "none"]).unwrap().0.texts,
        Texts::None
    );
    assert!(refused(&["--texts", "some"]).contains("none, logs or all"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let file = with(
        "texts = 'all'\n[[log_file]]\npattern = 'logs/*.log'\n[[log_file]]\npattern = 'runs/{id}/out.log'\nproducer = 'adw'\n",
    );
    let config = read_args(&["--config", &file]).unwrap().0;
    assert_eq!((config.texts, config.logs.len()), (Texts::All, 2));
    assert_eq!(config.logs[1].producer.as_deref(), Some("adw"));
    let file = with("[[log_file]]\npattern = '/abs/*.log'\n");
    assert!(refused(&["--config", &file]).contains("relative to a project"));
    let file = with("[[log_file]]\npattern = 'runs/{id}/out.log'\n");
    assert!(refused(&["--config", &file]).contains("producer"));
}
