use super::*;
use std::path::Path;

const ALL_V1: [&str; 11] = [
    "cpu,cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls,net_prio",
    "rdma",
    "name=systemd",
];

fn v1() -> Layout {
    let mut layout = Layout::v1("/c", &ALL_V1, true);
    if let Layout::V1 { hierarchies, .. } = &mut layout {
        for hierarchy in hierarchies.iter_mut().filter(|one| one.controllers == ["memory"]) {
            hierarchy.own_path = "/own/path".to_owned();
        }
    }
    layout
}

fn v2() -> Layout {
    let controllers = ["cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma", "misc"];
    Layout::v2("/c", &controllers, Some("/user.slice/session.scope"))
}

fn request<'a>(path: &'a str, resources: Option<&'a Resources>) -> Request<'a> {
    Request { cgroups_path: path, id: "id", resources, devices: &[], rootless: false, owner: None }
}

fn directories(layout: &Layout, path: &str) -> Vec<String> {
    let plan = plan(layout, &request(path, None)).unwrap();
    plan.directories.iter().map(|dir| dir.path.to_str().unwrap().to_owned()).collect()
}

/// The writes for `json`, as `file=value`, with `?` where the file may be missing, `~` where the
/// value may have to wait, and `|` before another file.
fn writes(layout: &Layout, json: &str) -> Vec<String> {
    let resources: Resources = serde_json::from_str(json).unwrap();
    let plan = plan(layout, &request("/x", Some(&resources)));
    let plan = plan.unwrap_or_else(|problems| panic!("{problems:?}"));
    let show = |write: &Write| {
        let end = match &write.rule {
            WriteRule::Must => String::new(),
            WriteRule::IfPresent => "?".to_owned(),
            WriteRule::Retry => "~".to_owned(),
            WriteRule::Else { file, value } => format!("|{file}={value}"),
        };
        format!("{}={}{end}", write.file, write.value)
    };
    plan.writes.iter().map(show).collect()
}

fn problems(layout: &Layout, json: &str) -> Vec<String> {
    let resources: Resources = serde_json::from_str(json).unwrap();
    let problems = plan(layout, &request("/x", Some(&resources))).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn absolute_paths_are_below_each_mount_point() {
    let found = directories(&v1(), "/a/b");
    assert_eq!(found.len(), 12);
    assert!(found.contains(&"/c/cpu,cpuacct/a/b".to_owned()));
    assert!(found.contains(&"/c/memory/a/b".to_owned()));
    assert!(found.contains(&"/c/unified/a/b".to_owned()));
    assert_eq!(directories(&v2(), "/a/b"), ["/c/a/b"]);
}

#[test]
fn relative_paths_are_below_the_own_cgroup_on_v1_and_beside_it_on_v2() {
    for (path, end) in [("a/b", "a/b"), ("", "id")] {
        let found = directories(&v1(), path);
        assert!(found.contains(&format!("/c/memory/own/path/{end}")), "{found:?}");
        assert!(found.contains(&format!("/c/systemd/{end}")), "{found:?}");
        assert!(found.contains(&format!("/c/unified/{end}")), "{found:?}");
        assert_eq!(directories(&v2(), path), [format!("/c/user.slice/{end}")]);
    }
}

#[test]
fn no_path_leads_out() {
    for path in ["/../../etc", "../../../etc", "/a/../../../etc", "./..//../etc"] {
        for found in directories(&v1(), path).into_iter().chain(directories(&v2(), path)) {
            assert!(found.starts_with("/c/") && found.ends_with("/etc"), "{path}: {found}");
            assert!(!found.contains(".."), "{path}: {found}");
        }
    }
    for path in ["/", "/..", "..", "a/..", "."] {
        assert!(plan(&v2(), &request(path, None)).is_err(), "{path}");
    }
}

#[test]
fn paths_are_recorded_by_controller() {
    let paths = plan(&v1(), &request("/a", None)).unwrap().paths();
    assert_eq!(paths["cpu"], Path::new("/c/cpu,cpuacct/a"));
    assert_eq!(paths["cpuacct"], Path::new("/c/cpu,cpuacct/a"));
    assert_eq!(paths["name=systemd"], Path::new("/c/systemd/a"));
    assert_eq!(paths[""], Path::new("/c/unified/a"));
    let paths = plan(&v2(), &request("/a", None)).unwrap().paths();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), [(String::new(), "/c/a".into())]);
}

#[test]
fn memory() {
    let table: [(&str, &[&str], &[&str]); 6] = [
        (
            r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#,
            &[
                "memory.limit_in_bytes=100~",
                "memory.memsw.limit_in_bytes=300~",
                "memory.soft_limit_in_bytes=50",
            ],
            &["memory.swap.max=200", "memory.max=100", "memory.low=50"],
        ),
        (
            r#"{"memory":{"limit":100,"swap":100}}"#,
            &["memory.limit_in_bytes=100~", "memory.memsw.limit_in_bytes=100~"],
            &["memory.swap.max=0?", "memory.max=100"],
        ),
        (
            r#"{"memory":{"limit":-1}}"#,
            &["memory.memsw.limit_in_bytes=-1?", "memory.limit_in_bytes=-1~"],
            &["memory.swap.max=max?", "memory.max=max"],
        ),
        (
            r#"{"memory":{"limit":100,"swap":-1}}"#,
            &["memory.memsw.limit_in_bytes=-1~", "memory.limit_in_bytes=100~"],
            &["memory.swap.max=max?", "memory.max=100"],
        ),
        (r#"{"memory":{"limit":0,"swap":0,"reservation":0,"disableOOMKiller":false}}"#, &[], &[]),
        (r#"{"memory":{"kernel":5,"kernelTCP":6}}"#, &[], &[]),
    ];
    for (json, expected_v1, expected_v2) in table {
        assert_eq!(writes(&v1(), json), expected_v1, "{json}");
        assert_eq!(writes(&v2(), json), expected_v2, "{json}");
    }
    let json = r#"{"memory":{"swappiness":30,"disableOOMKiller":true,"useHierarchy":true}}"#;
    assert_eq!(
        writes(&v1(), json),
        ["memory.oom_control=1", "memory.use_hierarchy=1", "memory.swappiness=30"]
    );
    assert_eq!(problems(&v2(), json).len(), 2);
    assert_eq!(
        problems(&v1(), r#"{"memory":{"swappiness":101}}"#),
        ["linux.resources.memory.swappiness: invalid memory swappiness value 101 (valid range is \
          0-100)"]
    );
}

#[test]
fn kernel_memory_is_warned_about() {
    let resources = serde_json::from_str(r#"{"memory":{"kernel":5}}"#).unwrap();
    let plan = plan(&v1(), &request("/x", Some(&resources))).unwrap();
    assert_eq!(plan.warnings.len(), 1);
}

#[test]
fn usage_is_checked_on_request_where_the_kernel_does_not() {
    let json = r#"{"memory":{"limit":100,"swap":-1,"checkBeforeUpdate":true}}"#;
    let resources = serde_json::from_str(json).unwrap();
    let check =
        |layout: &Layout| plan(layout, &request("/x", Some(&resources))).unwrap().check_usage;
    assert_eq!(check(&v2()), Some(UsageCheck { memory: 100, swap: 0 }));
    assert_eq!(check(&v1()), None);
}

#[test]
fn cpu() {
    let json = r#"{"cpu":{"shares":1024,"quota":50000,"period":100000,"burst":1000,"idle":1,
                          "cpus":"0-1","mems":"0"}}"#;
    assert_eq!(
        writes(&v1(), json),
        [
            "cpuset.cpus=0-1|cpus=0-1",
            "cpuset.mems=0|mems=0",
            "cpu.shares=1024",
            "cpu.cfs_period_us=100000~",
            "cpu.cfs_burst_us=1000~",
            "cpu.cfs_quota_us=50000",
            "cpu.idle=1",
        ]
    );
    assert_eq!(
        writes(&v2(), json),
        [
            "cpu.idle=1",
            "cpu.weight=100",
            "cpu.max.burst=1000~",
            "cpu.max=50000 100000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
        ]
    );
    let json = r#"{"cpu":{"realtimeRuntime":950,"realtimePeriod":1000}}"#;
    assert_eq!(writes(&v1(), json), ["cpu.rt_period_us=1000~", "cpu.rt_runtime_us=950"]);
    assert_eq!(problems(&v2(), json).len(), 1);
    assert_eq!(writes(&v2(), r#"{"cpu":{"quota":-1}}"#), ["cpu.max=max 100000"]);
    assert_eq!(writes(&v2(), r#"{"cpu":{"period":50000}}"#), ["cpu.max=max 50000"]);
    assert_eq!(writes(&v1(), r#"{"cpu":{"period":50000}}"#), ["cpu.cfs_period_us=50000"]);
    assert_eq!(writes(&v2(), r#"{"cpu":{"shares":0,"quota":0,"period":0}}"#), [""; 0]);
    let what = problems(&v1(), r#"{"cpu":{"shares":262145}}"#);
    assert_eq!(what, ["linux.resources.cpu.shares: the maximum allowed cpu-shares is 262144"]);
}

#[test]
fn pids() {
    for (limit, expected) in [(10, "10"), (0, "1"), (-1, "max"), (-7, "max")] {
        let json = format!(r#"{{"pids":{{"limit":{limit}}}}}"#);
        for layout in [v1(), v2()] {
            assert_eq!(writes(&layout, &json), [format!("pids.max={expected}")]);
        }
    }
    assert_eq!(writes(&v1(), r#"{"pids":{}}"#), [""; 0]);
}

#[test]
fn block_io() {
    let json = r#"{"blockIO":{"weight":100,
        "weightDevice":[{"major":8,"minor":0,"weight":500}],
        "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1024}],
        "throttleWriteBpsDevice":[{"major":8,"minor":1,"rate":2048}],
        "throttleReadIOPSDevice":[{"major":8,"minor":2,"rate":3}],
        "throttleWriteIOPSDevice":[{"major":8,"minor":3,"rate":0}]}}"#;
    assert_eq!(
        writes(&v1(), json),
        [
            "blkio.weight=100|blkio.bfq.weight=100",
            "blkio.weight_device=8:0 500|blkio.bfq.weight_device=8:0 500",
            "blkio.throttle.read_bps_device=8:0 1024",
            "blkio.throttle.write_bps_device=8:1 2048",
            "blkio.throttle.read_iops_device=8:2 3",
            "blkio.throttle.write_iops_device=8:3 0",
        ]
    );
    assert_eq!(
        writes(&v2(), json),
        [
            "io.bfq.weight=100|io.weight=910",
            "io.bfq.weight=8:0 500|io.weight=8:0 4950",
            "io.max=8:0 rbps=1024",
            "io.max=8:1 wbps=2048",
            "io.max=8:2 riops=3",
            "io.max=8:3 wiops=max",
        ]
    );
    let json =
        r#"{"blockIO":{"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"leafWeight":20}]}}"#;
    assert_eq!(writes(&v1(), json), ["blkio.leaf_weight=10", "blkio.leaf_weight_device=8:0 20"]);
    assert_eq!(problems(&v2(), json).len(), 1);
    let json = r#"{"blockIO":{"throttleReadBpsDevice":[{"major":-8,"minor":0,"rate":1}]}}"#;
    assert_eq!(problems(&v2(), json), ["linux.resources.blockIO: invalid device number -8:0"]);
}

#[test]
fn huge_pages_rdma_and_network() {
    let json = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4096}],
                   "rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":1000},"mlx4_0":{"hcaObjects":5}}}"#;
    assert_eq!(
        writes(&v1(), json),
        [
            "hugetlb.2MB.limit_in_bytes=4096",
            "hugetlb.2MB.rsvd.limit_in_bytes=4096?",
            "rdma.max=mlx4_0 hca_object=5",
            "rdma.max=mlx5_1 hca_handle=3 hca_object=1000",
        ]
    );
    assert_eq!(writes(&v2(), json)[..2], ["hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096?"]);
    for size in ["", "2", "MB", "02MB", "2mb", "../x/2MB", "2MBB", "2PB"] {
        let json = format!(r#"{{"hugepageLimits":[{{"pageSize":"{size}","limit":1}}]}}"#);
        assert_eq!(problems(&v1(), &json).len(), 1, "{size}");
    }
    let json = r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}"#;
    assert_eq!(writes(&v1(), json), ["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"]);
    assert_eq!(problems(&v2(), json).len(), 1);
}

#[test]
fn unified() {
    let json = r#"{"unified":{"memory.high":"1000","cgroup.max.depth":"3","misc.max":"x 1"}}"#;
    assert_eq!(writes(&v2(), json), ["cgroup.max.depth=3", "memory.high=1000", "misc.max=x 1"]);
    let expected =
        "linux.resources.unified: cannot use unified on cgroup v1: invalid configuration";
    assert_eq!(problems(&v1(), json), [expected]);
    let json =
        r#"{"unified":{"../a.b":"1","nodot":"1","foo.max":"1","cgroup.procs":"1",".x":"1"}}"#;
    let found = problems(&v2(), json).join("\n");
    for part in [
        "\"../a.b\" must be a file name (no slashes)",
        "\"nodot\" must be in the form CONTROLLER.PARAMETER",
        "\".x\" must be in the form CONTROLLER.PARAMETER",
        "\"foo.max\" can't be set: controller \"foo\" not available",
        "\"cgroup.procs\" is not a limit",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

#[test]
fn a_missing_controller_is_named() {
    let layout = Layout::v1("/c", &["devices", "cpu"], false);
    let json = r#"{"memory":{"limit":5},"pids":{"limit":3},"blockIO":{"weight":10},
                   "cpu":{"cpus":"0","shares":5},"rdma":{"a":{}},"network":{"classID":1},
                   "hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#;
    let found = problems(&layout, json).join("\n");
    for name in ["memory", "pids", "blkio", "cpuset", "rdma", "net_cls", "hugetlb"] {
        let what = format!("the host has no {name} cgroup controller");
        assert!(found.contains(&what), "{what} in {found}");
    }
    assert!(!found.contains("no cpu cgroup"), "{found}");
    let found = problems(&Layout::v1("/c", &["cpu"], false), "{}").join("\n");
    assert!(found.contains("no devices cgroup controller"), "{found}");
}

#[test]
fn device_rules_come_before_the_defaults() {
    let json = r#"{"devices":[{"allow":false,"access":"rwm"},
        {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}]}"#;
    let resources: Resources = serde_json::from_str(json).unwrap();
    let mut own = request("/x", Some(&resources));
    let Devices::V2(rules) = plan(&v2(), &own).unwrap().devices else { panic!() };
    assert_eq!(rules.len(), 13);
    assert!(rules[0].is_total() && !rules[0].allow);
    let devices = [Device { path: "/dev/null".to_owned(), ..Device::default() }];
    own.devices = &devices;
    let Devices::V2(rules) = plan(&v2(), &own).unwrap().devices else { panic!() };
    assert_eq!(rules.len(), 12);
    let Devices::V1(whitelist) = plan(&v1(), &request("/x", None)).unwrap().devices else {
        panic!()
    };
    let values: Vec<String> =
        whitelist.entries(None).into_iter().map(|entry| entry.value).collect();
    assert_eq!(
        values,
        [
            "a",
            "b *:* m",
            "c *:* m",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 1:8 rwm",
            "c 1:9 rwm",
            "c 5:0 rwm",
            "c 5:2 rwm",
            "c 10:200 rwm",
            "c 136:* rwm",
        ]
    );
}

#[test]
fn invalid_device_rules_are_problems() {
    let json = r#"{"devices":[{"type":"x","access":"r"},{"type":"c","access":"q"},
        {"type":"c","access":""},{"type":"b","major":-2,"access":"r"}]}"#;
    assert_eq!(
        problems(&v2(), json),
        [
            "linux.resources.devices[0].type: invalid device type \"x\"",
            "linux.resources.devices[1].access: invalid device access \"q\"",
            "linux.resources.devices[2].access: invalid device access \"\"",
            "linux.resources.devices[3].major: invalid device number -2",
        ]
    );
}

#[test]
fn ownership_is_for_v2_alone() {
    let owner = |layout: &Layout| {
        let request = Request { owner: Some(7), ..request("/x", None) };
        plan(layout, &request).unwrap().owner
    };
    assert_eq!((owner(&v1()), owner(&v2())), (None, Some(7)));
}
