//! A list of names in one string: a seccomp profile has hundreds, and each would be a piece of
//! memory of its own.

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Names without NUL bytes, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Names {
    /// Each with a NUL byte behind it.
    text: String,
    /// Where these bytes are.
    ends: Vec<usize>,
}

impl Names {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = self.text.get(start..end).unwrap_or_default();
            start = end + 1;
            name
        })
    }

    /// All of them, each with a NUL byte behind it.
    pub fn terminated(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.text.push('\0');
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Names::default();
                while list.next_element_seed(Next(&mut names))?.is_some() {}
                Ok(names)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// The next name, to be added.
struct Next<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    /// A string with an escape; without one it can't contain a control character (RFC 8259).
    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if name.contains('\0') {
            return Err(E::custom("a name contains a NUL byte"));
        }
        self.0.push(name);
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<(), E> {
        self.0.push(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> Result<Names, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn they_come_out_as_they_went_in() {
        let found = names(r#"["read", "", "\u00e9", "write"]"#).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), ["read", "", "\u{e9}", "write"]);
        assert_eq!((found.len(), found.is_empty()), (4, false));
        assert_eq!(found.terminated(), "read\0\0\u{e9}\0write\0".as_bytes());
        assert!(names("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        let refused = |json| names(json).unwrap_err();
        assert!(refused(r#"["a\u0000b"]"#).contains("a name contains a NUL byte"));
        assert!(refused("[7]").contains("invalid type: integer `7`, expected a string"));
        assert!(refused("{}").contains("invalid type: map, expected a sequence"));
    }
}
