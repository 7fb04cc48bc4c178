use super::*;
use crate::spec::linux::Resources;

fn system() -> Facts {
    Facts { user: false, control_group: String::new() }
}

fn planned(path: &str, facts: &Facts, resources: &str) -> Result<CgroupPlan, Vec<Problem>> {
    let resources: Resources = serde_json::from_str(resources).unwrap();
    let request = Request {
        cgroups_path: path,
        id: "web",
        resources: Some(&resources),
        devices: &[],
        rootless: facts.user,
        owner: None,
    };
    let controllers = ["cpu", "cpuset", "memory", "io", "pids"];
    let layout = Layout::v2("/c", &controllers, Some("/"));
    plan(&layout, &request, facts, &BTreeMap::new())
}

fn place(path: &str, facts: &Facts) -> (String, String) {
    let plan = planned(path, facts, "{}").unwrap();
    let unit = plan.unit.unwrap();
    (plan.directories[0].path.to_str().unwrap().to_owned(), unit.unit.name)
}

#[test]
fn where_the_unit_is() {
    let pair = |path: &str, name: &str| (path.to_owned(), name.to_owned());
    let expected = pair("/c/system.slice/hull-web.scope", "hull-web.scope");
    assert_eq!(place("", &system()), expected);
    let expected = pair("/c/a.slice/a-b.slice/docker-1.scope", "docker-1.scope");
    assert_eq!(place("a-b.slice:docker:1", &system()), expected);
    assert_eq!(place("-.slice:p:n", &system()), pair("/c/p-n.scope", "p-n.scope"));
    let user = Facts { user: true, control_group: "/user.slice/user@7.service".into() };
    let expected = pair("/c/user.slice/user@7.service/user.slice/libpod-1.scope", "libpod-1.scope");
    assert_eq!(place(":libpod:1", &user), expected);
}

#[test]
fn names_that_are_none() {
    for (path, part) in [
        ("/a/b", "expected cgroupsPath to be of format"),
        ("a:b", "expected cgroupsPath to be of format"),
        ("a.slice:b:c:d", "expected cgroupsPath to be of format"),
        ("a:b:c", "invalid slice name: a"),
        ("a--b.slice:b:c", "invalid slice name"),
        ("../x.slice:b:c", "invalid slice name"),
        (".slice:b:c", "invalid slice name"),
        ("a.slice:b:../c", "no valid unit name"),
        ("a.slice:b:", "no valid unit name"),
        ("a.slice:b:c.slice", "can't have processes"),
    ] {
        let problems = planned(path, &system(), "{}").unwrap_err();
        assert!(problems[0].to_string().contains(part), "{path}: {}", problems[0]);
    }
    let request = Request {
        cgroups_path: "",
        id: "x",
        resources: None,
        devices: &[],
        rootless: false,
        owner: None,
    };
    let v1 = Layout::v1("/c", &["devices"], false);
    let problems = plan(&v1, &request, &system(), &BTreeMap::new()).unwrap_err();
    assert!(problems[0].to_string().contains("needs cgroup v2"));
}

/// The properties that limits become, as `Name=value`, and what is written in the end.
fn properties(resources: &str) -> (Vec<String>, Vec<String>) {
    let plan = planned("", &system(), resources).unwrap();
    let own = plan.unit.unwrap().properties.split_off(8);
    let show = |property: &Property| match &property.value {
        Value::U64(u64::MAX) => format!("{}=infinity", property.name),
        Value::U64(number) => format!("{}={number}", property.name),
        Value::Str(text) => format!("{}={text}", property.name),
        Value::Array(_, bytes) => format!("{}={bytes:?}", property.name),
        other => format!("{}={other:?}", property.name),
    };
    let writes = plan.writes.iter().map(|write| format!("{}={}", write.file, write.value));
    (own.iter().map(show).collect(), writes.collect())
}

#[test]
fn limits_in_words_of_systemd() {
    let (own, writes) = properties(
        r#"{"memory":{"limit":100,"swap":-1,"reservation":50},"pids":{"limit":-1},
        "cpu":{"shares":1024,"quota":50000,"cpus":"0,9-10","mems":"0"},
        "unified":{"memory.high":"90","memory.oom.group":"1"}}"#,
    );
    let expected = [
        "TasksMax=infinity",
        "MemorySwapMax=infinity",
        "MemoryMax=100",
        "MemoryLow=50",
        "CPUWeight=100",
        "CPUQuotaPeriodUSec=100000",
        "CPUQuotaPerSecUSec=500000",
        "AllowedCPUs=[Byte(1), Byte(6)]",
        "AllowedMemoryNodes=[Byte(1)]",
        "MemoryHigh=90",
        "OOMPolicy=kill",
    ];
    assert_eq!(own, expected);
    assert!(writes.contains(&"cpu.max=50000 100000".to_owned()), "{writes:?}");
}

#[test]
fn quotas_are_rounded_up_to_percents() {
    let (own, writes) = properties(r#"{"cpu":{"quota":16170,"period":33000}}"#);
    assert_eq!(own, ["CPUQuotaPeriodUSec=33000", "CPUQuotaPerSecUSec=490000"]);
    assert_eq!(writes, ["cpu.max=16170 33000"]);
    let (own, writes) = properties(r#"{"cpu":{"quota":16171,"period":33000}}"#);
    assert_eq!(own, ["CPUQuotaPeriodUSec=33000", "CPUQuotaPerSecUSec=500000"]);
    assert_eq!(writes, ["cpu.max=16500 33000"]);
    let (own, _) = properties(r#"{"cpu":{"quota":-1}}"#);
    assert_eq!(own, ["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=infinity"]);
}

#[test]
fn idle_takes_the_place_of_the_weight() {
    let (own, writes) = properties(r#"{"cpu":{"idle":1,"shares":512}}"#);
    assert_eq!(own, ["CPUWeight=0"]);
    assert_eq!(writes, ["cpu.idle=1"]);
    let (own, _) = properties(r#"{"cpu":{"idle":0,"shares":1024}}"#);
    assert_eq!(own, ["CPUWeight=100"]);
}

fn annotated(name: &str, text: &str) -> Result<Vec<Property>, Vec<Problem>> {
    of_annotations(&[(format!("{ANNOTATION}{name}"), text.to_owned())].into())
}

#[test]
fn annotations_are_properties() {
    for (name, text, expected) in [
        ("CollectMode", "'inactive-or-failed'", Value::Str("inactive-or-failed".into())),
        ("TimeoutStopUSec", "uint64 123456789", Value::U64(123_456_789)),
        ("SendSIGHUP", "true", Value::Bool(true)),
        ("After", "['a.service', 'b.service']", {
            let strings = ["a.service", "b.service"].map(|s| Value::Str(s.into()));
            Value::Array("s".into(), strings.to_vec())
        }),
    ] {
        assert_eq!(annotated(name, text).unwrap(), [Property::new(name, expected)]);
    }
    let expected = [Property::new("TimeoutStopUSec", Value::U64(1_500_000))];
    assert_eq!(annotated("TimeoutStopSec", "1.5").unwrap(), expected);
    let expected = [Property::new("RuntimeMaxUSec", Value::U64(10_000_000))];
    assert_eq!(annotated("RuntimeMaxSec", "10").unwrap(), expected);
}

#[test]
fn annotations_that_are_none() {
    for (name, text) in [
        ("Ab", "true"),
        ("Some Name", "true"),
        ("CollectMode", "unquoted"),
        ("TimeoutStopSec", "'x'"),
        ("TimeoutStopSec", "-1"),
    ] {
        assert_eq!(annotated(name, text).unwrap_err().len(), 1, "{name}");
    }
    assert_eq!(of_annotations(&[("other".to_owned(), "x".to_owned())].into()).unwrap(), []);
}
