use super::wishes::{DeviceWish, MountSource, MountWish, Resources, Security, Ulimit};
use super::*;
use serde_json::from_value;

fn host() -> Host {
    Host { capabilities: u64::MAX, machine: "amd64".to_owned(), kernel: (6, 1), ..Host::default() }
}

fn image() -> RunConfig {
    from_value(json!({
        "Env": ["PATH=/bin", "A=image"], "Entrypoint": ["/entry"], "Cmd": ["arg"],
        "WorkingDir": "/srv", "StopSignal": "SIGQUIT",
    }))
    .unwrap()
}

fn render(wishes: &Wishes, identity: &Identity) -> Result<Value> {
    let (image, host) = (image(), host());
    let input = Input { image: &image, wishes, identity, rootfs: Path::new("rootfs"), host: &host };
    Ok(serde_json::to_value(spec(&input)?).unwrap())
}

fn of(wishes: &Wishes) -> Value {
    render(wishes, &Identity::default()).unwrap()
}

#[test]
fn without_wishes_it_is_dockers_default_container() {
    let spec = of(&Wishes::default());
    assert_eq!(spec["process"]["args"], json!(["/entry", "arg"]));
    assert_eq!(spec["process"]["cwd"], "/srv");
    assert_eq!(spec["process"]["env"], json!(["PATH=/bin", "A=image"]));
    assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
    let kinds: Vec<&str> = spec["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|namespace| namespace["type"].as_str())
        .collect();
    assert_eq!(kinds, ["mount", "network", "uts", "pid", "ipc", "cgroup"]);
    assert_eq!(spec["linux"]["resources"]["devices"][0]["allow"], false);
    assert!(spec["linux"]["maskedPaths"].as_array().unwrap().contains(&json!("/proc/kcore")));
    assert!(spec["linux"]["seccomp"]["syscalls"].as_array().unwrap().len() > 10);
    assert_eq!(spec["mounts"].as_array().unwrap().len(), 7);
}

#[test]
fn commands_merge_as_docker_merges_them() {
    let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let args = |wishes: &Wishes| of(wishes)["process"]["args"].clone();
    assert_eq!(
        args(&Wishes { cmd: list(&["x", "y"]), ..Wishes::default() }),
        json!(["/entry", "x", "y"])
    );
    assert_eq!(args(&Wishes { entrypoint: list(&["/e"]), ..Wishes::default() }), json!(["/e"]));
    let none = Wishes { entrypoint: list(&[]), ..Wishes::default() };
    assert_eq!(render(&none, &Identity::default()).unwrap_err().status, 400);
}

#[test]
fn environment_is_overridden_and_unset() {
    let wishes = Wishes {
        env: vec!["A=mine".to_owned(), "PATH".to_owned(), "B=".to_owned()],
        hostname: "h".to_owned(),
        tty: true,
        ..Wishes::default()
    };
    let identity = Identity { home: Some("/root".to_owned()), ..Identity::default() };
    let spec = render(&wishes, &identity).unwrap();
    let expected = json!(["HOSTNAME=h", "TERM=xterm", "A=mine", "B=", "HOME=/root"]);
    assert_eq!(spec["process"]["env"], expected);
    assert_eq!(spec["hostname"], "h");
}

#[test]
fn other_users_hold_nothing_but_the_bounding_set() {
    let identity = Identity { uid: 7, gid: 8, groups: vec![9], home: None };
    let spec = render(&Wishes::default(), &identity).unwrap();
    let capabilities = &spec["process"]["capabilities"];
    assert_eq!(capabilities["bounding"].as_array().unwrap().len(), 14);
    for set in ["effective", "permitted", "inheritable", "ambient"] {
        assert!(capabilities[set].as_array().is_none_or(Vec::is_empty), "{set}");
    }
    assert_eq!(spec["process"]["user"]["additionalGids"], json!([9]));
}

#[test]
fn privileges_open_everything() {
    let security = Security { privileged: true, ..Security::default() };
    let spec = of(&Wishes { security, ..Wishes::default() });
    assert!(spec["linux"].get("seccomp").is_none());
    assert!(spec["linux"]["maskedPaths"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(spec["linux"]["resources"]["devices"], json!([{"allow": true, "access": "rwm"}]));
    let sys = spec["mounts"].as_array().unwrap().iter().find(|m| m["destination"] == "/sys");
    assert!(sys.unwrap()["options"].as_array().unwrap().contains(&json!("rw")));
    assert_eq!(spec["process"]["capabilities"]["effective"].as_array().unwrap().len(), 41);
}

#[test]
fn terminals_belong_to_their_group_where_it_has_an_id() {
    let options = |host: &Host| {
        let mounts = mounts::mounts(&Wishes::default(), host).unwrap();
        let mounts = mounts.as_array().unwrap();
        let pts = mounts.iter().find(|mount| mount["destination"] == "/dev/pts").unwrap();
        pts["options"].to_string()
    };
    assert!(options(&host()).contains("gid=5"));
    assert!(!options(&Host { no_tty_group: true, ..host() }).contains("gid"));
}

#[test]
fn mounts_are_checked_and_replace_the_own_ones() {
    let wish = |target: &str, source: MountSource| MountWish {
        target: target.into(),
        source,
        read_only: true,
        ..MountWish::default()
    };
    let bind = || MountSource::Bind("/host".into());
    let wishes = Wishes {
        mounts: vec![
            wish("/data", bind()),
            wish("/dev/shm", MountSource::Tmpfs(vec!["size=1m".to_owned(), "exec".to_owned()])),
        ],
        ..Wishes::default()
    };
    let spec = of(&wishes);
    let mounts = spec["mounts"].as_array().unwrap();
    assert_eq!(mounts.iter().filter(|mount| mount["destination"] == "/dev/shm").count(), 1);
    let data = mounts.iter().find(|mount| mount["destination"] == "/data").unwrap();
    assert_eq!(data["options"], json!(["rbind", "rprivate", "ro", "rro"]));
    let shm = mounts.last().unwrap();
    assert_eq!(shm["options"], json!(["nosuid", "nodev", "size=1m", "exec", "ro"]));
    for bad in ["data", "/", "/a/../b", "/proc", "/proc/self/attr"] {
        let wishes = Wishes { mounts: vec![wish(bad, bind())], ..Wishes::default() };
        assert_eq!(render(&wishes, &Identity::default()).unwrap_err().status, 400, "{bad}");
    }
    let strange = wish("/t", MountSource::Tmpfs(vec!["lowerdir=/".to_owned()]));
    let wishes = Wishes { mounts: vec![strange], ..Wishes::default() };
    assert!(render(&wishes, &Identity::default()).is_err());
}

#[test]
fn limits_are_translated_or_refused() {
    let limits = |resources: Resources| {
        render(&Wishes { resources, ..Wishes::default() }, &Identity::default())
            .map(|spec| spec["linux"]["resources"].clone())
    };
    let got = limits(Resources {
        memory: 64 << 20,
        nano_cpus: 1_500_000_000,
        pids_limit: Some(-1),
        cpuset_cpus: "0-1".to_owned(),
        ..Resources::default()
    })
    .unwrap();
    assert_eq!(got["memory"], json!({"limit": 64 << 20, "swap": 128 << 20}));
    assert_eq!(got["cpu"], json!({"quota": 150_000, "period": 100_000, "cpus": "0-1"}));
    assert_eq!(got["pids"], json!({"limit": -1}));
    assert!(limits(Resources { memory: 1, ..Resources::default() }).is_err());
    assert!(limits(Resources { memory_swap: 1, ..Resources::default() }).is_err());
    assert!(limits(Resources { nano_cpus: 1, cpu_quota: 1000, ..Resources::default() }).is_err());
    assert!(limits(Resources { cpuset_cpus: "/".to_owned(), ..Resources::default() }).is_err());
    assert!(limits(Resources { blkio_weight: 5, ..Resources::default() }).is_err());
}

#[test]
fn devices_and_ulimits_are_checked() {
    let device = |permissions: &str| Wishes {
        devices: vec![DeviceWish {
            host_path: "/dev/null".into(),
            container_path: "/dev/own".into(),
            permissions: permissions.to_owned(),
        }],
        ..Wishes::default()
    };
    let spec = of(&device("r"));
    assert_eq!(spec["linux"]["devices"][0]["path"], "/dev/own");
    let rules = spec["linux"]["resources"]["devices"].as_array().unwrap();
    assert_eq!(rules.last().unwrap()["access"], "r");
    assert!(render(&device("x"), &Identity::default()).is_err());
    let rule = |text: &str| {
        let rules = vec![text.to_owned()];
        let wishes = Wishes { device_cgroup_rules: rules, ..Wishes::default() };
        render(&wishes, &Identity::default())
    };
    assert!(rule("c 10:* rwm").is_ok());
    for bad in ["", "c", "x 1:1 r", "c 1 r", "c 1:1 q", "c 1:-1 r"] {
        assert!(rule(bad).is_err(), "{bad}");
    }
    let ulimit = |name: &str, soft, hard| Wishes {
        ulimits: vec![Ulimit { name: name.to_owned(), soft, hard }],
        ..Wishes::default()
    };
    assert_eq!(of(&ulimit("nofile", 1, -1))["process"]["rlimits"][0]["type"], "RLIMIT_NOFILE");
    assert!(render(&ulimit("nofile", 2, 1), &Identity::default()).is_err());
    assert!(render(&ulimit("files", 1, 1), &Identity::default()).is_err());
}
