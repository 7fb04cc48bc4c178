//! `/volumes/…`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::route::not_found;
use crate::engine::filter::Filters;
use crate::engine::volume::Wanted;
use crate::error::Result;
use hyper::Method;
use serde_json::json;

/// Routes of volumes.
pub async fn route(mut call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    let engine = call.engine.clone();
    match (&method, path) {
        (&Method::GET, []) => {
            let filters = Filters::parse(&call.text("filters"))?;
            let volumes = blocking(move || engine.volumes(&filters)).await?;
            let shown: Vec<_> = volumes.iter().map(crate::engine::volume::Volume::shown).collect();
            answer::ok(&json!({ "Volumes": shown, "Warnings": null }))
        }
        (&Method::POST, ["create"]) => {
            let wanted: Wanted = call.json_or_default().await?;
            let volume = blocking(move || engine.create_volume(&wanted)).await?;
            answer::created(&volume.shown())
        }
        (&Method::POST, ["prune"]) => {
            let filters = Filters::parse(&call.text("filters"))?;
            // Before API 1.42 all unused volumes went, since then the nameless ones only.
            let all = call.version < super::version::Version(1, 42);
            let pruned = blocking(move || engine.prune_volumes(&filters, all)).await?;
            answer::ok(&json!({ "VolumesDeleted": pruned.0, "SpaceReclaimed": pruned.1 }))
        }
        (&Method::GET, [name]) => {
            let name = name.to_string();
            answer::ok(&blocking(move || engine.volume(&name)).await?.shown())
        }
        (&Method::DELETE, [name]) => {
            let (name, force) = (name.to_string(), call.flag("force"));
            blocking(move || engine.remove_volume(&name, force)).await?;
            Ok(answer::no_content())
        }
        _ => Err(not_found()),
    }
}
