use super::*;

/// A directory that looks like resctrl; unlike the kernel's, new groups have no files of their
/// own, so tests that make groups add them.
fn fake() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in ["info/L3", "info/MB", "mon_groups"] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    fs::write(root.path().join("info/MB/bandwidth_gran"), "10\n").unwrap();
    fs::write(root.path().join("info/last_cmd_status"), "ok\n").unwrap();
    fill(root.path());
    root
}

fn fill(group: &Path) {
    fs::create_dir_all(group.join("mon_groups")).unwrap();
    fs::write(group.join("tasks"), "").unwrap();
    fs::write(group.join("schemata"), "    L3:0=0fff;1=fff\n    MB:0=100;1= 30\n").unwrap();
}

fn config(clos_id: &str) -> IntelRdt {
    IntelRdt { clos_id: clos_id.into(), ..IntelRdt::default() }
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn nothing_without_a_configuration() {
    assert_eq!(plan(None, "c").unwrap(), None);
}

#[test]
fn an_error_without_resctrl() {
    // On a machine with resctrl the plan is what is to be expected.
    match plan(Some(&config("")), "c") {
        Err(error) => assert_eq!(error.kind(), Kind::Unsupported),
        Ok(plan) => assert!(plan.unwrap().group.ends_with("c")),
    }
}

#[test]
fn names() {
    let root = fake();
    let group = |clos| plan_at(&config(clos), "c", root.path()).map(|plan| plan.group);
    assert_eq!(group("").unwrap(), root.path().join("c"));
    assert_eq!(group("gold").unwrap(), root.path().join("gold"));
    assert_eq!(group("/").unwrap(), root.path());
    for wrong in [".", "..", "a/b", "/a", "info", "mon_groups", "a\nb"] {
        assert_eq!(group(wrong).unwrap_err().kind(), Kind::Config, "{wrong}");
    }
}

#[test]
fn lines_are_checked_and_ordered() {
    let root = fake();
    let full = IntelRdt {
        l3_cache_schema: "L3:0=f".into(),
        mem_bw_schema: "MB:0=50".into(),
        schemata: vec!["L2:0=1".into()],
        ..config("")
    };
    let plan = plan_at(&full, "c", root.path()).unwrap();
    assert_eq!(plan.lines, ["L3:0=f", "MB:0=50", "L2:0=1"]);
    for wrong in [
        IntelRdt { mem_bw_schema: "0=50".into(), ..config("") },
        IntelRdt { l3_cache_schema: "L3:0=f\nMB:0=1".into(), ..config("") },
        IntelRdt { schemata: vec!["a\nb".into()], ..config("") },
    ] {
        assert_eq!(plan_at(&wrong, "c", root.path()).unwrap_err().kind(), Kind::Config);
    }
    fs::remove_dir_all(root.path().join("info/MB")).unwrap();
    let error = plan_at(&full, "c", root.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn a_group_of_the_containers_own() {
    let root = fake();
    let own = root.path().join("c");
    let plan = plan_at(&config(""), "c", root.path()).unwrap();
    assert!(plan.intent().remove_group);
    // mkdir works, the kernel's files are missing: the group is there and the error is told.
    let error = plan.apply(7).unwrap_err().to_string();
    assert!(error.contains("tasks") && error.ends_with("last_cmd_status: ok"), "{error}");
    assert!(own.is_dir());
    // The record written before lets it be cleaned up.
    destroy(&RdtState { group: own.clone(), remove_group: true, monitor: None }).unwrap();
    assert!(!own.exists());
    destroy(&RdtState { group: own, remove_group: true, monitor: None }).unwrap();
}

#[test]
fn an_existing_group_is_used_and_left() {
    let root = fake();
    let own = root.path().join("c");
    fill(&own);
    let monitored = IntelRdt {
        enable_monitoring: true,
        schemata: vec!["L3:0=f".into(), "MB:0=20".into()],
        ..config("")
    };
    let monitor = own.join("mon_groups/c");
    fs::create_dir(&monitor).unwrap();
    fs::write(monitor.join("tasks"), "").unwrap();
    let plan = plan_at(&monitored, "c", root.path()).unwrap();
    let state = plan.apply(7).unwrap();
    assert_eq!(state.monitor.as_ref(), Some(&monitor));
    assert!(!state.remove_group);
    assert_eq!(content(&own.join("tasks")), "7");
    assert_eq!(content(&monitor.join("tasks")), "7");
    assert!(content(&own.join("schemata")).starts_with("L3:0=f\nMB:0=20\n"));
    fs::remove_file(monitor.join("tasks")).unwrap();
    destroy(&state).unwrap();
    assert!(own.exists() && !monitor.exists());
}

#[test]
fn the_root_group() {
    let root = fake();
    let state = plan_at(&config("/"), "c", root.path()).unwrap().apply(9).unwrap();
    assert_eq!(content(&root.path().join("tasks")), "9");
    assert!(!state.remove_group);
    // No schema: the file must not have been written to.
    assert!(content(&root.path().join("schemata")).starts_with("    L3:0=0fff"));
    destroy(&state).unwrap();
    assert!(root.path().exists());
}

#[test]
fn a_named_group_without_schema_must_exist() {
    let root = fake();
    let plan = plan_at(&config("gold"), "c", root.path()).unwrap();
    assert!(plan.apply(7).unwrap_err().to_string().contains("must be pre-created"));
    assert!(!root.path().join("gold").exists());
    fill(&root.path().join("gold"));
    assert!(!plan.apply(7).unwrap().remove_group);
}

#[test]
fn a_named_group_must_match() {
    let root = fake();
    fill(&root.path().join("gold"));
    let apply = |l3: &str, mb: &str| {
        fill(&root.path().join("gold"));
        let config =
            IntelRdt { l3_cache_schema: l3.into(), mem_bw_schema: mb.into(), ..config("gold") };
        plan_at(&config, "c", root.path()).unwrap().apply(7).map_err(|error| error.kind())
    };
    assert!(apply("L3:0=fff", "MB:1=30").is_ok());
    assert!(apply("L3:00=00fff;1=FFF", "").is_ok());
    // The kernel has rounded 25 up to 30.
    assert!(apply("", "MB:1=25").is_ok());
    for (l3, mb) in
        [("L3:0=ff", ""), ("L3:2=fff", ""), ("", "MB:1=31"), ("L2:0=fff", ""), ("L3", "")]
    {
        assert_eq!(apply(l3, mb), Err(Kind::Config), "{l3} {mb}");
    }
}

#[test]
fn the_record_survives() {
    let state = RdtState { group: "/r/c".into(), remove_group: true, monitor: None };
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<RdtState>(&text).unwrap(), state);
}
