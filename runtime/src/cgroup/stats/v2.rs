//! Usage as cgroup v2 tells it, in the terms of v1 that readers of statistics know.

use super::super::file::{malformed, read_optional};
use super::parse::{huge_page_sizes, keyed, pressure, value};
use super::{Blkio, BlkioEntry, Cpu, CpuUsage, Hugetlb, Memory, MemoryEntry, Pids, Stats};
use super::{Throttling, parse};
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// All controllers that are enabled for `dir`.
pub(super) fn stats(dir: &Path) -> Result<Stats> {
    let mut hugetlb = BTreeMap::new();
    for size in huge_page_sizes() {
        if let Some(usage) = huge_pages(dir, &size)? {
            hugetlb.insert(size, usage);
        }
    }
    Ok(Stats {
        cpu: cpu(dir)?,
        memory: memory(dir)?,
        pids: pids(dir)?,
        blkio: block_io(dir)?,
        hugetlb,
        ..Stats::default()
    })
}

/// cpu.stat is there without the controller too.
fn cpu(dir: &Path) -> Result<Cpu> {
    let stat = keyed(dir, "cpu.stat")?;
    let get = |key| stat.get(key).copied().unwrap_or(0);
    let nanoseconds = |key| get(key).saturating_mul(1000);
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: pressure(dir, "cpu.pressure")?,
    })
}

fn memory(dir: &Path) -> Result<Memory> {
    let raw = keyed(dir, "memory.stat")?;
    let usage = memory_entry(dir, "memory")?;
    let mut swap = memory_entry(dir, "memory.swap")?;
    // In the terms of v1 swap includes memory; a sum of two maxima would be no maximum.
    swap.usage = swap.usage.saturating_add(usage.usage);
    swap.limit = swap.limit.saturating_add(usage.limit);
    swap.max = 0;
    Ok(Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap,
        raw,
        psi: pressure(dir, "memory.pressure")?,
        ..Memory::default()
    })
}

/// The peaks are there since Linux 5.19 (memory) and 6.5 (swap).
fn memory_entry(dir: &Path, prefix: &str) -> Result<MemoryEntry> {
    let get = |name: &str| Ok(value(dir, &format!("{prefix}.{name}"))?.unwrap_or(0));
    let get: &dyn Fn(&str) -> Result<u64> = &get;
    Ok(MemoryEntry { limit: get("max")?, usage: get("current")?, max: get("peak")?, failcnt: 0 })
}

fn pids(dir: &Path) -> Result<Pids> {
    let Some(current) = value(dir, "pids.current")? else {
        // Without the controller, at least the number of processes.
        let current = crate::cgroup::walk::pids(dir, false)?.len();
        return Ok(Pids { current: u64::try_from(current).unwrap_or(u64::MAX), limit: 0 });
    };
    let limit = value(dir, "pids.max")?.filter(|&limit| limit != u64::MAX).unwrap_or(0);
    Ok(Pids { current, limit })
}

fn block_io(dir: &Path) -> Result<Blkio> {
    let text = read_optional(dir, "io.stat")?.unwrap_or_default();
    let (bytes, operations) = io_stat(&text).ok_or_else(|| malformed(dir, "io.stat", text))?;
    Ok(Blkio {
        io_service_bytes_recursive: bytes,
        io_serviced_recursive: operations,
        psi: pressure(dir, "io.pressure")?,
        ..Blkio::default()
    })
}

/// Bytes and operations from lines as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn io_stat(text: &str) -> Option<(Vec<BlkioEntry>, Vec<BlkioEntry>)> {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        // A device that has gone meanwhile can leave a line with nothing but its fields.
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (table, op) = match key {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                _ => continue,
            };
            let value = parse::number(value)?;
            table.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    Some((bytes, operations))
}

fn huge_pages(dir: &Path, size: &str) -> Result<Option<Hugetlb>> {
    let mut usage = value(dir, &format!("hugetlb.{size}.rsvd.current"))?;
    if usage.is_none() {
        usage = value(dir, &format!("hugetlb.{size}.current"))?;
    }
    let Some(usage) = usage else { return Ok(None) };
    let failures = keyed(dir, &format!("hugetlb.{size}.events"))?;
    let failcnt = failures.get("max").copied().unwrap_or(0);
    Ok(Some(Hugetlb { usage, max: 0, failcnt }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with `files`, as a cgroup would have them.
    fn fixture(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn everything_in_v1_terms() {
        let dir = fixture(&[
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 3\n\
                          nr_throttled 2\nthrottled_usec 7\n",
            ),
            ("memory.stat", "anon 5\nfile 4096\n"),
            ("memory.current", "1000\n"),
            ("memory.max", "2000\n"),
            ("memory.peak", "1500\n"),
            ("memory.swap.current", "10\n"),
            ("memory.swap.max", "max\n"),
            ("memory.swap.peak", "12\n"),
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"),
            ("cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n"),
        ]);
        let stats = stats(dir.path()).unwrap();
        let json = serde_json::to_value(&stats).unwrap();
        let expected = serde_json::json!({
            "usage": { "total": 30_000, "kernel": 10_000, "user": 20_000 },
            "throttling": { "periods": 3, "throttledPeriods": 2, "throttledTime": 7000 },
            "psi": {
                "some": { "avg10": 1.5, "avg60": 0.0, "avg300": 0.0, "total": 9 },
                "full": { "avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0 },
            },
        });
        assert_eq!(json["cpu"], expected);
        let expected = serde_json::json!({
            "cache": 4096,
            "usage": { "limit": 2000, "usage": 1000, "max": 1500, "failcnt": 0 },
            "swap": { "limit": u64::MAX, "usage": 1010, "failcnt": 0 },
            "raw": { "anon": 5, "file": 4096 },
        });
        assert_eq!(json["memory"], expected);
        assert_eq!(json["pids"], serde_json::json!({ "current": 3 }));
        let expected = serde_json::json!({
            "ioServiceBytesRecursive": [
                { "major": 8, "op": "Read", "value": 1 },
                { "major": 8, "op": "Write", "value": 2 },
            ],
            "ioServicedRecursive": [
                { "major": 8, "op": "Read", "value": 3 },
                { "major": 8, "op": "Write", "value": 4 },
            ],
        });
        assert_eq!(json["blkio"], expected);
    }

    #[test]
    fn nonsense_is_an_error_with_the_file() {
        let dir = fixture(&[("memory.stat", "anon five\n")]);
        let error = stats(dir.path()).unwrap_err().to_string();
        assert!(error.contains("memory.stat") && error.contains("anon five"), "{error}");
    }
}
