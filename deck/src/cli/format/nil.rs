//! What nothing is printed as.
//!
//! Docker's client reads an engine's answer into Go's types before a template sees it: a field that
//! is null or was left out is then an empty list (`[]`), an empty map (`map[]`) or a nil pointer
//! (`<nil>`), by its type, and asking for it is no mistake. JSON doesn't tell the type; the field's
//! name does.

/// A field's type, as far as printing nothing needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    List,
    Map,
    Pointer,
    /// Left out when empty.
    Text,
}

use Type::{List, Map, Pointer, Text};

/// Fields of Docker's containers, images, networks and volumes that may be null or left out: of
/// `container.InspectResponse`, `image.InspectResponse` and what is in them.
const FIELDS: &[(&str, Type)] = &[
    ("Aliases", List),
    ("AppArmorProfile", Text),
    ("Binds", List),
    ("BlkioDeviceReadBps", List),
    ("BlkioDeviceReadIOps", List),
    ("BlkioDeviceWriteBps", List),
    ("BlkioDeviceWriteIOps", List),
    ("BlkioWeightDevice", List),
    ("CapAdd", List),
    ("CapDrop", List),
    ("Cmd", List),
    ("DNSNames", List),
    ("Data", Map),
    ("DeviceCgroupRules", List),
    ("DeviceRequests", List),
    ("Devices", List),
    ("Dns", List),
    ("DnsOptions", List),
    ("DnsSearch", List),
    ("DriverOpts", Map),
    ("Entrypoint", List),
    ("Env", List),
    ("ExecIDs", List),
    ("ExposedPorts", Map),
    ("ExtraHosts", List),
    ("GroupAdd", List),
    ("Health", Pointer),
    ("Healthcheck", Pointer),
    ("IPAMConfig", Pointer),
    ("Init", Pointer),
    ("Labels", Map),
    ("Layers", List),
    ("Links", List),
    ("MaskedPaths", List),
    ("MemorySwappiness", Pointer),
    ("Mounts", List),
    ("OnBuild", List),
    ("OomKillDisable", Pointer),
    ("Options", Map),
    ("PidsLimit", Pointer),
    ("PortBindings", Map),
    ("Ports", Map),
    ("ReadonlyPaths", List),
    ("RepoDigests", List),
    ("RepoTags", List),
    ("SecurityOpt", List),
    ("Shell", List),
    ("SizeRootFs", Pointer),
    ("SizeRw", Pointer),
    ("Status", Map),
    ("StopSignal", Text),
    ("StopTimeout", Pointer),
    ("StorageOpt", Map),
    ("Sysctls", Map),
    ("Tmpfs", Map),
    ("Ulimits", List),
    ("UsageData", Pointer),
    ("Volumes", Map),
    ("VolumesFrom", List),
];

/// How a field with nothing in it is printed; none for a name that isn't such a field's.
pub fn printed(name: &str) -> Option<&'static str> {
    let found = FIELDS.binary_search_by_key(&name, |(field, _)| field).ok()?;
    Some(match FIELDS[found].1 {
        List => "[]",
        Map => "map[]",
        Pointer => "<nil>",
        Text => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found() {
        for (name, _) in FIELDS {
            assert!(printed(name).is_some(), "{name} is out of order");
        }
        assert_eq!(printed("Entrypoint"), Some("[]"));
        assert_eq!(printed("Health"), Some("<nil>"));
        assert_eq!(printed("Nope"), None);
    }
}
