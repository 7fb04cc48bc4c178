//! Cache and bandwidth as resctrl tells them, in the form of the `intel_rdt` of a `stats` event.

use super::{RdtState, find_root, read};
use crate::error::{At, Error, Result};
use serde::Serialize;
use std::path::Path;

/// What is told; empty for a container without a group.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct RdtStats {
    /// What the cache offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<L3CacheInfo>,
    /// The line of the root group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema_root: String,
    /// The line of the container's group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema: String,
    /// What the memory controllers offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<MemBwInfo>,
    /// The line of the root group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema_root: String,
    /// The line of the container's group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema: String,
    /// All lines of the container's group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    /// Bandwidth by NUMA node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbm_stats: Option<Vec<MbmStats>>,
    /// Cache occupancy by NUMA node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmt_stats: Option<Vec<CmtStats>>,
}

/// `info/L3`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct L3CacheInfo {
    /// The file of that name.
    pub cbm_mask: String,
    /// The file of that name.
    pub min_cbm_bits: u64,
    /// The file of that name.
    pub num_closids: u64,
}

/// `info/MB`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct MemBwInfo {
    /// The file of that name.
    pub bandwidth_gran: u64,
    /// The file of that name.
    pub delay_linear: u64,
    /// The file of that name.
    pub min_bandwidth: u64,
    /// The file of that name.
    pub num_closids: u64,
}

/// Bandwidth of one node, in bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct MbmStats {
    /// The file of that name.
    #[serde(skip_serializing_if = "is_zero")]
    pub mbm_total_bytes: u64,
    /// The file of that name.
    #[serde(skip_serializing_if = "is_zero")]
    pub mbm_local_bytes: u64,
}

/// Cache in use on one node, in bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct CmtStats {
    /// The file of that name.
    #[serde(skip_serializing_if = "is_zero")]
    pub llc_occupancy: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Usage now.
///
/// # Errors
/// resctrl can't be read.
pub fn stats(state: Option<&RdtState>) -> Result<RdtStats> {
    let Some(state) = state else { return Ok(RdtStats::default()) };
    stats_at(&find_root()?, state)
}

fn stats_at(root: &Path, state: &RdtState) -> Result<RdtStats> {
    let lines = |group: &Path| -> Result<Vec<String>> {
        Ok(read(&group.join("schemata"))?.lines().map(|line| line.trim().to_owned()).collect())
    };
    let (of_root, own) = (lines(root)?, lines(&state.group)?);
    let line = |lines: &[String], prefix: &str| {
        lines.iter().find(|line| line.starts_with(prefix)).cloned().unwrap_or_default()
    };
    let info = root.join("info");
    let mut stats = RdtStats::default();
    if info.join("L3").is_dir() {
        stats.l3_cache_info = Some(L3CacheInfo {
            cbm_mask: read(&info.join("L3/cbm_mask"))?.trim().to_owned(),
            min_cbm_bits: number(&info.join("L3/min_cbm_bits"))?,
            num_closids: number(&info.join("L3/num_closids"))?,
        });
        stats.l3_cache_schema_root = line(&of_root, "L3:");
        stats.l3_cache_schema = line(&own, "L3:");
    }
    if info.join("MB").is_dir() {
        stats.mem_bw_info = Some(MemBwInfo {
            bandwidth_gran: number(&info.join("MB/bandwidth_gran"))?,
            delay_linear: number(&info.join("MB/delay_linear"))?,
            min_bandwidth: number(&info.join("MB/min_bandwidth"))?,
            num_closids: number(&info.join("MB/num_closids"))?,
        });
        stats.mem_bw_schema_root = line(&of_root, "MB:");
        stats.mem_bw_schema = line(&own, "MB:");
    }
    stats.schemata = own;
    monitor(&info, state, &mut stats)?;
    Ok(stats)
}

/// What is counted for the monitoring group, or the control group without one.
fn monitor(info: &Path, state: &RdtState, stats: &mut RdtStats) -> Result<()> {
    let Ok(features) = read(&info.join("L3_MON/mon_features")) else { return Ok(()) };
    let has = |feature: &str| features.lines().any(|line| line == feature);
    let (total, local) = (has("mbm_total_bytes"), has("mbm_local_bytes"));
    let occupancy = has("llc_occupancy");
    let data = state.monitor.as_ref().unwrap_or(&state.group).join("mon_data");
    let at = || format!("read {}", data.display());
    let (mut mbm, mut cmt) = (Vec::new(), Vec::new());
    let mut nodes = std::fs::read_dir(&data)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .at(at)?;
    nodes.sort_unstable();
    for node in nodes {
        let get = |wanted, file| if wanted { number(&node.join(file)) } else { Ok(0) };
        mbm.push(MbmStats {
            mbm_total_bytes: get(total, "mbm_total_bytes")?,
            mbm_local_bytes: get(local, "mbm_local_bytes")?,
        });
        cmt.push(CmtStats { llc_occupancy: get(occupancy, "llc_occupancy")? });
    }
    stats.mbm_stats = (total || local).then_some(mbm);
    stats.cmt_stats = occupancy.then_some(cmt);
    Ok(())
}

fn number(path: &Path) -> Result<u64> {
    let text = read(path)?;
    text.trim().parse().map_err(|_| {
        Error::unsupported(format!("parse {}: unexpected content {text:?}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn a_machine_with_everything() {
        let root = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = root.path().join(file);
            create_dir_all(path.parent().unwrap()).unwrap();
            write(path, text).unwrap();
        };
        put("schemata", "    L3:0=ff\n    MB:0=100\n");
        put("c/schemata", "    L3:0=0f\n    MB:0=50\n");
        put("info/L3/cbm_mask", "ff\n");
        put("info/L3/min_cbm_bits", "1\n");
        put("info/L3/num_closids", "16\n");
        put("info/MB/bandwidth_gran", "10\n");
        put("info/MB/delay_linear", "1\n");
        put("info/MB/min_bandwidth", "10\n");
        put("info/MB/num_closids", "8\n");
        put("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\n");
        put("c/mon_groups/x/mon_data/mon_L3_00/llc_occupancy", "7\n");
        put("c/mon_groups/x/mon_data/mon_L3_00/mbm_total_bytes", "9\n");
        let state = RdtState {
            group: root.path().join("c"),
            remove_group: true,
            monitor: Some(root.path().join("c/mon_groups/x")),
        };
        let json = serde_json::to_value(stats_at(root.path(), &state).unwrap()).unwrap();
        let expected = serde_json::json!({
            "l3_cache_info": { "cbm_mask": "ff", "min_cbm_bits": 1, "num_closids": 16 },
            "l3_cache_schema_root": "L3:0=ff",
            "l3_cache_schema": "L3:0=0f",
            "mem_bw_info": {
                "bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8,
            },
            "mem_bw_schema_root": "MB:0=100",
            "mem_bw_schema": "MB:0=50",
            "schemata": ["L3:0=0f", "MB:0=50"],
            "mbm_stats": [{ "mbm_total_bytes": 9 }],
            "cmt_stats": [{ "llc_occupancy": 7 }],
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::to_string(&stats(None).unwrap()).unwrap(), "{}");
    }
}
