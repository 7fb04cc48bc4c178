//! `system df`.

use crate::cli::client::Call;
use crate::cli::commands::image::ls as images;
use crate::cli::commands::volume;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::human::{short_id, size};
use crate::cli::json::Fields;
use crate::cli::list::{List, Row};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::cli::time;
use clap::Args;
use serde_json::{Value, json};

/// Options of `system df`.
#[derive(Args)]
pub struct Df {
    /// Go template, 'table TEMPLATE', or json
    #[arg(long, default_value = "")]
    format: String,
    /// Each image, container and volume
    #[arg(short, long)]
    verbose: bool,
}

/// Runs `system df`.
pub async fn df(session: &Session, args: Df) -> Outcome {
    if args.verbose && !args.format.is_empty() {
        return Err(Failure::new("--verbose and --format can't be used together"));
    }
    let usage = session.client.json(Call::get("/system/df")).await?;
    if args.verbose {
        return verbose(&usage);
    }
    let rows: Vec<_> = summary(&usage)
        .into_iter()
        .map(|part| {
            Row::new(json!({
                "Type": part.kind,
                "TotalCount": part.total.to_string(),
                "Active": part.active.to_string(),
                "Size": bytes(part.size),
                "Reclaimable": part.reclaimable(),
            }))
        })
        .collect();
    let table = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
    let headings = &[("TotalCount", "TOTAL")];
    List { format: &args.format, quiet: false, table, id: "Type", headings }.print(&rows)
}

struct Part {
    kind: &'static str,
    total: usize,
    active: usize,
    size: i64,
    free: i64,
}

impl Part {
    fn reclaimable(&self) -> String {
        let free = bytes(self.free);
        if self.size <= 0 || self.kind == "Build Cache" {
            return free;
        }
        format!("{free} ({}%)", self.free.max(0).saturating_mul(100) / self.size)
    }
}

fn bytes(count: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let count = count as f64;
    size(count, 4)
}

fn summary(usage: &Value) -> [Part; 4] {
    let count = |list: &[Value], active: &dyn Fn(&Value) -> bool| {
        list.iter().filter(|one| active(one)).count()
    };
    let images = usage.list("Images");
    let used = |image: &Value| image.int("Containers") > 0;
    // What only used images hold stays: layers they share with others, too.
    let kept: i64 = images
        .iter()
        .filter(|image| used(image))
        .map(|image| match (image.int("Size"), image.int("SharedSize")) {
            (-1, _) | (_, -1) => 0,
            (size, shared) => size - shared,
        })
        .sum();
    let layers = usage.int("LayersSize");
    let containers = usage.list("Containers");
    let runs = |one: &Value| matches!(one.text("State"), "running" | "paused" | "restarting");
    let written = |one: &Value| one.int("SizeRw");
    let volumes = usage.list("Volumes");
    let links = |volume: &Value| volume.at_key("UsageData").int("RefCount") > 0;
    let holds = |volume: &Value| volume.at_key("UsageData").int("Size").max(0);
    let cache = usage.list("BuildCache");
    [
        Part {
            kind: "Images",
            total: images.len(),
            active: count(images, &used),
            size: layers,
            free: layers - kept,
        },
        Part {
            kind: "Containers",
            total: containers.len(),
            active: count(containers, &runs),
            size: containers.iter().map(written).sum(),
            free: containers.iter().filter(|one| !runs(one)).map(written).sum(),
        },
        Part {
            kind: "Local Volumes",
            total: volumes.len(),
            active: count(volumes, &links),
            size: volumes.iter().map(holds).sum(),
            free: volumes.iter().filter(|one| !links(one)).map(holds).sum(),
        },
        Part {
            kind: "Build Cache",
            total: cache.len(),
            active: count(cache, &|one| one.truth("InUse")),
            size: cache.iter().map(|one| one.int("Size")).sum(),
            free: cache.iter().filter(|one| !one.truth("InUse")).map(|one| one.int("Size")).sum(),
        },
    ]
}

fn verbose(usage: &Value) -> Outcome {
    let section = |title: &str, table: &str, headings: &[(&str, &str)], rows: &[Row]| {
        let text = List { format: "", quiet: false, table, id: "ID", headings }.text(rows)?;
        print(&format!("{title} space usage:\n\n{text}\n"))
    };
    let rows: Vec<_> =
        usage.list("Images").iter().flat_map(|image| images::rows(image, false, false)).collect();
    section(
        "Images",
        "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.Containers}}",
        &[("ID", "IMAGE ID"), ("CreatedSince", "CREATED"), ("SharedSize", "SHARED SIZE")],
        &rows,
    )?;
    let rows: Vec<_> = usage.list("Containers").iter().map(container).collect();
    section(
        "Containers",
        "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
        &[("ID", "CONTAINER ID"), ("RunningFor", "CREATED"), ("LocalVolumes", "LOCAL VOLUMES")],
        &rows,
    )?;
    let rows: Vec<_> = usage.list("Volumes").iter().map(volume::row).collect();
    section("Local Volumes", "{{.Name}}\t{{.Links}}\t{{.Size}}", &[("Name", "VOLUME NAME")], &rows)
}

fn container(one: &Value) -> Row {
    let names = one.list("Names").iter().filter_map(Value::as_str);
    let names: Vec<_> = names.map(|name| name.trim_start_matches('/')).collect();
    Row::new(json!({
        "ID": short_id(one.text("Id")),
        "Image": one.text("Image"),
        "Command": format!("{:?}", crate::cli::human::ellipsis(one.text("Command"), 20)),
        "LocalVolumes": one.list("Mounts").iter().filter(|m| m.text("Driver") == "local").count().to_string(),
        "Size": bytes(one.int("SizeRw")),
        "RunningFor": time::ago(one.int("Created")),
        "Status": one.text("Status"),
        "Names": names.join(","),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_had_back() {
        let usage = json!({
            "LayersSize": 1000,
            "Images": [
                {"Containers": 1, "Size": 600, "SharedSize": 100},
                {"Containers": 0, "Size": 500, "SharedSize": 100}
            ],
            "Containers": [{"State": "running", "SizeRw": 5}, {"State": "exited", "SizeRw": 7}],
            "Volumes": [{"UsageData": {"RefCount": 0, "Size": 9}}, {"UsageData": {"RefCount": 2, "Size": -1}}],
        });
        let [images, containers, volumes, cache] = summary(&usage);
        assert_eq!((images.active, images.reclaimable().as_str()), (1, "500B (50%)"));
        assert_eq!((containers.size, containers.free), (12, 7));
        assert_eq!((volumes.active, volumes.reclaimable().as_str()), (1, "9B (100%)"));
        assert_eq!(cache.reclaimable(), "0B");
    }
}
