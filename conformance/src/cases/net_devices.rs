//! Network devices moved into a container (config-linux.md). The case's process makes a network
//! namespace of its own first: that is the runtime's, and no device of the host is touched.

use std::net::Ipv4Addr;

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::case::{Case, Stop, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;
use crate::sys;

const DEVICE: &str = "suite0";

fn described(name: &str, cite: &str) -> crate::case::Builder {
    case(format!("net-devices/{name}"))
        .cites(cite)
        .needs(Need::Root)
        .needs(Need::Spec("1.3.0"))
        .needs(Need::File("/dev/net/tun"))
        .needs(Need::Claim("/linux/netDevices/enabled", json!(true)))
}

/// The chapter.
pub fn cases() -> Vec<Case> {
    vec![
        described(
            "moved",
            "config-linux.md:214 A set of network devices that MUST be made available",
        )
        .breaks(drops("/linux/netDevices"))
        .runs(|c| {
            let seen = moved(c, json!({DEVICE: {}}), DEVICE)?;
            c.saw(seen.to_string());
            ensure(!seen.is_null(), || "the device is not in the container".into())?;
            ensure(sys::interface_state(DEVICE).is_err(), || "it is still outside".into())
        }),
        described(
            "renamed",
            "config-linux.md:214 A set of network devices that MUST be made available",
        )
        .breaks(sets(&format!("/linux/netDevices/{DEVICE}/name"), "other0"))
        .runs(|c| {
            let seen = moved(c, json!({DEVICE: {"name": "inner0"}}), "inner0")?;
            ensure(!seen.is_null(), || "there is no inner0".into())
        }),
        described("up", "config-linux.md:238 MUST set the network device state to \"up\"")
            .breaks(drops("/linux/netDevices"))
            .runs(|c| {
                let seen = moved(c, json!({DEVICE: {}}), DEVICE)?;
                equal("up", &seen["up"], &json!(true))
            }),
        described("keeps-address", "config-linux.md:232 MUST preserve existing network interface")
            .breaks(drops("/linux/netDevices"))
            .runs(|c| {
                let seen = moved(c, json!({DEVICE: {}}), DEVICE)?;
                equal("address", &seen["address"], &json!("192.0.2.7"))
            }),
        described("name-taken", "config-linux.md:225 already exists in the container namespace")
            .breaks(Break::Repair)
            .runs(|c| {
                prepare(c)?;
                c.set("/linux/netDevices", json!({DEVICE: {"name": "lo"}}));
                c.create_refused()?;
                ensure(sys::interface_state(DEVICE).is_ok(), || "the device is gone".into())
            }),
        described("name-template", "config-linux.md:228 the kernel will generate a unique name")
            .breaks(drops("/linux/netDevices"))
            .runs(|c| {
                let seen = moved(c, json!({DEVICE: {"name": "made%d"}}), "made0")?;
                ensure(!seen.is_null(), || "there is no made0".into())
            }),
        described(
            "not-moved-back",
            "config-linux.md:251 MUST NOT attempt to move the interface out",
        )
        .breaks(drops("/linux/netDevices"))
        .runs(|c| {
            prepare(c)?;
            c.set("/linux/netDevices", json!({DEVICE: {}}));
            let mut container = c.start()?;
            container.wait()?;
            container.delete()?;
            ensure(sys::interface_state(DEVICE).is_err(), || "it is back".into())
        }),
    ]
}

fn prepare(c: &mut Context) -> Verdict {
    unshare(CloneFlags::CLONE_NEWNET)?;
    sys::make_tun(DEVICE).map_err(|errno| Stop::Skip(format!("no TUN device: {errno}")))?;
    sys::set_address(DEVICE, Ipv4Addr::new(192, 0, 2, 7))?;
    c.namespace("network", None);
    Ok(())
}

/// What the container sees of the device `name`; null when there is none.
fn moved(c: &mut Context, devices: Value, name: &str) -> Result<Value, Stop> {
    prepare(c)?;
    c.set("/linux/netDevices", devices);
    let request = format!("interface:{name}");
    c.request(&[&request]);
    let seen = c.observe()?;
    c.saw(format!("interfaces {:?}", seen.interfaces));
    Ok(seen.tried(&request).value)
}
