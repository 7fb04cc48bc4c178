//! The wire format of protocol buffers, as much of it as CRIU's messages use.
//!
//! Fields are numbered; a number and a wire type make the key in front of each value. Integers,
//! booleans and enumerations are varints (seven bits a byte, least significant first, negative
//! ones as 64 bits), strings and messages are bytes behind their length. A reader skips fields it
//! does not know, which is how both sides of a socket may differ in age.

use crate::error::{Error, Kind, Result};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The encoded message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// An unsigned number or an enumeration.
    pub fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(value);
    }

    /// A signed number (`int32`).
    pub fn signed(&mut self, field: u64, value: i32) {
        self.number(field, i64::from(value).cast_unsigned());
    }

    /// A switch that is on; off is what a message without the field says.
    pub fn switch(&mut self, field: u64, on: bool) {
        if on {
            self.number(field, 1);
        }
    }

    /// A string.
    pub fn text(&mut self, field: u64, text: impl AsRef<[u8]>) {
        let bytes = text.as_ref();
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message inside this one.
    pub fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.text(field, inner.0);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7f) as u8);
    }
}

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A string or a message.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// As `int32`.
    pub fn signed(self) -> Option<i32> {
        match self {
            // Negative ones come as 64 bits.
            Self::Number(number) => i32::try_from(number.cast_signed()).ok(),
            Self::Bytes(_) => None,
        }
    }

    /// As `bool`.
    pub fn is_true(self) -> bool {
        matches!(self, Self::Number(number) if number != 0)
    }

    /// As `string`, whatever its bytes.
    pub fn text(self) -> String {
        match self {
            Self::Number(_) => String::new(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// Calls `each` with the number and value of every field.
///
/// # Errors
/// Bytes that are no message; what `each` says.
pub fn fields<'a>(
    mut bytes: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>) -> Result<()>,
) -> Result<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = key >> 3;
        match key & 7 {
            VARINT => each(field, Value::Number(varint(&mut bytes)?))?,
            BYTES => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| malformed())?;
                each(field, Value::Bytes(take(&mut bytes, length)?))?;
            }
            FIXED64 => take(&mut bytes, 8).map(drop)?,
            FIXED32 => take(&mut bytes, 4).map(drop)?,
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    // Ten groups of seven bits hold 64 bits.
    for group in 0..10 {
        let [byte] = *take(bytes, 1)? else { return Err(malformed()) };
        value |= u64::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn malformed() -> Error {
    Error::new(Kind::Config, "what criu sent is no message of its protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a message, owned.
    fn all(bytes: &[u8]) -> Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        fields(bytes, |field, value| {
            found.push((field, format!("{value:?}")));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn values_are_written_as_protocol_buffers_are() {
        let mut writer = Writer::default();
        writer.number(1, 150);
        writer.text(2, "testing");
        writer.signed(3, -1);
        writer.switch(4, true);
        writer.switch(5, false);
        writer.message(16, |inner| inner.number(1, 1));
        // The first two are the examples of the format's documentation.
        let mut wanted = vec![0x08, 0x96, 0x01];
        wanted.extend([0x12, 7]);
        wanted.extend(b"testing");
        wanted.push(0x18);
        wanted.extend([0xff; 9]);
        wanted.extend([0x01, 0x20, 0x01, 0x82, 0x01, 2, 0x08, 0x01]);
        assert_eq!(writer.into_bytes(), wanted);
    }

    #[test]
    fn what_was_written_is_read() {
        let mut writer = Writer::default();
        writer.signed(7, i32::MIN);
        writer.text(60, "x");
        writer.number(3, u64::MAX);
        let mut seen = 0;
        fields(&writer.into_bytes(), |field, value| {
            match field {
                7 => assert_eq!(value.signed(), Some(i32::MIN)),
                60 => assert_eq!(value.text(), "x"),
                3 => assert_eq!(value, Value::Number(u64::MAX)),
                other => panic!("field {other}"),
            }
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 3);
    }

    #[test]
    fn unknown_kinds_are_skipped() {
        // A 64-bit and a 32-bit value in front of a number.
        let bytes = [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 5];
        assert_eq!(all(&bytes).unwrap(), [(3, "Number(5)".to_owned())]);
    }

    #[test]
    fn cut_and_senseless_bytes_are_errors() {
        let mut writer = Writer::default();
        writer.text(2, "testing");
        writer.number(1, 300);
        let whole = writer.into_bytes();
        for end in [1, 2, 5, 8, 10, 11] {
            assert!(all(&whole[..end]).is_err(), "{end}");
        }
        assert!(all(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(all(&[0x0b]).is_err(), "a group");
        assert!(all(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert_eq!(all(&[]).unwrap(), []);
    }
}
