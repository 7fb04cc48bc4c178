//! From an image's configuration and the wishes of a create request to a bundle's config.json; pure.
//!
//! [`spec`] decides. What it needs to know of the host and of the image's files comes from
//! [`Host::read`] and [`user::resolve`], the only two that look.

pub mod host;
pub mod user;
pub mod wishes;

use crate::error::{Error, Result};
use crate::image::RunConfig;
pub use host::Host;
use oci_spec::runtime::Spec;
use std::path::Path;
pub use user::Identity;
pub use wishes::Wishes;

/// All that decides a spec.
#[derive(Debug)]
pub struct Input<'a> {
    /// The image's configuration.
    pub image: &'a RunConfig,
    /// What is asked for.
    pub wishes: &'a Wishes,
    /// Who the process runs as, resolved in the image's root.
    pub identity: &'a Identity,
    /// The root file system: absolute, or relative to the bundle.
    pub rootfs: &'a Path,
    /// What the host offers.
    pub host: &'a Host,
}

/// The bundle's config.json.
///
/// # Errors
/// 400 for a wish that can't be meant: no command, an unknown capability, a malformed limit.
pub fn spec(input: &Input) -> Result<Spec> {
    let _ = input;
    Err(Error::unsupported("bundle"))
}
