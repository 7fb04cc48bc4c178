//! Changing containers: names, limits, restart policies.

use super::model::host::{Resources, RestartPolicy};
use super::{Engine, create, validate, wishes};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The body of `POST /containers/{id}/update`: what isn't given stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Update {
    /// Limits.
    #[serde(flatten)]
    pub resources: Resources,
    /// See [`RestartPolicy`].
    pub restart_policy: RestartPolicy,
}

impl Engine {
    /// Gives a container another name.
    ///
    /// # Errors
    /// 400 for a name nobody can have, 404, 409 when it is taken.
    pub fn rename(&self, reference: &str, name: &str) -> Result<()> {
        let name = create::valid_name(name)?;
        let id = self.find(reference)?.id;
        let lock = self.lock(&id)?;
        let mut container = self.settled(&id, &lock)?;
        if container.name == name {
            return Err(Error::conflict(
                "Renaming a container with the same name as its current name",
            ));
        }
        let old = std::mem::replace(&mut container.name, name);
        self.save(&container).map_err(|error| self.name_taken(error, &container.name))?;
        self.networks.rename(&id, &container.name)?;
        self.emit_container(&container, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(())
    }

    /// Changes limits and restart policy, of a running container at once; answers warnings.
    ///
    /// # Errors
    /// 400 for limits that can't be, 404, what the runtime says.
    pub fn update(&self, reference: &str, update: Update) -> Result<Vec<String>> {
        changeable(&update.resources)?;
        let id = self.find(reference)?.id;
        let lock = self.lock(&id)?;
        let mut container = self.settled(&id, &lock)?;
        let before = container.host.resources.clone();
        merge(&mut container.host.resources, update.resources);
        validate::resources(&container.host.resources)?;
        if !update.restart_policy.name.is_empty() {
            validate::restart(&update.restart_policy)?;
            if container.host.auto_remove && update.restart_policy.name != "no" {
                return Err(Error::conflict(
                    "Restart policy cannot be updated because AutoRemove is enabled for the \
                     container",
                ));
            }
            container.host.restart_policy = update.restart_policy;
        }
        if container.state.status.is_alive() && before != container.host.resources {
            let limits = runtime_limits(&wishes::resources(&container.host.resources));
            let limits =
                serde_json::to_vec(&limits).map_err(|error| Error::internal(error.to_string()))?;
            self.task(&container)?.update(limits)?;
        }
        self.save(&container)?;
        self.emit_container(&container, "update", &[]);
        Ok(Vec::new())
    }
}

/// Refuses what a container keeps for its life. Clients send all fields, mostly empty.
fn changeable(given: &Resources) -> Result<()> {
    fn listed<T>(list: Option<&Vec<T>>) -> bool {
        list.is_some_and(|list| !list.is_empty())
    }
    let fixed = [
        ("CgroupParent", !given.cgroup_parent.is_empty()),
        ("BlkioWeightDevice", listed(given.blkio_weight_device.as_ref())),
        ("BlkioDeviceReadBps", listed(given.blkio_device_read_bps.as_ref())),
        ("BlkioDeviceWriteBps", listed(given.blkio_device_write_bps.as_ref())),
        ("BlkioDeviceReadIOps", listed(given.blkio_device_read_iops.as_ref())),
        ("BlkioDeviceWriteIOps", listed(given.blkio_device_write_iops.as_ref())),
        ("Devices", listed(given.devices.as_ref())),
        ("DeviceCgroupRules", listed(given.device_cgroup_rules.as_ref())),
        ("DeviceRequests", listed(given.device_requests.as_ref())),
        ("KernelMemoryTCP", given.kernel_memory_tcp != 0),
        // -1 is Docker's word for none.
        ("MemorySwappiness", given.memory_swappiness.is_some_and(|value| value != -1)),
        ("OomKillDisable", given.oom_kill_disable == Some(true)),
        ("Ulimits", listed(given.ulimits.as_ref())),
    ];
    match fixed.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::invalid(format!(
            "{name} can't be updated: it is chosen when a container is created"
        ))),
        None => Ok(()),
    }
}

/// Limits given over limits that are.
fn merge(own: &mut Resources, given: Resources) {
    macro_rules! take {
        ($($field:ident),*) => {$(
            if given.$field != Resources::default().$field { own.$field = given.$field; }
        )*};
    }
    if given.nano_cpus > 0 {
        (own.cpu_period, own.cpu_quota) = (0, 0);
    }
    if given.cpu_period > 0 || given.cpu_quota > 0 {
        own.nano_cpus = 0;
    }
    if given.memory > 0 && given.memory_swap == 0 && own.memory_swap == own.memory * 2 {
        own.memory_swap = given.memory.saturating_mul(2);
    }
    take!(
        cpu_shares,
        memory,
        nano_cpus,
        blkio_weight,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
        cpuset_cpus,
        cpuset_mems,
        memory_reservation,
        memory_swap,
        kernel_memory
    );
    if let Some(limit) = given.pids_limit {
        own.pids_limit = Some(limit).filter(|limit| *limit > 0);
    }
}

/// Limits as the spec's `linux.resources`.
fn runtime_limits(wishes: &crate::bundle::wishes::Resources) -> Value {
    let mut memory = Map::new();
    let mut set = |key: &str, value: i64| {
        if value != 0 {
            memory.insert(key.into(), json!(value));
        }
    };
    set("limit", wishes.memory);
    set("swap", wishes.memory_swap);
    set("reservation", wishes.memory_reservation);
    let mut cpu = Map::new();
    if wishes.cpu_shares != 0 {
        cpu.insert("shares".into(), json!(wishes.cpu_shares));
    }
    // Docker's period is 100 ms.
    let (period, quota) = match wishes.nano_cpus {
        0 => (wishes.cpu_period, wishes.cpu_quota),
        nano => (100_000, nano / 10_000),
    };
    for (key, value) in [
        ("period", period),
        ("quota", quota),
        ("realtimePeriod", wishes.cpu_realtime_period),
        ("realtimeRuntime", wishes.cpu_realtime_runtime),
    ] {
        if value != 0 {
            cpu.insert(key.into(), json!(value));
        }
    }
    for (key, value) in [("cpus", &wishes.cpuset_cpus), ("mems", &wishes.cpuset_mems)] {
        if !value.is_empty() {
            cpu.insert(key.into(), json!(value));
        }
    }
    let mut all = json!({ "memory": memory, "cpu": cpu });
    if let Some(limit) = wishes.pids_limit {
        all["pids"] = json!({ "limit": limit });
    }
    if wishes.blkio_weight != 0 {
        all["blockIO"] = json!({ "weight": wishes.blkio_weight });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let mut own = Resources {
            memory: 1 << 30,
            memory_swap: 2 << 30,
            cpu_quota: 5_000,
            ..Resources::default()
        };
        merge(&mut own, Resources { memory: 2 << 30, nano_cpus: 1, ..Resources::default() });
        assert_eq!((own.memory, own.memory_swap), (2 << 30, 4 << 30));
        assert_eq!((own.cpu_quota, own.nano_cpus), (0, 1));
        let limits = runtime_limits(&wishes::resources(&own));
        assert_eq!(limits["memory"]["limit"], json!(2_i64 << 30));
        assert!(limits.get("pids").is_none());
    }
    #[test]
    fn what_can_t_be_changed_is_refused() {
        let asked = |json: &str| {
            let update: Update = serde_json::from_str(json).unwrap();
            changeable(&update.resources).map_err(|error| error.message)
        };
        // As clients send it.
        let empty = r#"{"Memory": 1, "Devices": null, "Ulimits": [], "MemorySwappiness": -1,
            "OomKillDisable": false, "CgroupParent": "", "BlkioDeviceReadBps": []}"#;
        assert_eq!(asked(empty), Ok(()));
        let rate = r#"{"BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 1}]}"#;
        assert!(asked(rate).unwrap_err().starts_with("BlkioDeviceReadBps can't be updated"));
        assert!(asked(r#"{"MemorySwappiness": 0}"#).is_err());
    }
}
