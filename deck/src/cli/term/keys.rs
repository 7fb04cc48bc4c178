//! Detach keys: `ctrl-p,ctrl-q` and the like, and finding them in what is typed; pure.

use crate::{Error, Result};

/// Docker's default.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Reads a list of keys: single characters, or `ctrl-` and one of `a-z@[\]^_`.
///
/// # Errors
/// A key can't be meant.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|key| parse_key(key, text)).collect()
}

fn parse_key(key: &str, text: &str) -> Result<u8> {
    match key.as_bytes() {
        [byte] => Ok(*byte),
        [b'c', b't', b'r', b'l', b'-', byte] => {
            let upper = byte.to_ascii_uppercase();
            // ASCII's control characters: the letter's low five bits.
            if (b'@'..=b'_').contains(&upper) {
                Ok(upper & 0x1f)
            } else {
                Err(Error::invalid(format!("unknown character 'ctrl-{}'", char::from(*byte))))
            }
        }
        _ => Err(Error::invalid(format!(
            "invalid detach keys ({text}): '{key}' is neither a character nor ctrl-LETTER"
        ))),
    }
}

/// Finds the keys in a stream of bytes.
#[derive(Debug)]
pub struct Finder {
    keys: Vec<u8>,
    matched: usize,
}

impl Finder {
    /// Looks for `keys`; never finds an empty list.
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Takes what was typed; gives what to pass on, and whether the keys are complete.
    pub fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (typed.to_vec(), false);
        }
        let mut pass = Vec::with_capacity(typed.len() + self.matched);
        for &byte in typed {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return (pass, true);
                }
                continue;
            }
            pass.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(byte == self.keys[0]);
            if self.matched == 0 {
                pass.push(byte);
            }
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(parse(DEFAULT).unwrap(), [16, 17]);
        assert_eq!(parse("a,ctrl-@,ctrl-[").unwrap(), [b'a', 0, 27]);
        assert!(parse("ctrl-1").is_err());
        assert!(parse("ab").is_err());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn the_sequence_is_found_across_reads() {
        let mut finder = Finder::new(vec![16, 17]);
        assert_eq!(finder.feed(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(finder.feed(b"\x11rest"), (Vec::new(), true));
    }

    #[test]
    fn half_a_sequence_is_passed_on() {
        let mut finder = Finder::new(vec![16, 17]);
        assert_eq!(finder.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(finder.feed(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(Finder::new(Vec::new()).feed(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }
}
