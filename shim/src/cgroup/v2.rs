//! Figures of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).

use super::parse::{device, huge_page_sizes, keyed, number, rdma, text, value};
use crate::proto::stats_v2::{
    CpuStat, HugeTlbStat, IoEntry, IoStat, MemoryEvents, MemoryStat, Metrics, PidsStat, PsiData,
    PsiStats, RdmaEntry, RdmaStat,
};
use std::path::Path;

/// All figures of a container.
pub fn metrics(dir: &Path) -> Metrics {
    Metrics {
        pids: Some(PidsStat {
            current: number(&dir.join("pids.current")),
            limit: number(&dir.join("pids.max")),
        }),
        cpu: Some(CpuStat {
            psi: psi(&text(&dir.join("cpu.pressure"))),
            ..cpu(&text(&dir.join("cpu.stat")))
        }),
        memory: Some(MemoryStat {
            usage: number(&dir.join("memory.current")),
            usage_limit: number(&dir.join("memory.max")),
            max_usage: number(&dir.join("memory.peak")),
            swap_usage: number(&dir.join("memory.swap.current")),
            swap_limit: number(&dir.join("memory.swap.max")),
            swap_max_usage: number(&dir.join("memory.swap.peak")),
            psi: psi(&text(&dir.join("memory.pressure"))),
            ..memory(&text(&dir.join("memory.stat")))
        }),
        rdma: Some(RdmaStat {
            current: rdma_entries(&text(&dir.join("rdma.current"))),
            limit: rdma_entries(&text(&dir.join("rdma.max"))),
        }),
        io: Some(IoStat {
            usage: io(&text(&dir.join("io.stat"))),
            psi: psi(&text(&dir.join("io.pressure"))),
        }),
        hugetlb: huge_page_sizes(dir).into_iter().map(|size| hugetlb(dir, size)).collect(),
        memory_events: events(&text(&dir.join("memory.events"))),
        ..Metrics::default()
    }
}

fn cpu(stat: &str) -> CpuStat {
    let get = |key| keyed(stat, key).unwrap_or(0);
    CpuStat {
        usage_usec: get("usage_usec"),
        user_usec: get("user_usec"),
        system_usec: get("system_usec"),
        nr_periods: get("nr_periods"),
        nr_throttled: get("nr_throttled"),
        throttled_usec: get("throttled_usec"),
        nr_bursts: get("nr_bursts"),
        burst_usec: get("burst_usec"),
        psi: None,
    }
}

fn memory(stat: &str) -> MemoryStat {
    let get = |key| keyed(stat, key).unwrap_or(0);
    MemoryStat {
        anon: get("anon"),
        file: get("file"),
        kernel_stack: get("kernel_stack"),
        slab: get("slab"),
        sock: get("sock"),
        shmem: get("shmem"),
        file_mapped: get("file_mapped"),
        file_dirty: get("file_dirty"),
        file_writeback: get("file_writeback"),
        anon_thp: get("anon_thp"),
        inactive_anon: get("inactive_anon"),
        active_anon: get("active_anon"),
        inactive_file: get("inactive_file"),
        active_file: get("active_file"),
        unevictable: get("unevictable"),
        slab_reclaimable: get("slab_reclaimable"),
        slab_unreclaimable: get("slab_unreclaimable"),
        pgfault: get("pgfault"),
        pgmajfault: get("pgmajfault"),
        // Split in two by Linux 5.9.
        workingset_refault: get("workingset_refault")
            + get("workingset_refault_anon")
            + get("workingset_refault_file"),
        workingset_activate: get("workingset_activate")
            + get("workingset_activate_anon")
            + get("workingset_activate_file"),
        workingset_nodereclaim: get("workingset_nodereclaim"),
        pgrefill: get("pgrefill"),
        pgscan: get("pgscan"),
        pgsteal: get("pgsteal"),
        pgactivate: get("pgactivate"),
        pgdeactivate: get("pgdeactivate"),
        pglazyfree: get("pglazyfree"),
        pglazyfreed: get("pglazyfreed"),
        thp_fault_alloc: get("thp_fault_alloc"),
        thp_collapse_alloc: get("thp_collapse_alloc"),
        ..MemoryStat::default()
    }
}

fn events(text: &str) -> Option<MemoryEvents> {
    let get = |key| keyed(text, key).unwrap_or(0);
    (!text.is_empty()).then(|| MemoryEvents {
        low: get("low"),
        high: get("high"),
        max: get("max"),
        oom: get("oom"),
        oom_kill: get("oom_kill"),
        oom_group_kill: get("oom_group_kill"),
    })
}

/// Lines of `some|full avg10=N avg60=N avg300=N total=N` (Documentation/accounting/psi.rst).
fn psi(text: &str) -> Option<PsiStats> {
    let line = |kind: &str| {
        let words = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let get = |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key));
        Some(PsiData {
            avg10: get("avg10=")?.parse().ok()?,
            avg60: get("avg60=")?.parse().ok()?,
            avg300: get("avg300=")?.parse().ok()?,
            total: get("total=")?.parse().ok()?,
        })
    };
    (!text.is_empty()).then(|| PsiStats { some: line("some "), full: line("full ") })
}

/// Lines of `MAJOR:MINOR rbytes=N …`.
fn io(text: &str) -> Vec<IoEntry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (major, minor) = device(words.next()?)?;
            let mut entry = IoEntry { major, minor, ..IoEntry::default() };
            for (key, count) in words.filter_map(|word| word.split_once('=')) {
                match key {
                    "rbytes" => entry.rbytes = value(count),
                    "wbytes" => entry.wbytes = value(count),
                    "rios" => entry.rios = value(count),
                    "wios" => entry.wios = value(count),
                    _ => {}
                }
            }
            Some(entry)
        })
        .collect()
}

fn hugetlb(dir: &Path, pagesize: String) -> HugeTlbStat {
    let file = |name: &str| dir.join(format!("hugetlb.{pagesize}.{name}"));
    HugeTlbStat {
        current: number(&file("current")),
        max: number(&file("max")),
        failcnt: keyed(&text(&file("events")), "max").unwrap_or(0),
        pagesize,
    }
}

fn rdma_entries(text: &str) -> Vec<RdmaEntry> {
    rdma(text)
        .into_iter()
        .map(|(device, hca_handles, hca_objects)| RdmaEntry { device, hca_handles, hca_objects })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_with_and_without_full() {
        let some = "some avg10=1.50 avg60=0.20 avg300=0.00 total=42\n";
        let stats = psi(some).unwrap();
        assert_eq!(stats.full, None);
        let some = stats.some.unwrap();
        assert!((some.avg10 - 1.5).abs() < f64::EPSILON);
        assert_eq!(some.total, 42);
        assert_eq!(psi(""), None);
    }

    #[test]
    fn devices_and_their_bytes_are_read() {
        let entries = io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
        let expect = IoEntry { major: 8, minor: 0, rbytes: 1, wbytes: 2, rios: 3, wios: 4 };
        assert_eq!(entries, [expect]);
    }

    #[test]
    fn events_are_read_by_whole_names() {
        let events = events("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n").unwrap();
        assert_eq!((events.oom, events.oom_kill, events.oom_group_kill), (3, 4, 5));
    }
}
