//! stub
use crate::error::{Error, Result};
use crate::image::*;
pub async fn pull(
    _: &Images,
    _: &Reference,
    _: Option<&Platform>,
    _: Option<&Auth>,
    _: &Sink,
) -> Result<Image> {
    Err(Error::unsupported("pull"))
}
