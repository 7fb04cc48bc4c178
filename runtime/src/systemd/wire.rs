//! Messages of D-Bus as bytes, in this machine's byte order.

use std::fmt::Write as _;

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Str(String),
    /// `a…`: the element's signature and the elements.
    Array(String, Vec<Value>),
}

impl Value {
    /// The type's signature.
    pub fn signature(&self) -> String {
        let name = match self {
            Self::Byte(_) => "y",
            Self::Bool(_) => "b",
            Self::I16(_) => "n",
            Self::U16(_) => "q",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::Double(_) => "d",
            Self::Str(_) => "s",
            Self::Array(element, _) => return format!("a{element}"),
        };
        name.to_owned()
    }

    /// Bytes, `ay`.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".to_owned(), bytes.iter().map(|byte| Self::Byte(*byte)).collect())
    }
}

/// Where a type's values begin: the multiple of this ("Marshaling", table of alignments).
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

/// Puts values after one another.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    /// A byte.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    fn fixed(&mut self, bytes: &[u8]) {
        self.align(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// A number of 32 bits.
    pub fn u32(&mut self, value: u32) {
        self.fixed(&value.to_ne_bytes());
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// A string or an object path.
    pub fn string(&mut self, text: &str) {
        self.u32(length(text.len()));
        self.bytes.extend_from_slice(text.as_bytes());
        self.byte(0);
    }

    /// A signature.
    pub fn signature(&mut self, text: &str) {
        // Those of this program are a few letters; the length is one byte.
        self.byte(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
        self.byte(0);
    }

    /// An array of what `each` writes, whose type has this `signature`.
    pub fn array(&mut self, signature: &str, each: impl FnOnce(&mut Self)) {
        self.u32(0);
        let size = self.bytes.len();
        // The padding before the first element does not count.
        self.align(alignment(signature));
        let start = self.bytes.len();
        each(self);
        let count = length(self.bytes.len() - start).to_ne_bytes();
        if let Some(place) = self.bytes.get_mut(size - 4..size) {
            place.copy_from_slice(&count);
        }
    }

    /// The begin of a structure.
    pub fn structure(&mut self) {
        self.align(8);
    }

    /// A value without its type.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(byte) => self.byte(*byte),
            Value::Bool(value) => self.bool(*value),
            Value::I16(number) => self.fixed(&number.to_ne_bytes()),
            Value::U16(number) => self.fixed(&number.to_ne_bytes()),
            Value::I32(number) => self.fixed(&number.to_ne_bytes()),
            Value::U32(number) => self.fixed(&number.to_ne_bytes()),
            Value::I64(number) => self.fixed(&number.to_ne_bytes()),
            Value::U64(number) => self.fixed(&number.to_ne_bytes()),
            Value::Double(number) => self.fixed(&number.to_ne_bytes()),
            Value::Str(text) => self.string(text),
            Value::Array(element, values) => self.array(element, |writer| {
                for value in values {
                    writer.value(value);
                }
            }),
        }
    }

    /// A value behind its type.
    pub fn variant(&mut self, value: &Value) {
        self.signature(&value.signature());
        self.value(value);
    }
}

fn length(length: usize) -> u32 {
    // Far below the protocol's limit of 64 MiB: unit names and numbers.
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A method call's address.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    /// Bus name; none on a connection without a bus.
    pub destination: Option<&'a str>,
    /// Object path.
    pub path: &'a str,
    /// Interface.
    pub interface: &'a str,
    /// Name.
    pub member: &'a str,
}

/// The byte order's letter.
const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// The bytes of a call with this `body`, of types `signature`.
pub fn call(serial: u32, method: &Method<'_>, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes.extend_from_slice(&[ORDER, 1, 0, 1]);
    out.u32(length(body.len()));
    out.u32(serial);
    let field = |out: &mut Writer, code: u8, kind: &str, text: &str| {
        out.structure();
        out.byte(code);
        out.signature(kind);
        if kind == "g" { out.signature(text) } else { out.string(text) }
    };
    out.array("(yv)", |out| {
        field(out, 1, "o", method.path);
        field(out, 2, "s", method.interface);
        field(out, 3, "s", method.member);
        if let Some(destination) = method.destination {
            field(out, 6, "s", destination);
        }
        if !signature.is_empty() {
            field(out, 8, "g", signature);
        }
    });
    out.align(8);
    out.bytes.extend_from_slice(body);
    out.finish()
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer to a call.
    Return,
    /// A refusal.
    Error,
    /// Anything else.
    Signal,
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub kind: Kind,
    /// The call it answers.
    pub reply_serial: u32,
    /// A signal's name.
    pub member: String,
    /// An error's name.
    pub error: String,
    /// The body's types.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The part of a message whose size is known beforehand.
pub const HEAD: usize = 16;

/// No message to this program is larger.
const MOST: usize = 1 << 20;

/// Sizes of the fields (with their padding) and of the body, from the first [`HEAD`] bytes;
/// nothing for what can't be one of systemd's messages.
pub fn sizes(head: &[u8]) -> Option<(usize, usize)> {
    let mut reader = Reader::new(head);
    if reader.byte()? != ORDER {
        return None;
    }
    reader.at = 4;
    let body = usize::try_from(reader.u32()?).ok()?;
    reader.u32()?;
    let fields = usize::try_from(reader.u32()?).ok()?;
    (fields <= MOST && body <= MOST).then_some((fields.next_multiple_of(8), body))
}

/// Reads a message from its three parts.
pub fn message(head: &[u8], fields: &[u8], body: Vec<u8>) -> Option<Message> {
    let kind = match head.get(1)? {
        2 => Kind::Return,
        3 => Kind::Error,
        _ => Kind::Signal,
    };
    let empty = String::new;
    let mut message = Message {
        kind,
        reply_serial: 0,
        member: empty(),
        error: empty(),
        signature: empty(),
        body,
    };
    let size = usize::try_from(Reader { bytes: head, at: 12 }.u32()?).ok()?;
    let mut reader = Reader::new(fields.get(..size)?);
    while reader.at < size {
        reader.align(8);
        let code = reader.byte()?;
        let text = match reader.signature()? {
            "u" => {
                let number = reader.u32()?;
                if code == 5 {
                    message.reply_serial = number;
                }
                continue;
            }
            "g" => reader.signature()?,
            "s" | "o" => reader.string()?,
            _ => return None,
        };
        match code {
            3 => text.clone_into(&mut message.member),
            4 => text.clone_into(&mut message.error),
            8 => text.clone_into(&mut message.signature),
            _ => {}
        }
    }
    Some(message)
}

/// Takes values off one after another; nothing where there is none.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their begin.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A string or an object path.
    pub fn string(&mut self) -> Option<&'a str> {
        let size = usize::try_from(self.u32()?).ok()?;
        let text = self.take(size)?;
        (self.byte()? == 0).then(|| std::str::from_utf8(text).ok())?
    }

    /// A signature.
    pub fn signature(&mut self) -> Option<&'a str> {
        let size = usize::from(self.byte()?);
        let text = self.take(size)?;
        (self.byte()? == 0).then(|| std::str::from_utf8(text).ok())?
    }
}

impl Message {
    /// The body's strings, as far as it begins with numbers of 32 bits and strings.
    pub fn strings(&self) -> Vec<&str> {
        let mut reader = Reader::new(&self.body);
        let mut strings = Vec::new();
        for kind in self.signature.chars() {
            match kind {
                'u' if reader.u32().is_some() => {}
                's' | 'o' => match reader.string() {
                    Some(text) => strings.push(text),
                    None => break,
                },
                'v' if reader.signature() == Some("s") => strings.extend(reader.string()),
                _ => break,
            }
        }
        strings
    }

    /// An error as text: what it says and its name.
    pub fn refusal(&self) -> String {
        let mut text = self.strings().first().copied().unwrap_or_default().to_owned();
        // Writing to a String can't fail.
        let _ = write!(text, " ({})", self.error);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_bytes_of_a_call() {
        let method = Method {
            destination: Some("org.freedesktop.DBus"),
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
        };
        let bytes = call(1, &method, "", &[]);
        // As busctl sends it.
        let expected = b"l\x01\x00\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0\
            \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
            \x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x03\x01s\0\x05\0\0\0Hello\0\0\0\
            \x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn arrays_are_counted_from_their_first_element() {
        let mut writer = Writer::default();
        writer.byte(7);
        writer.value(&Value::Array("t".into(), vec![Value::U64(1)]));
        assert_eq!(writer.finish(), [7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let mut writer = Writer::default();
        writer.variant(&Value::Array("u".into(), vec![Value::U32(9)]));
        assert_eq!(writer.finish(), [2, b'a', b'u', 0, 4, 0, 0, 0, 9, 0, 0, 0]);
        let mut writer = Writer::default();
        writer.value(&Value::Array("(sv)".into(), vec![]));
        assert_eq!(writer.finish(), [0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_message_reads_back() {
        let mut body = Writer::default();
        body.u32(3);
        body.string("/job/3");
        body.string("x.scope");
        body.string("done");
        let method =
            Method { destination: None, path: "/", interface: "a.b", member: "JobRemoved" };
        let bytes = call(9, &method, "uoss", &body.finish());
        let (fields, size) = sizes(&bytes[..HEAD]).unwrap();
        assert_eq!(HEAD + fields + size, bytes.len());
        let body = bytes[HEAD + fields..].to_vec();
        let read = message(&bytes[..HEAD], &bytes[HEAD..HEAD + fields], body).unwrap();
        assert_eq!((read.member.as_str(), read.kind), ("JobRemoved", Kind::Signal));
        assert_eq!(read.strings(), ["/job/3", "x.scope", "done"]);
    }

    #[test]
    fn nonsense_is_no_message() {
        assert_eq!(sizes(b"x\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(sizes(&[ORDER, 2, 0, 1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        let head = [ORDER, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0];
        for fields in [&b"\x05\x01u\0"[..], b"\x03\x01s\0\xff\xff\xff\xff", b"\x01\xffs\0\0\0\0\0"]
        {
            assert_eq!(message(&head, fields, Vec::new()), None, "{fields:?}");
        }
        let cut = Message {
            kind: Kind::Error,
            reply_serial: 1,
            member: String::new(),
            error: "a.b".into(),
            signature: "s".into(),
            body: vec![200, 0, 0, 0, 1],
        };
        assert_eq!(cut.refusal(), " (a.b)");
    }
}
