//! The network namespace: loopback up, and devices that the runtime moves in.
//!
//! Runs as: init, in its network namespace.

use crate::error::{At, Result};
use crate::plan::namespaces::NamespaceType;
use crate::spawn::Staged;
use crate::spawn::channel::{Channel, Message};

/// Brings up what belongs to the container.
///
/// # Errors
/// netlink(7).
pub fn set_up(staged: &Staged<'_>, channel: &Channel) -> Result<()> {
    if staged.plan.namespaces.creates(NamespaceType::Network) {
        crate::netdev::loopback_up().at(|| "bringing up the loopback interface")?;
    }
    if !staged.plan.net_devices.is_empty() {
        channel.send(&Message::Network)?;
        channel.await_go_on()?;
    }
    Ok(())
}
