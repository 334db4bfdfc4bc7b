//! Settings: what is taken, which one counts, what is refused.

use std::io::Write as _;

use super::*;

fn settings() -> Settings {
    Settings {
        database_url: Some("postgres://me@db/phaseline".to_owned()),
        ..Settings::default()
    }
}

fn refused(settings: Settings) -> String {
    settings
        .check(true)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_database_is_all_that_must_be_told() {
    let resolved = settings().check(true).unwrap();
    assert_eq!(resolved.listen.to_string(), "127.0.0.1:8080");
    let config = resolved.config.unwrap();
    assert_eq!(config.nats.url, "nats://127.0.0.1:4222");
    assert_eq!(config.retention, Duration::from_secs(90 * 86_400));
    assert!(refused(Settings::default()).starts_with("PHASELINE_DATABASE_URL: not set; expected "));
    assert!(Settings::default().check(false).unwrap().config.is_none());
}

#[test]
fn a_bad_value_is_named_with_its_setting_and_what_was_expected() {
    let listen = Settings {
        listen: Some("8080".to_owned()),
        ..settings()
    };
    assert_eq!(
        refused(listen),
        "PHASELINE_LISTEN: \"8080\" cannot be used; expected an address and port such as 127.0.0.1:8080 or [::]:8080"
    );
    for bad in ["1m", "0d", "soon"] {
        let retention = Settings {
            retention: Some(bad.to_owned()),
            ..settings()
        };
        assert!(
            refused(retention).starts_with("PHASELINE_RETENTION: "),
            "{bad}"
        );
    }
    let hosts = Settings {
        allowed_hosts: Some("a.example,b:80".to_owned()),
        ..settings()
    };
    assert!(refused(hosts).starts_with("PHASELINE_ALLOWED_HOSTS: \"b:80\""));
    let log = Settings {
        log: Some("info,=,".to_owned()),
        ..settings()
    };
    assert!(refused(log).starts_with("PHASELINE_LOG: "));
    let format = Settings {
        log_format: Some("xml".to_owned()),
        ..settings()
    };
    assert!(refused(format).starts_with("PHASELINE_LOG_FORMAT: "));
}

#[test]
fn a_password_is_never_repeated() {
    let database = Settings {
        database_url: Some("postgres://me:hunter2@db:port/x".to_owned()),
        ..settings()
    };
    let nats = Settings {
        nats_url: Some("nats://me:hunter2@:x:y".to_owned()),
        ..settings()
    };
    for text in [refused(database), refused(nats)] {
        assert!(!text.is_empty() && !text.contains("hunter2"), "{text}");
    }
    let target = DatabaseTarget {
        url: "postgres://me:hunter2@db/x".to_owned(),
        password: None,
    };
    assert!(!format!("{target:?}").contains("hunter2"));
}

#[test]
fn a_password_comes_from_its_file_without_the_last_newline() {
    let secret = file("pass word\n");
    let with = Settings {
        nats_user: Some("aggregator".to_owned()),
        nats_password_file: Some(secret.path().display().to_string()),
        ..settings()
    };
    let config = with.check(true).unwrap().config.unwrap();
    assert_eq!(config.nats.password.as_deref(), Some("pass word"));
    let empty = file("\n");
    let with = Settings {
        database_password_file: Some(empty.path().display().to_string()),
        ..settings()
    };
    assert!(refused(with).starts_with("PHASELINE_DATABASE_PASSWORD_FILE: "));
}

#[test]
fn a_flag_beats_the_file_and_an_unknown_key_is_refused() {
    let toml = file("listen = \"127.0.0.1:1\"\nretention = \"2d\"\n");
    let flags = Settings {
        listen: Some("127.0.0.1:2".to_owned()),
        ..settings()
    };
    let resolved = FileSettings::read(toml.path())
        .unwrap()
        .under(flags)
        .check(true)
        .unwrap();
    assert_eq!(resolved.listen.port(), 2);
    assert_eq!(
        resolved.config.unwrap().retention,
        Duration::from_secs(2 * 86_400)
    );
    let wrong = file("lisen = \"127.0.0.1:1\"\n");
    let error = FileSettings::read(wrong.path()).unwrap_err().to_string();
    assert!(error.contains("unknown field `lisen`"), "{error}");
}
