//! A mount: destination, type, source and options, a line each.
#![no_main]

use std::path::Path;

use hull::plan::mounts::{Context, plan};
use hull::spec::Mount;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (destination, kind, source) = (next(), next(), next());
    let options: Vec<&str> = lines.collect();
    let value = json!({
        "destination": destination, "type": kind, "source": source, "options": options,
    });
    let Ok(mount) = serde_json::from_value::<Mount>(value) else { return };
    for has_user_namespace in [false, true] {
        let context = Context {
            bundle: Path::new("/bundle"),
            root: Path::new("/bundle/rootfs"),
            mount_label: "",
            has_user_namespace,
        };
        let mut problems = Vec::new();
        let ops = plan(std::slice::from_ref(&mount), &context, &mut problems);
        assert_eq!(ops.len() + problems.len(), 1, "a mount is planned or refused");
    }
});
