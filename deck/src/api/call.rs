//! A request as handlers see it: path, query, version, body.

use super::version::Version;
use crate::engine::Engine;
use crate::error::{Error, Result};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// The longest JSON body that is read: larger ones are hostile.
const MAX_JSON: usize = 4 << 20;

/// One request.
pub struct Call {
    /// What answers it.
    pub engine: Arc<Engine>,
    /// The version asked for.
    pub version: Version,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The request itself: headers, body, upgrade.
    pub request: Request<Incoming>,
}

impl Call {
    /// The method.
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Whether the client asks to take the connection over.
    pub fn upgrades(&self) -> bool {
        self.headers().contains_key(hyper::header::UPGRADE)
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The first value of a query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a query parameter.
    pub fn params(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, v)| v.clone()).collect()
    }

    /// A query parameter as text, empty when it is missing.
    pub fn text(&self, name: &str) -> String {
        self.param(name).unwrap_or_default().to_string()
    }

    /// A boolean query parameter, as Docker reads them: all but these words is true.
    pub fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    /// A boolean query parameter with a default.
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        self.param(name).map_or(default, |value| {
            let value = value.trim().to_ascii_lowercase();
            !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
        })
    }

    /// A numeric query parameter.
    ///
    /// # Errors
    /// 400 when it is no number.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        match self.param(name) {
            None | Some("") => Ok(None),
            Some(value) => value
                .parse()
                .map(Some)
                .map_err(|_| Error::invalid(format!("{name}: {value:?} is not a number"))),
        }
    }

    /// The JSON body.
    ///
    /// # Errors
    /// 400 when it is missing, too long, or not what it should be.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let body = self.body().await?;
        if body.is_empty() {
            return Err(Error::invalid("invalid JSON: got EOF while reading request body"));
        }
        decode(&body)
    }

    /// The JSON body, or the default when there is none.
    ///
    /// # Errors
    /// 400 when it isn't what it should be.
    pub async fn json_or_default<T: DeserializeOwned + Default>(&mut self) -> Result<T> {
        let body = self.body().await?;
        if body.iter().all(u8::is_ascii_whitespace) { Ok(T::default()) } else { decode(&body) }
    }

    /// The body's bytes, when it is a short one and said to be JSON: a page of the web may send
    /// other types anywhere without having asked.
    async fn body(&mut self) -> Result<Vec<u8>> {
        let said = self.header("content-type").unwrap_or_default().to_string();
        let body = Limited::new(self.request.body_mut(), MAX_JSON);
        let bytes = body
            .collect()
            .await
            .map_err(|error| Error::invalid(format!("read the request's body: {error}")))?;
        let bytes = bytes.to_bytes().to_vec();
        let media = said.split(';').next().unwrap_or_default().trim();
        if !bytes.is_empty() && !media.eq_ignore_ascii_case("application/json") {
            return Err(Error::invalid(format!(
                "unsupported Content-Type header ({said}): must be 'application/json'"
            )));
        }
        Ok(bytes)
    }
}

/// Reads JSON as Go does: `null` is the zero value everywhere, unknown keys are nothing.
///
/// # Errors
/// 400 with what is wrong.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let bad = |error: serde_json::Error| Error::invalid(format!("invalid JSON: {error}"));
    let mut value: Value = serde_json::from_slice(body).map_err(bad)?;
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(bad)
}

/// Removes keys whose value is `null`: serde's defaults take their place.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Splits a query into decoded pairs.
pub fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(key, true), unescape(value, true))
        })
        .collect()
}

/// Undoes percent encoding; what isn't valid stays as it is. In a query `+` is a space.
pub fn unescape(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (bytes[at], hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) if plus => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        assert_eq!(
            query("a=%2Fetc%2Fx&b=c+d&e&=f&g=%zz"),
            [("a", "/etc/x"), ("b", "c d"), ("e", ""), ("", "f"), ("g", "%zz")]
                .map(|(key, value)| (key.to_string(), value.to_string()))
        );
        assert_eq!(unescape("a+b%20c", false), "a+b c");
    }

    #[test]
    fn null_is_the_zero_value() {
        #[derive(serde::Deserialize, Debug, PartialEq, Default)]
        #[serde(default)]
        struct S {
            a: String,
            b: Option<Vec<u8>>,
        }
        assert_eq!(decode::<S>(br#"{"a":null,"b":null,"z":1}"#).unwrap(), S::default());
        let error = decode::<S>(b"{\"a\":1}").unwrap_err();
        assert_eq!(error.status, 400);
    }
}
