//! stub
use crate::error::{Error, Result};
use crate::image::*;
pub async fn search(
    _: &crate::config::Config,
    _: &str,
    _: u32,
    _: Option<&Auth>,
) -> Result<Vec<SearchResult>> {
    Err(Error::unsupported("search"))
}
