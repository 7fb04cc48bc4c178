//! The API's JSON, by hand: Docker tells `null`, `[]` and absent apart, and so do these.

pub mod system;
