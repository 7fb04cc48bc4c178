//! Figures, limits and OOM kills, with whatever control groups the machine has.

use crate::fixture::{Fixture, eventually, may_run, systemd};
use hull_shim::proto::events::topic;
use hull_shim::proto::task::{
    PidsRequest, PidsResponse, StatsRequest, StatsResponse, UpdateTaskRequest,
};
use hull_shim::proto::{Any, Empty, stats_v1, stats_v2};
use prost::Message;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;

/// Processes, memory in use and its limit, CPU time.
#[derive(Debug)]
struct Figures {
    pids: u64,
    memory: u64,
    limit: u64,
    cpu: u64,
}

fn figures(shim: &mut Fixture) -> Figures {
    let request = StatsRequest { id: shim.id.clone() };
    let stats = shim.call::<_, StatsResponse>("Stats", &request).stats.unwrap();
    if stats.is(stats_v2::METRICS) {
        let all = stats_v2::Metrics::decode(stats.value.as_slice()).unwrap();
        let memory = all.memory.unwrap();
        assert!(all.memory_events.is_some());
        return Figures {
            pids: all.pids.unwrap().current,
            memory: memory.usage,
            limit: memory.usage_limit,
            cpu: all.cpu.unwrap().usage_usec,
        };
    }
    let all = stats_v1::Metrics::decode(stats.value.as_slice()).unwrap();
    let usage = all.memory.unwrap().usage.unwrap();
    Figures {
        pids: all.pids.unwrap().current,
        memory: usage.usage,
        limit: usage.limit,
        cpu: all.cpu.unwrap().usage.unwrap().total,
    }
}

#[test]
fn figures_limits_and_an_oom_kill_are_told() {
    if !may_run() {
        return;
    }
    // It waits for a word, then wants more than it may have.
    let script = "read x; y=$(head -c 200000000 /dev/zero | tr '\\0' x); echo not reached";
    let resources = serde_json::json!({"memory": {"limit": 64 << 20}});
    let mut shim = Fixture::limited("oom", &["sh", "-c", script], &resources);
    let attach = shim.path("a.sock");
    let pid = shim.create(true, &format!("none://?attach={}", attach.display()), false);
    let mut client = UnixStream::connect(&attach).unwrap();
    shim.start("");
    if systemd() {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(
            groups.contains(&format!("/hull.slice/hull-direct.slice/hull-{}.scope", shim.id)),
            "{groups}"
        );
    }
    // runc's init has threads until it has become the program.
    let seen = eventually("one process", || {
        let seen = figures(&mut shim);
        (seen.pids == 1).then_some(seen)
    });
    assert!(seen.limit == 64 << 20 && seen.memory > 0 && seen.cpu > 0, "{seen:?}");
    let resources = br#"{"memory":{"limit":33554432}}"#;
    let request = UpdateTaskRequest {
        id: shim.id.clone(),
        resources: Some(Any { type_url: "resources".to_owned(), value: resources.to_vec() }),
        ..UpdateTaskRequest::default()
    };
    let _: Empty = shim.call("Update", &request);
    assert_eq!(figures(&mut shim).limit, 32 << 20);
    let request = PidsRequest { id: shim.id.clone() };
    let pids = shim.call::<_, PidsResponse>("Pids", &request).processes;
    assert_eq!(pids.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
    client.write_all(b"go\n").unwrap();
    assert_eq!(shim.wait(""), 137);
    let expect = [topic::CREATE, topic::START, topic::OOM, topic::EXIT, topic::DELETE];
    assert_eq!(shim.finish(), expect);
}

#[test]
fn nothing_of_its_control_groups_is_left() {
    if !may_run() {
        return;
    }
    let mut shim = Fixture::new("gone", &["sleep", "100"]);
    let pid = shim.create(false, "", false);
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(groups.contains(&shim.id), "{groups}");
    shim.start("");
    shim.kill();
    shim.finish();
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("*{}*", shim.id)])
        .output()
        .unwrap();
    // Others' groups may go while it looks: only what is found counts.
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
