//! Figures of cgroup v1 (Documentation/admin-guide/cgroup-v1/).

use super::Cgroup;
use super::parse::{device, huge_page_sizes, keyed, number, rdma, text, value};
use crate::proto::stats_v1::{
    BlkIoEntry, BlkIoStat, CpuStat, CpuUsage, HugetlbStat, MemoryEntry, MemoryOomControl,
    MemoryStat, Metrics, PidsStat, RdmaEntry, RdmaStat, Throttle,
};
use nix::unistd::{SysconfVar, sysconf};
use std::path::Path;

/// All figures of a container.
pub fn metrics(cgroup: &Cgroup) -> Metrics {
    let cpu = cgroup.controller("cpu");
    let accounting = cgroup.controller("cpuacct");
    Metrics {
        hugetlb: cgroup.controller("hugetlb").map(hugetlb).unwrap_or_default(),
        pids: cgroup.controller("pids").map(|dir| PidsStat {
            current: number(&dir.join("pids.current")),
            limit: pids_limit(&text(&dir.join("pids.max"))),
        }),
        cpu: (cpu.is_some() || accounting.is_some()).then(|| CpuStat {
            usage: accounting.map(usage),
            throttling: cpu.map(|dir| throttling(&text(&dir.join("cpu.stat")))),
        }),
        memory: cgroup.controller("memory").map(memory),
        blkio: cgroup.controller("blkio").map(blkio),
        rdma: cgroup.controller("rdma").map(|dir| RdmaStat {
            current: rdma_entries(&text(&dir.join("rdma.current"))),
            limit: rdma_entries(&text(&dir.join("rdma.max"))),
        }),
        memory_oom_control: cgroup
            .controller("memory")
            .map(|dir| oom_control(&text(&dir.join("memory.oom_control")))),
        ..Metrics::default()
    }
}

/// No limit is 0 here, as containerd has it.
fn pids_limit(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

fn usage(dir: &Path) -> CpuUsage {
    // cpuacct.stat counts in ticks of 1/CLK_TCK seconds (USER_HZ).
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100).max(1);
    let tick = 1_000_000_000 / u64::try_from(ticks).unwrap_or(100);
    let stat = text(&dir.join("cpuacct.stat"));
    let time = |key| keyed(&stat, key).unwrap_or(0).saturating_mul(tick);
    CpuUsage {
        total: number(&dir.join("cpuacct.usage")),
        kernel: time("system"),
        user: time("user"),
        per_cpu: text(&dir.join("cpuacct.usage_percpu")).split_whitespace().map(value).collect(),
    }
}

fn throttling(stat: &str) -> Throttle {
    Throttle {
        periods: keyed(stat, "nr_periods").unwrap_or(0),
        throttled_periods: keyed(stat, "nr_throttled").unwrap_or(0),
        throttled_time: keyed(stat, "throttled_time").unwrap_or(0),
    }
}

fn memory(dir: &Path) -> MemoryStat {
    let entry = |prefix: &str| {
        let file = |suffix: &str| number(&dir.join(format!("memory.{prefix}{suffix}")));
        dir.join(format!("memory.{prefix}usage_in_bytes")).exists().then(|| MemoryEntry {
            limit: file("limit_in_bytes"),
            usage: file("usage_in_bytes"),
            max: file("max_usage_in_bytes"),
            failcnt: file("failcnt"),
        })
    };
    MemoryStat {
        usage: entry(""),
        swap: entry("memsw."),
        kernel: entry("kmem."),
        kernel_tcp: entry("kmem.tcp."),
        ..memory_stat(&text(&dir.join("memory.stat")))
    }
}

fn memory_stat(stat: &str) -> MemoryStat {
    let get = |key| keyed(stat, key).unwrap_or(0);
    MemoryStat {
        cache: get("cache"),
        rss: get("rss"),
        rss_huge: get("rss_huge"),
        mapped_file: get("mapped_file"),
        dirty: get("dirty"),
        writeback: get("writeback"),
        pg_pg_in: get("pgpgin"),
        pg_pg_out: get("pgpgout"),
        pg_fault: get("pgfault"),
        pg_maj_fault: get("pgmajfault"),
        inactive_anon: get("inactive_anon"),
        active_anon: get("active_anon"),
        inactive_file: get("inactive_file"),
        active_file: get("active_file"),
        unevictable: get("unevictable"),
        hierarchical_memory_limit: get("hierarchical_memory_limit"),
        hierarchical_swap_limit: get("hierarchical_memsw_limit"),
        total_cache: get("total_cache"),
        total_rss: get("total_rss"),
        total_rss_huge: get("total_rss_huge"),
        total_mapped_file: get("total_mapped_file"),
        total_dirty: get("total_dirty"),
        total_writeback: get("total_writeback"),
        total_pg_pg_in: get("total_pgpgin"),
        total_pg_pg_out: get("total_pgpgout"),
        total_pg_fault: get("total_pgfault"),
        total_pg_maj_fault: get("total_pgmajfault"),
        total_inactive_anon: get("total_inactive_anon"),
        total_active_anon: get("total_active_anon"),
        total_inactive_file: get("total_inactive_file"),
        total_active_file: get("total_active_file"),
        total_unevictable: get("total_unevictable"),
        ..MemoryStat::default()
    }
}

fn oom_control(text: &str) -> MemoryOomControl {
    MemoryOomControl {
        oom_kill_disable: keyed(text, "oom_kill_disable").unwrap_or(0),
        under_oom: keyed(text, "under_oom").unwrap_or(0),
        oom_kill: keyed(text, "oom_kill").unwrap_or(0),
    }
}

fn blkio(dir: &Path) -> BlkIoStat {
    // The CFQ and BFQ schedulers count by their own files; without them throttling counts.
    let entries = |names: &[&str]| {
        names
            .iter()
            .map(|name| blkio_entries(&text(&dir.join(format!("blkio.{name}")))))
            .find(|entries| !entries.is_empty())
            .unwrap_or_default()
    };
    BlkIoStat {
        io_service_bytes_recursive: entries(&[
            "io_service_bytes_recursive",
            "bfq.io_service_bytes_recursive",
            "throttle.io_service_bytes_recursive",
            "throttle.io_service_bytes",
        ]),
        io_serviced_recursive: entries(&[
            "io_serviced_recursive",
            "bfq.io_serviced_recursive",
            "throttle.io_serviced_recursive",
            "throttle.io_serviced",
        ]),
        io_queued_recursive: entries(&["io_queued_recursive", "bfq.io_queued_recursive"]),
        io_service_time_recursive: entries(&[
            "io_service_time_recursive",
            "bfq.io_service_time_recursive",
        ]),
        io_wait_time_recursive: entries(&["io_wait_time_recursive", "bfq.io_wait_time_recursive"]),
        io_merged_recursive: entries(&["io_merged_recursive", "bfq.io_merged_recursive"]),
        io_time_recursive: entries(&["time_recursive", "bfq.time_recursive"]),
        sectors_recursive: entries(&["sectors_recursive", "bfq.sectors_recursive"]),
    }
}

/// Lines of `MAJOR:MINOR [OPERATION] VALUE`; a last line with a total is not a device's.
fn blkio_entries(text: &str) -> Vec<BlkIoEntry> {
    text.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (major, minor) = device(words.first()?)?;
            let op = if words.len() > 2 { words[1] } else { "" };
            Some(BlkIoEntry {
                op: op.to_owned(),
                major,
                minor,
                value: value(words.last()?),
                ..BlkIoEntry::default()
            })
        })
        .collect()
}

fn hugetlb(dir: &Path) -> Vec<HugetlbStat> {
    huge_page_sizes(dir)
        .into_iter()
        .map(|pagesize| {
            let file = |name: &str| number(&dir.join(format!("hugetlb.{pagesize}.{name}")));
            HugetlbStat {
                usage: file("usage_in_bytes"),
                max: file("max_usage_in_bytes"),
                failcnt: file("failcnt"),
                pagesize,
            }
        })
        .collect()
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
    fn block_lines_with_and_without_an_operation() {
        let entries = blkio_entries("8:0 Read 12\n8:0 Total 12\n8:16 7\nTotal 19\n");
        let short: Vec<_> =
            entries.iter().map(|e| (e.major, e.minor, e.op.as_str(), e.value)).collect();
        assert_eq!(short, [(8, 0, "Read", 12), (8, 0, "Total", 12), (8, 16, "", 7)]);
    }

    #[test]
    fn memory_figures_find_their_fields() {
        let stat = memory_stat("cache 1\npgmajfault 2\nhierarchical_memsw_limit 3\ntotal_rss 4\n");
        assert_eq!(
            (stat.cache, stat.pg_maj_fault, stat.hierarchical_swap_limit, stat.total_rss),
            (1, 2, 3, 4)
        );
    }

    #[test]
    fn no_limit_of_pids_is_zero() {
        assert_eq!((pids_limit("max\n"), pids_limit("100\n")), (0, 100));
    }
}
