//! Fuzzing the reader of WebSocket frames: any bytes of a client end in the
//! close code that [`judge`] finds in RFC 6455, or go on, and never hang.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use protocol::fuzz::{Input, fuzz};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::Wishes;
use super::super::session::{End, Session};
use super::super::socket::Socket;
use super::rfc6455::judge;
use crate::live::testing::{Leader, hub};

/// Bytes of a pipe: nothing that a case writes waits.
const PIPE: usize = 2 * 1024 * 1024;
/// Messages and bytes from which on it may also be a flood.
const MAY_FLOOD: usize = 90;
const MAY_FLOOD_BYTES: usize = 250 * 1024;

/// One frame: first byte, whether it is masked, payload, and a length that may be a lie.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => Just(0x81_u8),
        3 => proptest::sample::select(vec![0x01_u8, 0x00, 0x80, 0x82, 0x02]),
        4 => proptest::sample::select(vec![0x88_u8, 0x89, 0x8a]),
        2 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => Just(br#"{"type":"rate","per_second":5}"#.to_vec()),
        3 => vec(any::<u8>(), 0..8),
        2 => "\\PC{0,40}".prop_map(String::into_bytes),
        2 => (any::<u16>(), ".{0,4}").prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat()),
        2 => (900..1100_u16).prop_map(|code| code.to_be_bytes().to_vec()),
        1 => (0..70_000_usize).prop_map(|size| vec![b'x'; size]),
        1 => Just(vec![0xc3]),
        1 => (120..130_usize).prop_map(|size| vec![b' '; size]),
    ];
    let lie = prop_oneof![
        40 => Just(None),
        1 => any::<u64>().prop_map(Some),
        1 => (0..100_000_u64).prop_map(Some),
    ];
    let masked = proptest::bool::weighted(0.97);
    (first, masked, payload, lie, any::<[u8; 4]>()).prop_map(
        |(first, masked, payload, lie, mask)| {
            encode(
                first,
                masked.then_some(mask),
                &payload,
                lie.unwrap_or(payload.len() as u64),
            )
        },
    )
}

fn encode(first: u8, mask: Option<[u8; 4]>, payload: &[u8], length: u64) -> Vec<u8> {
    let flag = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => bytes.push(flag | short),
        (_, Ok(middle)) => {
            bytes.push(flag | 126);
            bytes.extend(middle.to_be_bytes());
        }
        _ => {
            bytes.push(flag | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// The code in the server's last frame, when that is a Close; 1005 for one without a code.
fn close_code(mut bytes: &[u8]) -> Option<u16> {
    let mut code = None;
    while let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) {
        let (length, size) = match second & 0x7f {
            126 => (
                usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
                4,
            ),
            127 => (
                usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?,
                10,
            ),
            short => (usize::from(short), 2),
        };
        let payload = bytes.get(size..size + length)?;
        if first == 0x88 {
            code = Some(
                payload
                    .first_chunk()
                    .map_or(1005, |code| u16::from_be_bytes(*code)),
            );
        }
        bytes = &bytes[size + length..];
    }
    code
}

/// Sends the bytes in pieces, says nothing more, and gives the end and the Close that came.
async fn converse(bytes: &[u8], piece: usize) -> (End, Option<u16>) {
    let hub = hub(64);
    Leader::default().load(&hub);
    let (ours, mut theirs) = tokio::io::duplex(PIPE);
    let joined = hub.join(None, &crate::live::Filter::default()).unwrap();
    let socket = Socket::new(ours, std::sync::Arc::new(crate::metrics::Metrics::new())).await;
    let session = Session::new(socket, hub, Wishes::default(), joined);
    let stop = CancellationToken::new();
    let client = async {
        for piece in bytes.chunks(piece) {
            if theirs.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = theirs.shutdown().await;
        let mut answer = Vec::new();
        let _ = theirs.read_to_end(&mut answer).await;
        answer
    };
    let (end, answer) = tokio::join!(session.run(&stop), client);
    (end, close_code(&answer))
}

fn check(bytes: &[u8], piece: usize) -> Result<(), TestCaseError> {
    let verdict = judge(bytes);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let ended =
        runtime.block_on(async { timeout(Duration::from_secs(60), converse(bytes, piece)).await });
    let (end, code) = ended.map_err(|_| TestCaseError::fail("the session hangs"))?;
    let flood = verdict.messages >= MAY_FLOOD || bytes.len() >= MAY_FLOOD_BYTES;
    if flood && code == Some(1008) {
        return Ok(());
    }
    match code {
        Some(code) if verdict.codes.is_empty() => {
            // It ended without a fault of the client: only our goodbye to one that left is right.
            prop_assert!(code == 1000, "{code} for no reason, {end:?}");
        }
        Some(code) => prop_assert!(
            verdict.codes.contains(&code),
            "{code} instead of {verdict:?}, {end:?}"
        ),
        None => prop_assert!(
            verdict.codes.is_empty() || verdict.may_wait,
            "no Close, but {verdict:?}, {end:?}"
        ),
    }
    Ok(())
}

#[test]
fn fuzz_websocket_frame_reader() {
    let frames = vec(frame(), 1..12).prop_map(|frames| frames.concat());
    let cut = proptest::option::weighted(0.3, 0..2_000_usize);
    let noise = vec(any::<u8>(), 0..10);
    let bytes = (frames, cut, noise).prop_map(|(mut bytes, cut, noise)| {
        bytes.truncate(cut.unwrap_or(bytes.len()));
        bytes.extend(noise);
        Input(bytes)
    });
    let piece = prop_oneof![Just(1_usize << 20), 1..40_usize];
    fuzz(
        "WebSocket frame reader",
        &(bytes, piece),
        |(Input(bytes), piece)| {
            // Byte by byte is slow, and a long text is read as it comes all the same.
            check(&bytes, piece.max(bytes.len() / 200).max(1))
        },
    );
}
