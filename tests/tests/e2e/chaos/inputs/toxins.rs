//! Poison, made by kind from a number: the same thousand each time.

use harness::fixtures;
use harness::publisher::Publisher;
use protocol::subject;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    NoEvent,
    OtherVersion,
    WrongType,
    WrongSubject,
    RefusedByPostgres,
    Contradiction,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::NoEvent,
        Self::OtherVersion,
        Self::WrongType,
        Self::WrongSubject,
        Self::RefusedByPostgres,
        Self::Contradiction,
    ];
}

/// A message as it is published.
pub(super) struct Toxin {
    pub(super) kind: Kind,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

const MEMBERS: [&str; 17] = [
    "v",
    "agent",
    "boot",
    "seq",
    "host",
    "producer",
    "project_token",
    "project",
    "root",
    "path",
    "file",
    "kind",
    "changed_at",
    "observed_at",
    "hash",
    "size",
    "document",
];

/// The n-th message of a kind. `publisher` numbers it; a contradiction takes the identity of `known`.
pub(super) fn toxin(kind: Kind, n: usize, publisher: &mut Publisher, known: &Value) -> Toxin {
    let mut rng = StdRng::seed_from_u64(n as u64);
    let project = format!("toxin-{n}");
    let good = publisher.event(&project, &fixtures::numbered(&project, n as u64));
    let mut subject = subject::event(&good);
    let mut value = serde_json::to_value(&good).unwrap();
    let payload = match kind {
        Kind::NoEvent => no_event(n, &value.to_string(), &mut rng),
        Kind::OtherVersion => {
            value["v"] = other_version(n);
            value.to_string().into_bytes()
        }
        Kind::WrongType => {
            wrong_type(n, &mut value);
            value.to_string().into_bytes()
        }
        Kind::WrongSubject => {
            subject = wrong_subject(n, &subject);
            value.to_string().into_bytes()
        }
        Kind::RefusedByPostgres if n / Kind::ALL.len() % 4 == 3 => {
            let producer = unindexable(n as u64);
            value["producer"] = Value::from(producer.clone());
            subject = subject.replace("context-foundry", &producer);
            value.to_string().into_bytes()
        }
        Kind::RefusedByPostgres => refused(n, &value.to_string()),
        Kind::Contradiction => {
            for member in ["agent", "boot", "seq"] {
                value[member] = known[member].clone();
            }
            // Half say something else of the same project, half of another.
            if n.is_multiple_of(2) {
                for member in ["project", "project_token", "path"] {
                    value[member] = known[member].clone();
                }
                subject = subject::event(&serde_json::from_value(known.clone()).unwrap());
            }
            value.to_string().into_bytes()
        }
    };
    Toxin {
        kind,
        subject,
        payload,
    }
}

fn no_event(n: usize, good: &str, rng: &mut StdRng) -> Vec<u8> {
    let cut = rng.random_range(0..good.len());
    match n % 8 {
        0 => (0..n % 300).map(|_| rng.random()).collect(),
        1 => good.as_bytes()[..cut].to_vec(),
        2 => {
            let mut bytes = good.as_bytes().to_vec();
            bytes[cut] = 0xff;
            bytes
        }
        3 => format!("{}{}", "[".repeat(n * 50), "]".repeat(n * 50)).into_bytes(),
        4 => format!("{n}{good}").into_bytes(),
        5 => format!("{{\"v\":1,\"n\":{n}}}").into_bytes(),
        6 => format!("{good}{good}").into_bytes(),
        _ => {
            let mut bytes = vec![0; n % 100];
            rng.fill_bytes(&mut bytes);
            bytes
        }
    }
}

fn other_version(n: usize) -> Value {
    let odd = [
        json!(0),
        json!(2),
        json!(99),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(null),
        json!([1]),
    ];
    odd[n % odd.len()].clone()
}

fn wrong_type(n: usize, event: &mut Value) {
    let odd = [
        json!(null),
        json!(true),
        json!(-7),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(5_000)),
        json!([]),
        json!({"a": 1}),
        json!("2026-13-45T99:99:99Z"),
        json!(u64::MAX),
    ];
    let member = MEMBERS[n % MEMBERS.len()];
    event[member] = odd[n / MEMBERS.len() % odd.len()].clone();
}

fn wrong_subject(n: usize, right: &str) -> String {
    match n % 4 {
        0 => right.replace("toxic", "other"),
        1 => right.replace("context-foundry", "adw"),
        2 => format!("{right}.more"),
        _ => "phaseline.v1.event.short".to_owned(),
    }
}

/// A name that fits an event and no index of Postgres (2,704 bytes, compressed): only the commit shows it.
pub(super) fn unindexable(n: u64) -> String {
    let mut rng = StdRng::seed_from_u64(n);
    let digit = |_| char::from(b"0123456789abcdef"[rng.random_range(0..16)]);
    (0..3_900).map(digit).collect()
}

/// Members that JSON and our decoder allow and `jsonb` does not.
fn refused(n: usize, good: &str) -> Vec<u8> {
    let into = |member: String| good.replacen("\"count\":", &format!("{member},\"count\":"), 1);
    let text = match n % 5 {
        0 => into(format!("\"x{n}\":\"\\u0000\"")),
        1 => into(format!("\"x{n}\":1e200000")),
        2 => into(format!("\"x{n}\\u0000\":1")),
        3 => into(format!("\"x{n}\":\"\\ud800\"")),
        // In what is kept beside the document.
        _ => good.replacen('{', &format!("{{\"more{n}\":\"\\u0000\","), 1),
    };
    text.into_bytes()
}
