//! Health checks.

use super::{Part, put};
use crate::cli::parse::duration;
use clap::Args;
use serde_json::json;

/// Options of health checks.
#[derive(Args)]
#[expect(clippy::struct_field_names, reason = "clap makes the flags' names of them")]
pub struct Health {
    /// Command that tells whether the container is well
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between checks: 30s
    #[arg(long, value_parser = duration::nanos, value_name = "DURATION")]
    health_interval: Option<i64>,
    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "COUNT")]
    health_retries: Option<u32>,
    /// Time between checks while it starts
    #[arg(long, value_parser = duration::nanos, value_name = "DURATION")]
    health_start_interval: Option<i64>,
    /// Time to start, in which failures don't count
    #[arg(long, value_parser = duration::nanos, value_name = "DURATION")]
    health_start_period: Option<i64>,
    /// Time a check may take
    #[arg(long, value_parser = duration::nanos, value_name = "DURATION")]
    health_timeout: Option<i64>,
    /// Don't check, whatever the image says
    #[arg(long)]
    no_healthcheck: bool,
}

impl Health {
    pub(super) fn fill(&self, config: &mut Part) -> Result<(), String> {
        let mut check = Part::new();
        if let Some(command) = &self.health_cmd {
            put(&mut check, "Test", json!(["CMD-SHELL", command]));
        }
        let times = [
            ("Interval", self.health_interval),
            ("Timeout", self.health_timeout),
            ("StartPeriod", self.health_start_period),
            ("StartInterval", self.health_start_interval),
        ];
        for (name, value) in times {
            // The engine's least; 0 is its default.
            if value.is_some_and(|nanos| nanos < 0) {
                return Err(format!("--health: {name} cannot be negative"));
            }
            put(&mut check, name, value);
        }
        put(&mut check, "Retries", self.health_retries);
        if self.no_healthcheck {
            if !check.is_empty() {
                return Err("--no-healthcheck conflicts with --health-* options".into());
            }
            check.insert("Test".into(), json!(["NONE"]));
        }
        put(config, "Healthcheck", check);
        Ok(())
    }
}
