//! The API's filters: `{"key":["value"]}`, or `{"key":{"value":true}}` as current clients send.

use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// Filters by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads the `filters` parameter; empty is no filter.
    ///
    /// # Errors
    /// 400 when it is no such JSON.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bad = || Error::invalid(format!("invalid filter: {text}"));
        let value: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| bad())?;
        let mut filters = BTreeMap::new();
        for (key, value) in value {
            let values: Vec<String> = match value {
                Value::Array(list) => list
                    .into_iter()
                    .map(|value| value.as_str().map(str::to_string).ok_or_else(bad))
                    .collect::<Result<_>>()?,
                Value::Object(map) => map
                    .into_iter()
                    .filter(|(_, on)| on.as_bool() == Some(true))
                    .map(|(value, _)| value)
                    .collect(),
                Value::Null => Vec::new(),
                _ => return Err(bad()),
            };
            filters.insert(key, values);
        }
        Ok(Self(filters))
    }

    /// Refuses keys that mean nothing here: a filter that is passed over chooses too much.
    ///
    /// # Errors
    /// 400 in Docker's words.
    pub fn allow(&self, keys: &[&str]) -> Result<()> {
        match self.0.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(Error::invalid(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// The values of a key.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// The one value of a key that can have one.
    ///
    /// # Errors
    /// 400 when there are several.
    pub fn one(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Error::invalid(format!("only one {key} filter can be specified"))),
        }
    }

    /// A boolean filter.
    ///
    /// # Errors
    /// 400 when it isn't one.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.one(key)? {
            None => Ok(None),
            Some("1" | "true" | "True" | "t" | "T" | "TRUE") => Ok(Some(true)),
            Some("0" | "false" | "False" | "f" | "F" | "FALSE") => Ok(Some(false)),
            Some(other) => Err(Error::invalid(format!("invalid filter '{key}={other}'"))),
        }
    }

    /// Whether labels fit `label` (all of `key`, `key=value`) and `label!` (none).
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let fits = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        };
        self.get("label").iter().all(fits) && !self.get("label!").iter().any(fits)
    }

    /// Whether a text is one of a key's values, or there are none.
    pub fn any(&self, key: &str, text: &str) -> bool {
        let values = self.get(key);
        values.is_empty() || values.iter().any(|value| value == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read() {
        let old = Filters::parse(r#"{"status":["exited"],"label":["a=b"]}"#).unwrap();
        let new = Filters::parse(r#"{"status":{"exited":true},"label":{"a=b":true}}"#).unwrap();
        assert_eq!(old, new);
        assert!(Filters::parse("[]").is_err());
        assert!(Filters::parse(r#"{"a":1}"#).is_err());
        assert!(old.allow(&["status"]).is_err());
        assert!(old.labels(&BTreeMap::from([("a".into(), "b".into())])));
        assert!(!old.labels(&BTreeMap::new()));
    }
}
