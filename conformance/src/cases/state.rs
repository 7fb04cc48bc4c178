//! `state`: what a runtime tells about a container.

use serde_json::json;

use crate::case::{Case, Verdict, case, ensure, equal};
use crate::mutant::Break;

fn lies(pointer: &str, value: serde_json::Value) -> Break {
    Break::State(pointer.into(), Some(value))
}

/// The chapter.
pub fn cases() -> Vec<Case> {
    vec![
        case("state/oci-version")
            .cites(
                "runtime.md:12 is version of the Open Container Initiative Runtime Specification",
            )
            .breaks(lies("/ociVersion", json!("one")))
            .runs(|c| {
                let state = c.create()?.state()?;
                let text = state["ociVersion"].as_str().unwrap_or_default().to_owned();
                c.saw(format!("ociVersion {text:?}"));
                let core = text.split(['-', '+']).next().unwrap_or_default();
                let numbers = core.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
                ensure(numbers == 3, || format!("ociVersion {text:?} is no SemVer version"))
            }),
        case("state/id")
            .cites("runtime.md:13 is the container's ID")
            .breaks(lies("/id", json!("other")))
            .runs(|c| {
                let container = c.create()?;
                equal("id", &container.state()?["id"], &json!(container.id))
            }),
        case("state/pid")
            .cites("runtime.md:25 is the ID of the container process")
            .breaks(lies("/pid", json!(1)))
            .runs(|c| {
                let container = c.create()?;
                equal("pid", &container.state()?["pid"], &json!(container.pid()?))
            }),
        case("state/bundle")
            .cites("runtime.md:28 is the absolute path to the container's bundle directory")
            .breaks(lies("/bundle", json!("bundle")))
            .runs(|c| {
                let container = c.create()?;
                equal("bundle", &container.state()?["bundle"], &json!(c.bundle()))
            }),
        case("state/annotations")
            .cites("runtime.md:35 MUST adhere to the JSON Schema")
            .breaks(Break::State("/annotations".into(), None))
            .runs(|c| {
                c.set("/annotations", json!({"org.example.key": "value"}));
                let state = c.create()?.state()?;
                equal("annotation", &state["annotations"]["org.example.key"], &json!("value"))
            }),
        status("created", crate::container::Container::status),
        status("running", |container| {
            container.start()?;
            container.seen()?;
            container.status()
        }),
        status("stopped", |container| {
            container.start()?;
            container.kill("KILL")?;
            container.wait()?;
            container.status()
        }),
    ]
}

fn status(
    wanted: &'static str,
    reach: impl Fn(&crate::container::Container) -> Result<String, crate::case::Stop>
    + Send
    + Sync
    + 'static,
) -> Case {
    case(format!("state/status-{wanted}"))
        .cites("runtime.md:16 is the runtime state of the container")
        .breaks(lies("/status", json!("unknown")))
        .runs(move |c| -> Verdict {
            c.stay(&[]);
            let container = c.create()?;
            equal("status", reach(&container)?.as_str(), wanted)
        })
}
