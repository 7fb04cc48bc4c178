//! The API's JSON, by hand: Docker tells `null`, `[]` and absent apart, and so do these.
//!
//! A list that is `Option` is `null` when it wasn't given and `[]` when it was given empty, as
//! Docker keeps it. Fields are the Engine API's; their meanings are told there and in
//! docker-run(1), here only where they are not plain.

pub mod config;
pub mod host;
pub mod inspect;
pub mod summary;
pub mod system;

use serde::{Deserialize, Deserializer};

/// Docker's lists of words may be given as one string.
pub fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::deserialize(deserializer)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}

/// Whether a number is left out.
pub fn is_zero(value: &i64) -> bool {
    *value == 0
}
