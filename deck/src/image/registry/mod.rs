//! stub
use crate::error::{Error, Result};
use crate::image::*;
pub mod search;
pub async fn login(_: &crate::config::Config, _: &Auth) -> Result<(String, String)> {
    Err(Error::unsupported("login"))
}
