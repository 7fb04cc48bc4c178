//! config.json, from bytes to the plan and its explanation.
#![no_main]

use std::path::{Component, Path};

use hull::cgroup::layout::Layout;
use hull::plan::explain::Explanation;
use hull::plan::{Host, Options, Plan};
use hull::spec::{Spec, check, load};
use libfuzzer_sys::fuzz_target;

const V1: [&str; 6] = ["cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "pids"];
const V2: [&str; 6] = ["cpu", "cpuset", "memory", "io", "pids", "hugetlb"];

fuzz_target!(|data: &[u8]| {
    let Ok(spec) = load::parse::<Spec>(data) else { return };
    let _ = check::warnings(&spec);
    for layout in [Layout::v1("/c", &V1, true), Layout::v2("/c", &V2, Some("/own"))] {
        let host = Host { layout, last_capability: 40, in_user_namespace: false };
        let options = Options {
            id: "id",
            bundle: Path::new("/bundle"),
            no_pivot: false,
            keyring: true,
            rootless: false,
            systemd: None,
        };
        let Ok(plan) = Plan::new(&spec, &options, &host) else { continue };
        let _ = Explanation::of(&plan, &spec).to_string();
        for path in plan.cgroup.paths().values() {
            assert!(path.starts_with("/c"), "{path:?} is not below the hierarchy");
            assert!(path.components().all(|part| part != Component::ParentDir), "{path:?} climbs");
        }
        for mount in &plan.mounts {
            let destination = mount.destination.to_bytes();
            assert_eq!(destination.first(), Some(&b'/'));
            assert!(!destination.split(|byte| *byte == b'/').any(|part| part == b".."));
        }
    }
});
