//! `linux.netDevices`: devices of the host that become the container's. The host of these tests is
//! a network namespace of their own.

use crate::harness::{Container, Outcome};
use crate::needs::{Kind, lacks};
use serde_json::json;

/// Runs the container where `eth9`, with an address, is a device of the host; then says whether it
/// is there again.
fn run(c: &Container, before: &str) -> Outcome {
    let script = format!(
        "ip link add eth9 type veth peer name peer9 && ip link set eth9 up \
         && ip address add 192.0.2.9/24 dev eth9 && {before} \
         && $rt run $id; code=$?; ip -o link show eth9 >/dev/null 2>&1 && echo back; exit $code"
    );
    c.save();
    c.host_sh(&format!("unshare --net sh -c '{script}'"))
}

#[test]
fn a_device_moves_with_its_address_and_takes_a_name() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "does not know netDevices");
    for (name, wanted) in [("", "eth9"), ("inside0", "inside0")] {
        let script = format!(
            "ip -o address show {wanted} | grep -o '192.0.2.9/24'; ls /sys/class/net | wc -w"
        );
        let c = Container::sh(&script).edit(|s| {
            let device = if name.is_empty() { json!({}) } else { json!({"name": name}) };
            s["linux"]["netDevices"] = json!({"eth9": device});
        });
        let outcome = run(&c, "true");
        assert!(outcome.out.starts_with("192.0.2.9/24\n2\n"), "{outcome:?}");
    }
}

#[test]
fn devices_need_a_network_namespace_and_free_names() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "does not know netDevices");
    let c = Container::new(&["true"]).edit(|s| {
        crate::harness::drop_namespace(s, "network");
        s["linux"]["netDevices"] = json!({"eth9": {}});
    });
    run(&c, "true").fails();
    let c = Container::new(&["true"]).edit(|s| {
        s["linux"]["netDevices"] = json!({"eth9": {"name": "same"}, "peer9": {"name": "same"}});
    });
    run(&c, "true").fails();
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}
