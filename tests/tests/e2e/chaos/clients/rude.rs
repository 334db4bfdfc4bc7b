//! What RFC 6455 forbids, and what is too much, ends the connection with the
//! code that says so (section 7.4.1), and no other.

use futures::SinkExt as _;
use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::System;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// A masked frame: first byte, payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Connects as a browser would, sends bytes, and reads until the server's Close; its code.
async fn close_code(base: &str, bytes: &[u8]) -> Option<u16> {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /api/v1/stream HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let (mut reader, mut writer) = stream.into_split();
    let send = async {
        // The server may have had enough before all of it is sent.
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let receive = async {
        loop {
            let mut start = [0; 2];
            reader.read_exact(&mut start).await.ok()?;
            let length = match start[1] {
                126 => u64::from(reader.read_u16().await.ok()?),
                127 => reader.read_u64().await.ok()?,
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            reader.read_exact(&mut payload).await.ok()?;
            if start[0] == CLOSE {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    };
    tokio::select! {
        () = send => None,
        code = timeout(harness::wait::DEADLINE, receive) => code.expect("the server closes"),
    }
}

type Case = (&'static str, Vec<u8>, u16);

fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

fn forbidden() -> Vec<Case> {
    let after = |first: Vec<u8>, then: Vec<u8>| [first, then].concat();
    vec![
        ("an unmasked frame", vec![TEXT, 2, b'h', b'i'], 1002),
        ("a reserved opcode", frame(0x83, b"x"), 1002),
        ("a reserved control opcode", frame(0x8b, b"x"), 1002),
        ("a reserved bit", frame(TEXT | 0x40, b"x"), 1002),
        ("a long control frame", frame(PING, &[b'x'; 126]), 1002),
        ("a fragmented ping", frame(0x09, b"x"), 1002),
        ("a continuation of nothing", frame(0x80, b"x"), 1002),
        (
            "a text within a text",
            after(frame(0x01, b"a"), frame(TEXT, b"b")),
            1002,
        ),
        ("a Close with one byte", frame(CLOSE, &[3]), 1002),
        ("a Close with a code of nobody", closing(1005, b""), 1002),
        ("a Close with a code below all", closing(999, b""), 1002),
        ("a Close with a bad reason", closing(1000, b"\xff"), 1007),
        ("a text that is not UTF-8", frame(TEXT, b"\xff\xfe"), 1007),
        (
            "a text that is not UTF-8, in pieces",
            after(frame(0x01, b"\xc3"), frame(0x80, b"\x28")),
            1007,
        ),
        ("a text that is nothing here", frame(TEXT, b"hello"), 1007),
        ("a binary message", frame(0x82, b"x"), 1003),
        ("a goodbye", closing(1000, b"bye"), 1000),
        ("a goodbye of a page that is left", closing(1001, b""), 1001),
    ]
}

fn too_much() -> Vec<Case> {
    let endless = |length: u64| {
        let mut bytes = vec![TEXT, 0x80 | 127];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    let pieces = |count: usize, size: usize| {
        let mut bytes = frame(0x01, &vec![b'x'; size]);
        bytes.extend(frame(0x00, &vec![b'x'; size]).repeat(count));
        bytes
    };
    let wish = br#"{"type":"rate","per_second":5}"#;
    vec![
        ("a long message", frame(TEXT, &vec![b'x'; 65 * 1024]), 1009),
        ("a frame that says it has a PiB", endless(1 << 50), 1009),
        ("a message in endless pieces", pieces(200, 1024), 1009),
        ("endless pieces without content", pieces(200_000, 0), 1008),
        ("a flood of pings", frame(PING, b"x").repeat(5_000), 1008),
        ("a flood of pongs", frame(0x8a, b"x").repeat(5_000), 1008),
        ("a flood of wishes", frame(TEXT, wish).repeat(5_000), 1008),
    ]
}

#[tokio::test]
async fn what_the_protocol_forbids_ends_the_connection_with_the_fitting_code_and_no_other() {
    let mut system = System::start().await;
    let base = system.aggregators[0].base();
    let polite = system.client().await;
    let mut wrong = Vec::new();
    for (what, bytes, expected) in forbidden().into_iter().chain(too_much()) {
        let code = close_code(&base, &bytes).await;
        if code != Some(expected) {
            wrong.push(format!("{what}: {code:?} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut publisher = Publisher::connect(&system.nats, "after").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    polite.until_build("one", |_| true).await;
    polite.assert_clean();
    assert!(system.aggregators[0].process.ended().is_none());
}

#[tokio::test]
async fn a_flood_from_one_that_never_reads_ends_too() {
    let system = System::start().await;
    let url = system.aggregators[0].base().replacen("http", "ws", 1);
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("{url}/api/v1/stream"))
        .await
        .unwrap();
    let flood = async {
        loop {
            let ping = tokio_tungstenite::tungstenite::Message::Ping(vec![0; 100].into());
            if socket.send(ping).await.is_err() {
                return;
            }
        }
    };
    timeout(harness::wait::DEADLINE, flood)
        .await
        .expect("the connection ends");
    harness::wait::eventually("it was shown out", async || {
        let closed = system
            .api()
            .metric("phaseline_live_closed_total{kind=\"bad_message\"}")
            .await?;
        harness::wait::check(closed >= 1.0, || closed.to_string())
    })
    .await;
}
