//! stub
use crate::error::{Error, Result};
use crate::image::*;
pub async fn push(_: &Images, _: &Reference, _: Option<&Auth>, _: &Sink) -> Result<()> {
    Err(Error::unsupported("push"))
}
