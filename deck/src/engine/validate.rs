//! What a create request may not ask for. Pure: what needs the host or the records comes later.

use super::model::config::CreateRequest;
use super::model::host::{HostConfig, LogConfig, Resources, RestartPolicy};
use super::signal;
use crate::error::{Error, Result};
use crate::image::config::Healthcheck;

/// Below this nothing starts (Docker's limit).
const MIN_MEMORY: i64 = 6 << 20;

/// Shortest time of a health check, in nanoseconds (Docker's limit).
const MIN_HEALTH: i64 = 1_000_000;

/// Log drivers served.
pub const LOG_DRIVERS: &[&str] = &["json-file", "none"];

/// Checks a request.
///
/// # Errors
/// 400 with the first thing that can't be meant; 501 for what is known and not there.
pub fn request(request: &CreateRequest) -> Result<()> {
    let config = &request.config;
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    for variable in config.env.iter().flatten() {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {variable}")));
        }
    }
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    if config.hostname.len() > 63 || config.hostname.contains(['/', '\0', ' ']) {
        return Err(Error::invalid(format!("invalid hostname: {}", config.hostname)));
    }
    if let Some(check) = &config.healthcheck {
        health(check)?;
    }
    host(&request.host)
}

/// Checks a health check's times: 0 is for the default.
fn health(check: &Healthcheck) -> Result<()> {
    for (name, time) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if time != 0 && time < MIN_HEALTH {
            return Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

/// Checks the host's part.
///
/// # Errors
/// As [`request`].
pub fn host(host: &HostConfig) -> Result<()> {
    restart(&host.restart_policy)?;
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err(Error::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    log(&host.log_config)?;
    resources(&host.resources)?;
    modes(host)?;
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if host.shm_size < 0 {
        return Err(Error::invalid("SHM size can not be less than 0"));
    }
    for key in host.storage_opt.iter().flatten().map(|(key, _)| key) {
        if key != "size" {
            return Err(Error::invalid(format!("unknown storage option: {key}")));
        }
    }
    if host.annotations.as_ref().is_some_and(|all| all.contains_key("")) {
        return Err(Error::invalid(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
    let foreign = [
        (!matches!(host.isolation.as_str(), "" | "default"), "isolation"),
        (host.cpu_count != 0, "CpuCount"),
        (host.cpu_percent != 0, "CpuPercent"),
        (host.io_maximum_iops != 0, "IOMaximumIOps"),
        (host.io_maximum_bandwidth != 0, "IOMaximumBandwidth"),
    ];
    if let Some((_, name)) = foreign.iter().find(|(set, _)| *set) {
        return Err(Error::invalid(format!("invalid option: {name} is Windows' alone")));
    }
    Ok(())
}

/// Checks a restart policy.
///
/// # Errors
/// 400 in Docker's words.
pub fn restart(policy: &RestartPolicy) -> Result<()> {
    match policy.name.as_str() {
        "" | "no" | "always" | "unless-stopped" if policy.maximum_retry_count != 0 => {
            Err(Error::invalid(format!(
                "invalid restart policy: maximum retry count can only be used with 'on-failure' \
                 (is {})",
                policy.maximum_retry_count
            )))
        }
        "on-failure" if policy.maximum_retry_count < 0 => {
            Err(Error::invalid("invalid restart policy: maximum retry count cannot be negative"))
        }
        "" | "no" | "always" | "unless-stopped" | "on-failure" => Ok(()),
        other => Err(Error::invalid(format!(
            "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', \
             'on-failure', or 'unless-stopped'"
        ))),
    }
}

/// Checks where the log goes.
fn log(log: &LogConfig) -> Result<()> {
    let kind = if log.kind.is_empty() { "json-file" } else { &log.kind };
    if !LOG_DRIVERS.contains(&kind) {
        return Err(Error::invalid(format!(
            "error looking up logging plugin {kind}: plugin \"{kind}\" not found"
        )));
    }
    for (key, value) in &log.config {
        let good = match (kind, key.as_str()) {
            ("json-file", "max-size") => size(value).is_some_and(|size| size > 0),
            ("json-file", "max-file") => value.parse::<u32>().is_ok_and(|count| count > 0),
            _ => {
                return Err(Error::invalid(format!(
                    "unknown log opt '{key}' for {kind} log driver"
                )));
            }
        };
        if !good {
            return Err(Error::invalid(format!("invalid value for '{key}': {value}")));
        }
    }
    Ok(())
}

/// Checks limits; also those of an update.
///
/// # Errors
/// As [`request`].
pub fn resources(resources: &Resources) -> Result<()> {
    let r = resources;
    if r.memory != 0 && r.memory < MIN_MEMORY {
        return Err(Error::invalid("Minimum memory limit allowed is 6MB"));
    }
    if r.memory > 0 && r.memory_swap > 0 && r.memory_swap < r.memory {
        return Err(Error::invalid(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    if r.memory == 0 && r.memory_swap > 0 {
        return Err(Error::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    if r.memory_swappiness.is_some_and(|value| !(-1..=100).contains(&value)) {
        return Err(Error::invalid(format!(
            "Invalid value: {}, valid memory swappiness range is 0-100",
            r.memory_swappiness.unwrap_or_default()
        )));
    }
    if r.memory_reservation != 0 && r.memory_reservation < MIN_MEMORY {
        return Err(Error::invalid("Minimum memory reservation allowed is 6MB"));
    }
    if r.memory > 0 && r.memory_reservation > r.memory {
        return Err(Error::invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    cpu(r)?;
    if r.blkio_weight != 0 && !(10..=1000).contains(&r.blkio_weight) {
        return Err(Error::invalid("Range of blkio weight is from 10 to 1000"));
    }
    if r.device_requests.iter().flatten().next().is_some() {
        return Err(Error::unsupported(
            "could not select device driver: GPUs and other device requests are not supported; \
             name the device nodes with --device",
        ));
    }
    if r.kernel_memory_tcp != 0 {
        return Err(Error::unsupported("KernelMemoryTCP: gone from the kernel"));
    }
    Ok(())
}

/// Checks limits of processor time.
fn cpu(r: &Resources) -> Result<()> {
    if r.cpu_shares < 0 {
        return Err(Error::invalid("CPU shares can not be negative"));
    }
    if r.nano_cpus > 0 && (r.cpu_period > 0 || r.cpu_quota > 0) {
        return Err(Error::invalid(
            "Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set.",
        ));
    }
    if r.cpu_period != 0 && !(1_000..=1_000_000).contains(&r.cpu_period) {
        return Err(Error::invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if r.cpu_quota > 0 && r.cpu_quota < 1_000 {
        return Err(Error::invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    if r.nano_cpus < 0 || r.nano_cpus > count {
        return Err(Error::invalid(format!(
            "range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs available",
            count / 1_000_000_000
        )));
    }
    Ok(())
}

/// Checks the modes of namespaces.
fn modes(host: &HostConfig) -> Result<()> {
    let container = |mode: &str| mode.strip_prefix("container:").is_some_and(|id| !id.is_empty());
    let pid = host.pid_mode.as_str();
    if !matches!(pid, "" | "private" | "host") && !container(pid) {
        return Err(Error::invalid(format!("invalid PID mode: {pid}")));
    }
    let ipc = host.ipc_mode.as_str();
    if container(ipc) {
        // Its /dev/shm is a mount of another mount namespace, which nobody can bind.
        return Err(Error::unsupported(format!(
            "IPC mode {ipc} is not supported: /dev/shm of another container can't be shared; \
             \"host\" shares the host's"
        )));
    }
    if !matches!(ipc, "" | "none" | "private" | "shareable" | "host") {
        return Err(Error::invalid(format!("invalid IPC mode: {ipc}")));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(Error::invalid(format!("invalid UTS mode: {}", host.uts_mode)));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return Err(Error::invalid(format!(
            "invalid cgroup namespace mode: {}",
            host.cgroupns_mode
        )));
    }
    match host.userns_mode.as_str() {
        "" | "host" => {}
        other => {
            return Err(Error::invalid(format!(
                "invalid USER mode: {other}: no user namespaces are set up here"
            )));
        }
    }
    if !host.cgroup.is_empty() {
        return Err(Error::invalid(format!("invalid cgroup: {}", host.cgroup)));
    }
    Ok(())
}

/// Reads a size with a binary suffix: `10m`, `1.5g`, `512k`, `1024`.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let text = text.strip_suffix('i').unwrap_or(text);
    let (number, shift) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        b't' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let value: f64 = number.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let bytes = (value * f64::from(2_u32).powi(shift)) as u64;
    value.is_finite().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str) -> Result<()> {
        let text = format!(r#"{{"Image":"a","HostConfig":{host}}}"#);
        request(&crate::api::call::decode(text.as_bytes()).unwrap())
    }

    #[test]
    fn what_the_stock_client_sends_passes() {
        check(
            r#"{"Binds":null,"NetworkMode":"default","RestartPolicy":{"Name":"no"},"LogConfig":
            {"Type":"","Config":{}},"MemorySwappiness":-1,"ConsoleSize":[0,0],"PidsLimit":0}"#,
        )
        .unwrap();
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (host, words) in [
            (r#"{"Memory":1000}"#, "Minimum memory"),
            (r#"{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}"#, "AutoRemove"),
            (r#"{"RestartPolicy":{"Name":"sometimes"}}"#, "unknown policy"),
            (r#"{"RestartPolicy":{"Name":"always","MaximumRetryCount":2}}"#, "retry count"),
            (r#"{"LogConfig":{"Type":"syslog"}}"#, "syslog"),
            (r#"{"LogConfig":{"Type":"json-file","Config":{"x":"y"}}}"#, "unknown log opt"),
            (r#"{"PidMode":"container:"}"#, "PID mode"),
            (r#"{"IpcMode":"container:other"}"#, "another container can't be shared"),
            (r#"{"IpcMode":"x"}"#, "IPC mode"),
            (r#"{"NanoCpus":1,"CpuQuota":5000}"#, "Conflicting"),
            (r#"{"DeviceRequests":[{"Count":-1}]}"#, "device"),
            (r#"{"Isolation":"hyperv"}"#, "Windows"),
            (r#"{"OomScoreAdj":2000}"#, "oom score"),
            (r#"{"Annotations":{"":"x"}}"#, "annotation key"),
        ] {
            let error = check(host).unwrap_err();
            assert!(error.message.contains(words), "{host}: {error}");
        }
    }

    #[test]
    fn health_checks_have_times() {
        let check = |check: &str| {
            let text = format!(r#"{{"Image":"x","Healthcheck":{check}}}"#);
            request(&serde_json::from_str(&text).unwrap())
        };
        check(r#"{"Test":["CMD","true"],"Interval":1000000,"Timeout":0,"Retries":3}"#).unwrap();
        for (bad, words) in [
            (r#"{"Interval":999999}"#, "Interval in"),
            (r#"{"Timeout":-1}"#, "Timeout in"),
            (r#"{"StartPeriod":5}"#, "StartPeriod in"),
            (r#"{"StartInterval":5}"#, "StartInterval in"),
            (r#"{"Retries":-1}"#, "negative"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.message.contains(words), "{bad}: {error}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("10m"), Some(10 << 20));
        assert_eq!(size("1.5k"), Some(1536));
        assert_eq!(size("7"), Some(7));
        assert_eq!(size("1GiB"), Some(1 << 30));
        assert_eq!(size("x"), None);
    }
}
