//! What a server must make of a client's bytes, by the letter of RFC 6455 and
//! of our own limits: a second reader, for the fuzzer to compare with.

use std::collections::BTreeSet;

/// Longest message, bytes, as in `socket.rs`.
const MAX_MESSAGE: u64 = 64 * 1024;

/// How a conversation must end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Close codes that are right; none when the bytes end before anything is wrong.
    /// Where two rules are broken at once, or one of them may be seen early, either code is right.
    pub(super) codes: BTreeSet<u16>,
    /// What is wrong is in a frame that never came whole: the server may wait for the rest.
    pub(super) may_wait: bool,
    /// Whole messages, pings and pongs too: above a hundred it may be a flood.
    pub(super) messages: usize,
}

/// Reads the client's bytes.
pub(super) fn judge(mut bytes: &[u8]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut open: Option<(u8, Vec<u8>)> = None;
    while let Some(header) = Header::read(bytes) {
        let codes = header.faults(open.as_ref());
        if !codes.is_empty() {
            verdict.codes.extend(codes);
            verdict.may_wait = header.payload(bytes).is_none();
            return verdict;
        }
        let Some(payload) = header.payload(bytes) else {
            return verdict;
        };
        bytes = &bytes[header.size + payload.len()..];
        if header.opcode >= 8 {
            verdict.messages += 1;
            if header.opcode == 8 {
                verdict.codes.insert(close(&payload));
                return verdict;
            }
            continue;
        }
        let (kind, message) = open.get_or_insert((header.opcode, Vec::new()));
        message.extend(payload);
        let kind = *kind;
        if kind == 1 && is_wrong(message, header.fin) {
            verdict.codes.insert(1007);
            return verdict;
        }
        if header.fin {
            verdict.messages += 1;
            let text = open.take().map(|(_, text)| text).unwrap_or_default();
            let codes = message_codes(kind, &text);
            if !codes.is_empty() {
                verdict.codes.extend(codes);
                return verdict;
            }
        }
    }
    verdict
}

struct Header {
    fin: bool,
    reserved: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: u64,
    /// Bytes of the header.
    size: usize,
}

impl Header {
    /// None when the bytes end before it does.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, mut size) = match second & 0x7f {
            126 => (
                u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
                4,
            ),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let mut mask = None;
        if second & 0x80 != 0 {
            mask = Some(*bytes.get(size..)?.first_chunk()?);
            size += 4;
        }
        Some(Self {
            fin: first & 0x80 != 0,
            reserved: first & 0x70,
            opcode: first & 0x0f,
            mask,
            length,
            size,
        })
    }

    fn payload(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let end = self.size.checked_add(usize::try_from(self.length).ok()?)?;
        let payload = bytes.get(self.size..end)?;
        let mask = self.mask.unwrap_or_default();
        Some(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect(),
        )
    }

    /// The codes for what is wrong with the header itself, given the message that is open.
    fn faults(&self, open: Option<&(u8, Vec<u8>)>) -> Vec<u16> {
        let control = self.opcode >= 8;
        let wrong = self.reserved != 0
            || self.mask.is_none()
            || matches!(self.opcode, 3..=7 | 11..)
            || (control && (!self.fin || self.length > 125))
            || (self.opcode == 0 && open.is_none())
            || (matches!(self.opcode, 1 | 2) && open.is_some());
        let before = open.map_or(0, |(_, message)| message.len() as u64);
        let long = self.length > MAX_MESSAGE
            || (!control && before.saturating_add(self.length) > MAX_MESSAGE);
        let mut codes = Vec::new();
        codes.extend(wrong.then_some(1002));
        codes.extend(long.then_some(1009));
        codes
    }
}

/// The answer to a Close (sections 5.5.1 and 7.4): its own code, or why it is none.
fn close(payload: &[u8]) -> u16 {
    let Some((code, reason)) = payload.split_first_chunk() else {
        // Nothing is answered with nothing, which reads as 1005.
        return if payload.is_empty() { 1005 } else { 1002 };
    };
    let code = u16::from_be_bytes(*code);
    if std::str::from_utf8(reason).is_err() {
        return 1007;
    }
    match code {
        1000..=1003 | 1007..=1013 | 3000..=4999 => code,
        _ => 1002,
    }
}

/// Whether a text can be no UTF-8 any more.
fn is_wrong(text: &[u8], whole: bool) -> bool {
    std::str::from_utf8(text).is_err_and(|error| whole || error.error_len().is_some())
}

/// The codes for a whole message that we do not take.
fn message_codes(kind: u8, text: &[u8]) -> Vec<u16> {
    if kind == 2 {
        return vec![1003];
    }
    let said = serde_json::from_slice::<serde_json::Value>(text);
    let rate =
        said.is_ok_and(|said| said["type"] == "rate" && said["per_second"].as_f64() > Some(0.0));
    if rate { Vec::new() } else { vec![1007, 1008] }
}
