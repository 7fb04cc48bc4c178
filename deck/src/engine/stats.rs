//! Figures of a running container.

use super::record::Container;
use super::{Engine, time};
use crate::error::{Error, Result};
use crate::net::netns;
use hull_shim::proto::types::Any;
use hull_shim::proto::{stats_v1, stats_v2};
use prost::Message;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The answer of `GET /containers/{id}/stats`.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the Engine API's fields under their own names")]
pub struct Stats {
    pub name: String,
    pub id: String,
    pub read: String,
    pub preread: String,
    pub pids_stats: Value,
    pub blkio_stats: Value,
    pub num_procs: u32,
    pub storage_stats: Value,
    pub cpu_stats: Value,
    pub precpu_stats: Value,
    pub memory_stats: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Value>,
}

/// What the shim tells, in the API's terms.
struct Figures {
    pids: Value,
    blkio: Value,
    cpu: Value,
    memory: Value,
}

impl Engine {
    /// Figures of now, with those of the last time beside them; zeros when it doesn't run.
    ///
    /// # Errors
    /// 404; what the shim says.
    pub fn stats(&self, reference: &str, last: Option<Stats>) -> Result<Stats> {
        let container = self.settle(self.find(reference)?)?;
        let figures = if container.state.status.is_alive() {
            figures(&self.task(&container)?.stats()?)?
        } else {
            nothing()
        };
        let networks = self.network_figures(&container);
        let (preread, precpu) = last.map_or_else(
            || (time::NEVER.to_string(), nothing().cpu),
            |last| (last.read, last.cpu_stats),
        );
        Ok(Stats {
            name: format!("/{}", container.name),
            id: container.id,
            read: time::rfc3339(time::now()),
            preread,
            pids_stats: figures.pids,
            blkio_stats: figures.blkio,
            num_procs: 0,
            storage_stats: json!({}),
            cpu_stats: figures.cpu,
            precpu_stats: precpu,
            memory_stats: figures.memory,
            networks,
        })
    }

    /// Whether a container runs, by its record and its process.
    pub fn is_alive(&self, id: &str) -> bool {
        let container = self.container(id).and_then(|container| self.settle(container));
        container.is_ok_and(|container| container.state.status.is_alive())
    }

    /// What went over a container's interfaces.
    fn network_figures(&self, container: &Container) -> Option<Value> {
        if container.attached.is_empty() {
            return None;
        }
        let path = self.networks.netns_path(&container.id);
        let text =
            netns::inside(&path, || Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?));
        Some(json!(interfaces(&text.ok()?)))
    }
}

/// `/proc/net/dev` (proc_pid_net(5)), without the loopback.
fn interfaces(text: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for line in text.lines().skip(2) {
        let Some((name, numbers)) = line.split_once(':') else { continue };
        let numbers: Vec<u64> =
            numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
        let name = name.trim();
        if name == "lo" || numbers.len() < 16 {
            continue;
        }
        all.insert(
            name.to_string(),
            json!({
                "rx_bytes": numbers[0], "rx_packets": numbers[1], "rx_errors": numbers[2],
                "rx_dropped": numbers[3], "tx_bytes": numbers[8], "tx_packets": numbers[9],
                "tx_errors": numbers[10], "tx_dropped": numbers[11],
            }),
        );
    }
    all
}

/// What a container that doesn't run has.
fn nothing() -> Figures {
    Figures {
        pids: json!({}),
        blkio: blkio(&[]),
        cpu: json!({
            "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
        }),
        memory: json!({}),
    }
}

fn figures(any: &Any) -> Result<Figures> {
    let bad = |error: prost::DecodeError| Error::internal(format!("the shim's figures: {error}"));
    if any.is(stats_v1::METRICS) {
        return Ok(v1(&stats_v1::Metrics::decode(any.value.as_slice()).map_err(bad)?));
    }
    Ok(v2(&stats_v2::Metrics::decode(any.value.as_slice()).map_err(bad)?))
}

/// The host's processors: their time in nanoseconds, and how many there are.
fn system_cpu() -> (u64, usize) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq, in hundredths (proc_stat(5)).
    let ticks: u64 = first
        .split_ascii_whitespace()
        .skip(1)
        .take(7)
        .filter_map(|number| number.parse::<u64>().ok())
        .sum();
    (ticks * 10_000_000, std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes * 1024)
}

fn cpu(total: u64, kernel: u64, user: u64, throttled: [u64; 3]) -> Value {
    let (system, online) = system_cpu();
    json!({
        "cpu_usage": {
            "total_usage": total, "usage_in_kernelmode": kernel, "usage_in_usermode": user
        },
        "system_cpu_usage": system,
        "online_cpus": online,
        "throttling_data": {
            "periods": throttled[0], "throttled_periods": throttled[1],
            "throttled_time": throttled[2]
        },
    })
}

fn blkio(bytes: &[(u64, u64, &str, u64)]) -> Value {
    let entries: Vec<Value> = bytes
        .iter()
        .map(|(major, minor, op, value)| {
            json!({"major": major, "minor": minor, "op": op, "value": value})
        })
        .collect();
    json!({
        "io_service_bytes_recursive": entries, "io_serviced_recursive": null,
        "io_queue_recursive": null, "io_service_time_recursive": null,
        "io_wait_time_recursive": null, "io_merged_recursive": null,
        "io_time_recursive": null, "sectors_recursive": null,
    })
}

fn pids(current: u64, limit: u64) -> Value {
    if limit == 0 || limit == u64::MAX {
        json!({ "current": current })
    } else {
        json!({ "current": current, "limit": limit })
    }
}

fn limit(limit: u64) -> u64 {
    let host = host_memory();
    if limit == 0 { host } else { limit.min(host) }
}

fn v1(metrics: &stats_v1::Metrics) -> Figures {
    let usage = metrics.cpu.as_ref().and_then(|cpu| cpu.usage.clone()).unwrap_or_default();
    let throttle = metrics.cpu.as_ref().and_then(|cpu| cpu.throttling).unwrap_or_default();
    let memory = metrics.memory.clone().unwrap_or_default();
    let entry = memory.usage.unwrap_or_default();
    let blocks = metrics.blkio.clone().unwrap_or_default();
    let bytes: Vec<_> = blocks
        .io_service_bytes_recursive
        .iter()
        .map(|entry| (entry.major, entry.minor, entry.op.as_str(), entry.value))
        .collect();
    let tasks = metrics.pids.unwrap_or_default();
    Figures {
        pids: pids(tasks.current, tasks.limit),
        blkio: blkio(&bytes),
        cpu: cpu(
            usage.total,
            usage.kernel,
            usage.user,
            [throttle.periods, throttle.throttled_periods, throttle.throttled_time],
        ),
        memory: json!({
            "usage": entry.usage, "max_usage": entry.max, "limit": limit(entry.limit),
            "failcnt": entry.failcnt,
            "stats": {
                "cache": memory.cache, "rss": memory.rss, "mapped_file": memory.mapped_file,
                "dirty": memory.dirty, "writeback": memory.writeback,
                "inactive_anon": memory.inactive_anon, "active_anon": memory.active_anon,
                "inactive_file": memory.inactive_file, "active_file": memory.active_file,
                "unevictable": memory.unevictable, "pgfault": memory.pg_fault,
                "pgmajfault": memory.pg_maj_fault, "total_cache": memory.total_cache,
                "total_rss": memory.total_rss, "total_inactive_file": memory.total_inactive_file,
                "total_active_file": memory.total_active_file,
                "hierarchical_memory_limit": memory.hierarchical_memory_limit,
            },
        }),
    }
}

fn v2(metrics: &stats_v2::Metrics) -> Figures {
    let usage = metrics.cpu.clone().unwrap_or_default();
    let memory = metrics.memory.clone().unwrap_or_default();
    let tasks = metrics.pids.unwrap_or_default();
    let blocks = metrics.io.clone().unwrap_or_default();
    let bytes: Vec<_> = blocks
        .usage
        .iter()
        .flat_map(|entry| {
            [
                (entry.major, entry.minor, "read", entry.rbytes),
                (entry.major, entry.minor, "write", entry.wbytes),
            ]
        })
        .collect();
    Figures {
        pids: pids(tasks.current, tasks.limit),
        blkio: blkio(&bytes),
        // Microseconds in v2.
        cpu: cpu(
            usage.usage_usec * 1000,
            usage.system_usec * 1000,
            usage.user_usec * 1000,
            [usage.nr_periods, usage.nr_throttled, usage.throttled_usec * 1000],
        ),
        memory: json!({
            "usage": memory.usage, "limit": limit(memory.usage_limit),
            "stats": {
                "anon": memory.anon, "file": memory.file,
                "inactive_anon": memory.inactive_anon, "active_anon": memory.active_anon,
                "inactive_file": memory.inactive_file, "active_file": memory.active_file,
                "unevictable": memory.unevictable, "pgfault": memory.pgfault,
                "pgmajfault": memory.pgmajfault,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read() {
        let text = "Inter-|\n face |\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 3 4 0 0 0 0 \
                    50 6 7 8 0 0 0 0\n";
        let all = interfaces(text);
        assert_eq!(all.len(), 1);
        assert_eq!(all["eth0"]["tx_bytes"], json!(50));
    }
}
