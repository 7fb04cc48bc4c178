//! `update`.

use super::path;
use crate::cli::client::Call;
use crate::cli::commands::each;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::options::{Part, put};
use crate::cli::parse::{network::restart, size};
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;

/// Options of `update`.
#[derive(Args)]
pub struct Update {
    /// Weight of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(0..=1000))]
    blkio_weight: Option<u16>,
    /// Period of the CPU quota in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<i64>,
    /// CPU time in a period in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Real-time period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<i64>,
    /// Real-time CPU time in a period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_runtime: Option<i64>,
    /// Weight of CPU time
    #[arg(short = 'c', long, value_name = "SHARES")]
    cpu_shares: Option<i64>,
    /// Number of CPUs: 1.5
    #[arg(long, value_parser = size::nano_cpus)]
    cpus: Option<i64>,
    /// CPUs to run on
    #[arg(long, value_name = "CPUS")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "NODES")]
    cpuset_mems: Option<String>,
    /// Limit of memory
    #[arg(short, long, value_parser = size::bytes, value_name = "BYTES")]
    memory: Option<i64>,
    /// Memory the container keeps when the host is short of it
    #[arg(long, value_parser = size::bytes, value_name = "BYTES")]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_parser = size::bytes_or_unlimited, value_name = "BYTES",
          allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Limit of processes; -1 for none
    #[arg(long, allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// When to start the container again
    #[arg(long, value_parser = restart, value_name = "POLICY")]
    restart: Option<Value>,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Runs `update`.
pub async fn update(session: &Session, args: Update) -> Outcome {
    let mut body = Part::new();
    put(&mut body, "BlkioWeight", args.blkio_weight);
    put(&mut body, "CpuPeriod", args.cpu_period);
    put(&mut body, "CpuQuota", args.cpu_quota);
    put(&mut body, "CpuRealtimePeriod", args.cpu_rt_period);
    put(&mut body, "CpuRealtimeRuntime", args.cpu_rt_runtime);
    put(&mut body, "CpuShares", args.cpu_shares);
    put(&mut body, "NanoCpus", args.cpus);
    put(&mut body, "CpusetCpus", args.cpuset_cpus.clone());
    put(&mut body, "CpusetMems", args.cpuset_mems.clone());
    put(&mut body, "Memory", args.memory);
    put(&mut body, "MemoryReservation", args.memory_reservation);
    put(&mut body, "MemorySwap", args.memory_swap);
    if let Some(limit) = args.pids_limit {
        // 0 lifts the limit here.
        body.insert("PidsLimit".into(), limit.into());
    }
    put(&mut body, "RestartPolicy", args.restart.clone());
    if body.is_empty() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let body = &Value::from(body);
    each(&args.containers, |name| async move {
        let call = Call::post(&format!("{}/update", path(&name))).json(body);
        let answer = session.client.json(call).await?;
        for warning in crate::cli::json::Fields::list(&answer, "Warnings") {
            crate::cli::output::note(warning.as_str().unwrap_or(""));
        }
        Ok(())
    })
    .await
}
