//! DNS messages (RFC 1035): just enough to read a question, to answer it with addresses or a name,
//! and to recognise an answer. Pure; every byte may be hostile.

use std::net::IpAddr;

/// `struct` of 12 bytes before the question.
const HEADER: usize = 12;
/// Answers are to be asked for again soon: containers come and go, and clients that cache (nginx,
/// JVMs) would go on with an address that belongs to another one.
const TTL: u32 = 10;
/// The largest answer over UDP without EDNS (RFC 1035, 4.2.1).
const UDP_MAX: usize = 512;

const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;

/// Record types that matter here.
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A name.
    pub const PTR: u16 = 12;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// EDNS (RFC 6891).
    pub const OPT: u16 = 41;
}

/// Response codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Answered, perhaps with nothing.
    NoError = 0,
    /// The question can't be read.
    FormatError = 1,
    /// No server could be asked.
    ServerFailure = 2,
    /// Not a query.
    NotImplemented = 4,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In lower case, without the last dot.
    pub name: String,
    /// A [`kind`].
    pub kind: u16,
    /// The largest answer over UDP.
    pub room: usize,
    /// Where the question ends.
    end: usize,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Addresses; those that aren't of the question's type are left out by the caller.
    Addresses(Vec<IpAddr>),
    /// A name.
    Name(String),
}

/// Reads a query.
///
/// # Errors
/// What to answer instead; None for what isn't worth an answer: no header, or itself an answer.
pub fn query(bytes: &[u8]) -> Result<Query, Option<Code>> {
    const INTERNET: u16 = 1;
    let header = bytes.get(..HEADER).ok_or(None)?;
    if header[2] & RESPONSE != 0 {
        return Err(None);
    }
    if header[2] & 0x78 != 0 {
        return Err(Some(Code::NotImplemented));
    }
    let bad = Some(Code::FormatError);
    if count(bytes, 4) != Some(1) {
        return Err(bad);
    }
    let (name, at) = name(bytes, HEADER).ok_or(bad)?;
    let kind = count(bytes, at).ok_or(bad)?;
    let class = count(bytes, at + 2).ok_or(bad)?;
    let end = at + 4;
    if class != INTERNET {
        return Err(Some(Code::NotImplemented));
    }
    Ok(Query { name, kind, room: room(bytes, end).max(UDP_MAX), end })
}

/// The largest answer the OPT record after the question allows. Only a query's usual shape is
/// looked at: nothing else, or OPT as the first additional record with the root's name.
fn room(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at) == Some(&0) && count(bytes, at + 1) == Some(kind::OPT) {
        return count(bytes, at + 3).map_or(0, usize::from);
    }
    0
}

/// A name without compression, as questions have it, and where it ends.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    const LABEL_MAX: usize = 63;
    const NAME_MAX: usize = 255;
    let start = at;
    let mut name = String::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > LABEL_MAX || at + length - start > NAME_MAX {
            return None;
        }
        let label = bytes.get(at..at + length)?;
        at += length;
        if !name.is_empty() {
            name.push('.');
        }
        // Bytes that no name here has never match.
        name.extend(label.iter().map(|byte| char::from(*byte).to_ascii_lowercase()));
    }
}

/// An answer to the query in `bytes`; over UDP cut to what the client takes, and marked so.
pub fn answer(bytes: &[u8], query: &Query, answer: &Answer, udp: bool) -> Vec<u8> {
    let mut message = head(bytes, query.end, Code::NoError);
    let room = if udp { query.room } else { usize::from(u16::MAX) };
    let records: Vec<Vec<u8>> = match answer {
        Answer::Addresses(addresses) => addresses
            .iter()
            .map(|address| match address {
                IpAddr::V4(address) => record(kind::A, &address.octets()),
                IpAddr::V6(address) => record(kind::AAAA, &address.octets()),
            })
            .collect(),
        Answer::Name(name) => vec![record(kind::PTR, &wire_name(name))],
    };
    let mut written = 0_u16;
    for record in records {
        if message.len() + record.len() > room {
            message[2] |= TRUNCATED;
            break;
        }
        message.extend_from_slice(&record);
        written += 1;
    }
    message[6..8].copy_from_slice(&written.to_be_bytes());
    message
}

/// An answer that only has a code. What isn't a query with one question gets no question back.
pub fn refusal(bytes: &[u8], code: Code) -> Vec<u8> {
    let end = query(bytes).map_or(HEADER, |query| query.end);
    head(bytes, end, code)
}

fn head(bytes: &[u8], end: usize, code: Code) -> Vec<u8> {
    let mut message = vec![0; HEADER];
    let copied = bytes.get(..end).unwrap_or_default();
    if let (Some(id), Some(flags)) = (copied.get(..2), copied.get(2)) {
        message[..2].copy_from_slice(id);
        message[2] = RESPONSE | (flags & (0x78 | RECURSION_DESIRED));
    }
    message[3] = RECURSION_AVAILABLE | code as u8;
    if let Some(question) = copied.get(HEADER..).filter(|question| !question.is_empty()) {
        message[5] = 1;
        message.extend_from_slice(question);
    }
    message
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    // The question's name, by reference.
    let mut record = vec![0xc0, 0x0c];
    record.extend_from_slice(&kind.to_be_bytes());
    record.extend_from_slice(&1_u16.to_be_bytes());
    record.extend_from_slice(&TTL.to_be_bytes());
    let length = u16::try_from(data.len()).unwrap_or(0);
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(data);
    record
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

/// Whether `bytes` answer the query `asked`: same id, same question.
pub fn answers(bytes: &[u8], asked: &[u8], query: &Query) -> bool {
    bytes.len() >= HEADER
        && bytes[2] & RESPONSE != 0
        && bytes.get(..2) == asked.get(..2)
        // Servers may answer with the name in another case.
        && match (bytes.get(HEADER..query.end), asked.get(HEADER..query.end)) {
            (Some(told), Some(asked)) => told.eq_ignore_ascii_case(asked),
            _ => false,
        }
}

/// Whether another server may know better: SERVFAIL or REFUSED.
pub fn is_failure(bytes: &[u8]) -> bool {
    bytes.get(3).is_some_and(|byte| matches!(byte & 0x0f, 2 | 5))
}

/// The address a reverse lookup asks for.
pub fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<u8> =
            labels.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let mut octets: [u8; 4] = parts.try_into().ok()?;
        octets.reverse();
        return Some(octets.into());
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let nibbles: Vec<u8> = labels
        .split('.')
        .map(|digit| if digit.len() == 1 { u8::from_str_radix(digit, 16).ok() } else { None })
        .collect::<Option<_>>()?;
    let nibbles: [u8; 32] = nibbles.try_into().ok()?;
    let mut octets = [0; 16];
    for (octet, pair) in octets.iter_mut().rev().zip(nibbles.chunks(2)) {
        *octet = pair[1] << 4 | pair[0];
    }
    Some(octets.into())
}

fn count(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A query as resolvers send it.
    pub fn ask(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(wire_name(name));
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes
    }

    #[test]
    fn questions_are_read_in_lower_case() {
        let bytes = ask("WeB.Net", kind::A);
        let query = query(&bytes).unwrap();
        assert_eq!((query.name.as_str(), query.kind, query.room), ("web.net", kind::A, 512));
        let mut edns = bytes.clone();
        edns[11] = 1;
        edns.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(super::query(&edns).unwrap().room, 4096);
    }

    #[test]
    fn answers_fit_or_say_that_they_are_cut() {
        let bytes = ask("web", kind::A);
        let query = query(&bytes).unwrap();
        let addresses = |n: u8| Answer::Addresses((0..n).map(|i| [10, 0, 0, i].into()).collect());
        let two = answer(&bytes, &query, &addresses(2), true);
        assert_eq!(two.len(), bytes.len() + 32);
        assert_eq!(two[2..8], [0x81, 0x80, 0, 1, 0, 2]);
        assert_eq!(two[two.len() - 4..], [10, 0, 0, 1]);
        let many = answer(&bytes, &query, &addresses(100), true);
        assert!(many.len() <= 512 && many[2] & TRUNCATED != 0);
        assert_eq!(usize::from(many[7]), (512 - bytes.len()) / 16);
        let whole = answer(&bytes, &query, &addresses(100), false);
        assert_eq!((whole.len(), whole[2] & TRUNCATED), (bytes.len() + 1600, 0));
    }

    #[test]
    fn what_is_no_query_is_refused_or_ignored() {
        assert_eq!(query(&[0; 11]), Err(None));
        let mut response = ask("a", kind::A);
        response[2] |= RESPONSE;
        assert_eq!(query(&response), Err(None));
        let mut update = ask("a", kind::A);
        update[2] |= 5 << 3;
        assert_eq!(query(&update), Err(Some(Code::NotImplemented)));
        let mut two = ask("a", kind::A);
        two[5] = 2;
        assert_eq!(query(&two), Err(Some(Code::FormatError)));
        assert_eq!(refusal(&two, Code::FormatError)[..6], [0x12, 0x34, 0x81, 0x81, 0, 0]);
        // A name that points at itself.
        let pointer = [1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1];
        assert_eq!(query(&pointer), Err(Some(Code::FormatError)));
    }

    #[test]
    fn reverse_names_are_addresses() {
        assert_eq!(reverse("2.0.17.172.in-addr.arpa"), Some([172, 17, 0, 2].into()));
        let name = format!("2.{}0.d.f.ip6.arpa", "0.".repeat(28));
        assert_eq!(reverse(&name), Some("fd00::2".parse().unwrap()));
        for bad in ["1.2.3.in-addr.arpa", "256.0.0.1.in-addr.arpa", "x", "0.ip6.arpa"] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_asked_question_is_answered() {
        let asked = ask("web", kind::A);
        let query = query(&asked).unwrap();
        let told = refusal(&ask("WEB", kind::A), Code::ServerFailure);
        assert!(answers(&told, &asked, &query) && is_failure(&told));
        assert!(!answers(&refusal(&ask("wub", kind::A), Code::NoError), &asked, &query));
        let mut other = told;
        other[0] ^= 1;
        assert!(!answers(&other, &asked, &query));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(query) = query(&bytes) {
                let told = answer(&bytes, &query, &Answer::Name("a.b".into()), true);
                prop_assert!(answers(&told, &bytes, &query));
            }
            refusal(&bytes, Code::FormatError);
            is_failure(&bytes);
        }
    }
}
