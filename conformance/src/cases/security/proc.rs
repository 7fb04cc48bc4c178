//! /proc, /sys and the host's settings behind them.

use std::os::unix::fs::symlink;

use serde_json::json;

use super::attack;
use crate::case::{Case, ensure};
use crate::container::parse;
use crate::mutant::{Break, drops};
use crate::needs::Need;
use crate::runtime::read;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = proc();
    all.extend(settings());
    all
}

fn proc() -> Vec<Case> {
    vec![
        attack("proc-is-a-link", "CVE-2019-16884, CVE-2023-27561, CVE-2023-28642")
            .needs(Need::Root)
            .breaks(drops("/mounts/0"))
            .runs(|c| {
                std::fs::remove_dir(c.rootfs().join("proc"))?;
                symlink("tmp", c.rootfs().join("proc"))?;
                c.request(&["stat:/proc", "stat:/proc/self"]);
                let (container, output) = c.try_create()?;
                if !output.ok() || !container.call("start", &[])?.ok() {
                    return Ok(());
                }
                let seen = container.seen()?;
                let real = seen.mounts.iter().any(|mount| mount.fstype == "proc");
                ensure(real, || "it runs with something else at /proc".into())
            }),
        attack("mount-over-proc-self", "CVE-2019-19921, CVE-2025-52881")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                c.mount("/proc/self/attr", "tmpfs", "tmpfs", &[]);
                c.refused()
            }),
        attack("mount-over-proc-sys", "CVE-2025-52881")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                c.mount("/proc/sys", "tmpfs", "tmpfs", &[]);
                c.refused()
            }),
        attack("mask-with-a-swapped-null", "CVE-2025-31133, CVE-2025-62161")
            .needs(Need::Root)
            .breaks(Break::Hang)
            .runs(|c| {
                // The image's /dev/null is a link; nothing is mounted over /dev.
                std::fs::write(c.rootfs().join("etc/file"), "secret")?;
                std::fs::write(c.rootfs().join("etc/other"), "swapped")?;
                symlink("/etc/other", c.rootfs().join("dev/null"))?;
                for _ in 0..3 {
                    c.remove("/mounts/1");
                }
                c.set("/linux/maskedPaths", json!(["/etc/file"]));
                c.request(&["read:/etc/file"]);
                let (container, output) = c.try_create()?;
                c.saw(output.summary());
                ensure(output.exit.is_some(), || "create hung".into())?;
                if !output.ok() || !container.call("start", &[])?.ok() {
                    return Ok(());
                }
                // A runtime that compares device numbers takes regular files for the swapped
                // null and lets the report go there.
                let swapped = c.rootfs().join("etc/other");
                container.wait()?;
                let report = format!("{}{}", container.output(), read(&swapped));
                let report = report.trim_start_matches("swapped");
                let text = parse(report)?.tried("read:/etc/file").value;
                ensure(text == "" || text.is_null(), || format!("the masked file reads {text}"))
            }),
        attack("bind-over-proc", "CVE-2019-16884, CVE-2023-28642")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                // As an image's VOLUME on /proc would: files of the image's making in its place.
                let fake = c.driver.dir.join("fake");
                std::fs::create_dir_all(fake.join("self/attr"))?;
                std::fs::write(fake.join("self/attr/exec"), "")?;
                c.mount("/proc", "none", &fake.display().to_string(), &["bind"]);
                let (container, output) = c.try_create()?;
                c.saw(output.summary());
                ensure(!output.ok() || !container.call("start", &[])?.ok(), || {
                    "it runs with files of another directory at /proc".into()
                })
            }),
    ]
}

/// Settings of the host that a configuration reaches for without namespaces of its own.
fn settings() -> Vec<Case> {
    vec![
        attack("sysctl-of-the-host", "CVE-2022-0811").needs(Need::Root).breaks(Break::Repair).runs(
            |c| {
                // A value the host has already: harmless where the case fails.
                let own = std::fs::read_to_string("/proc/sys/kernel/panic")?;
                c.set("/linux/sysctl", json!({"kernel.panic": own.trim()}));
                c.create_refused()
            },
        ),
        attack("sysctl-of-the-hosts-network", "GHSA-w2j5-3rcx-vx7x")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                let own = std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")?;
                c.set("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": own.trim()}));
                c.create_refused()
            }),
        attack("hostname-of-the-host", "GHSA-w2j5-3rcx-vx7x")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                let own = nix::unistd::gethostname()?.to_string_lossy().into_owned();
                c.leave_namespace("uts");
                c.set("/hostname", own);
                c.create_refused()
            }),
        attack("namespace-path-too-long", "CVE-2021-43784")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                let path = format!("/{}", "x".repeat(70_000));
                c.namespace("ipc", Some(&path));
                c.create_refused()
            }),
    ]
}
