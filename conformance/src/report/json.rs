//! One JSON document, with all evidence.

use serde_json::{Value, json};

use super::Results;
use crate::spec;

/// The report.
pub fn results(results: &Results) -> String {
    let cases: Vec<Value> = results
        .cases
        .iter()
        .map(|case| json!({"id": case.id, "level": case.level().word(), "cites": case.cites}))
        .collect();
    let runtimes: Vec<Value> = results
        .runtimes
        .iter()
        .zip(&results.columns)
        .map(|(runtime, column)| {
            json!({
                "name": runtime.name,
                "version": runtime.version,
                "spec": runtime.claimed,
                "outcomes": column,
            })
        })
        .collect();
    let document = json!({
        "spec": spec::VERSION, "host": results.host, "cases": cases, "runtimes": runtimes,
    });
    format!("{document:#}\n")
}
