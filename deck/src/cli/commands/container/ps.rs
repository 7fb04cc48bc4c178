//! `ps`.

use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::human::{ellipsis, short_id, size};
use crate::cli::json::{Fields, pairs};
use crate::cli::list::{List, Row};
use crate::cli::session::Session;
use crate::cli::time;
use clap::Args;
use serde_json::{Value, json};

/// Options of `ps`.
#[derive(Args)]
pub struct Ps {
    /// All containers, not only running ones
    #[arg(short, long)]
    all: bool,
    /// Only those that match: name=…, status=…, label=…, ancestor=…
    #[arg(short, long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Go template, 'table TEMPLATE', or json
    #[arg(long)]
    format: Option<String>,
    /// The last COUNT created
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = -1, allow_negative_numbers = true)]
    last: i64,
    /// The last created
    #[arg(short, long)]
    latest: bool,
    /// Don't cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Show sizes
    #[arg(short, long)]
    size: bool,
}

const TABLE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("RunningFor", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("LocalVolumes", "LOCAL VOLUMES"),
];

/// Runs `ps`.
pub async fn ps(session: &Session, args: Ps) -> Outcome {
    let format = args.format.as_deref().or(session.settings.text("psFormat")).unwrap_or("");
    let last = if args.latest { 1 } else { args.last };
    let size = args.size || format.contains(".Size");
    let mut call = Call::get("/containers/json").flag("all", args.all).flag("size", size);
    if last >= 0 {
        call = call.query("limit", last.to_string());
    }
    let answer = session.client.json(call.filters(&args.filter)).await?;
    let rows: Vec<_> =
        answer.as_array().into_iter().flatten().map(|one| row(one, args.no_trunc)).collect();
    let table = if args.size { format!("{TABLE}\t{{{{.Size}}}}") } else { TABLE.into() };
    List { format, quiet: args.quiet, table: &table, id: "ID", headings: HEADINGS }.print(&rows)
}

fn row(container: &Value, whole: bool) -> Row {
    let id = container.text("Id");
    let command = container.text("Command");
    let cut = |text: &str, width| if whole { text.to_owned() } else { ellipsis(text, width) };
    let mounts = container.list("Mounts");
    let mounted: Vec<_> = mounts
        .iter()
        .map(|mount| match mount.text("Name") {
            "" => cut(mount.text("Source"), 15),
            name => cut(name, 15),
        })
        .collect();
    let networks: Vec<_> = container
        .at_key("NetworkSettings")
        .entries("Networks")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let fields = json!({
        "Command": format!("{:?}", cut(command, 20)).replace("\\'", "'"),
        "CreatedAt": time::long(container.int("Created")),
        "ID": if whole { id } else { short_id(id) },
        "Image": image(container, whole),
        "Labels": pairs(&container.entries("Labels")),
        "LocalVolumes": mounts.iter().filter(|m| m.text("Driver") == "local").count().to_string(),
        "Mounts": mounted.join(","),
        "Names": names(container, whole),
        "Networks": networks.join(","),
        "Platform": container.at_key("ImageManifestDescriptor").at_key("platform"),
        "Ports": ports(container.list("Ports")),
        "RunningFor": time::ago(container.int("Created")),
        "Size": sizes(container),
        "State": container.text("State"),
        "Status": container.text("Status"),
    });
    Row::labelled(fields, container.at_key("Labels"))
}

/// The image's name; its short id where that is all the container was made of.
fn image(container: &Value, whole: bool) -> String {
    let name = container.text("Image");
    if name.is_empty() {
        return "<no image>".into();
    }
    if whole {
        return name.to_owned();
    }
    let id = short_id(container.text("ImageID"));
    if short_id(name) == id {
        return id.to_owned();
    }
    match name.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => name.to_owned(),
    }
}

/// Names without their slash; other containers' links (`a/b`) only where nothing is cut.
fn names(container: &Value, whole: bool) -> String {
    let names = container.list("Names").iter().filter_map(Value::as_str);
    let names: Vec<_> = names
        .map(|name| name.strip_prefix('/').unwrap_or(name))
        .filter(|name| whole || !name.contains('/'))
        .collect();
    names.join(",")
}

fn sizes(container: &Value) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let shown = |name: &str| size(container.int(name) as f64, 3);
    if container.int("SizeRootFs") > 0 {
        format!("{} (virtual {})", shown("SizeRw"), shown("SizeRootFs"))
    } else {
        shown("SizeRw")
    }
}

/// One port of a container.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port<'p> {
    private: i64,
    ip: &'p str,
    public: i64,
    kind: &'p str,
}

/// `0.0.0.0:80->80/tcp, 90-92/udp`: ports published on the same number in ranges, then others.
pub fn ports(list: &[Value]) -> String {
    let mut ports: Vec<_> = list
        .iter()
        .map(|port| Port {
            private: port.int("PrivatePort"),
            ip: port.text("IP"),
            public: port.int("PublicPort"),
            kind: port.text("Type"),
        })
        .collect();
    ports.sort();
    let mut shown = Vec::new();
    let mut mapped = Vec::new();
    // Open ranges by address and protocol, in the order they were met.
    let mut groups: Vec<(&str, &str, i64, i64)> = Vec::new();
    for port in &ports {
        if !port.ip.is_empty() && port.public != port.private {
            let host = joined(port.ip, &port.public.to_string());
            mapped.push(format!("{host}->{}/{}", port.private, port.kind));
            continue;
        }
        let open = groups.iter_mut().find(|(ip, kind, ..)| (*ip, *kind) == (port.ip, port.kind));
        match open {
            None => groups.push((port.ip, port.kind, port.private, port.private)),
            Some((_, _, _, last)) if *last + 1 == port.private => *last = port.private,
            Some(group) => {
                shown.push(range(*group));
                (group.2, group.3) = (port.private, port.private);
            }
        }
    }
    shown.extend(groups.into_iter().map(range));
    shown.extend(mapped);
    shown.join(", ")
}

fn range((ip, kind, first, last): (&str, &str, i64, i64)) -> String {
    let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ip.is_empty() {
        format!("{ports}/{kind}")
    } else {
        format!("{}->{ports}/{kind}", joined(ip, &ports))
    }
}

fn joined(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_grouped_as_dockers() {
        let port = |ip: &str, public: i64, private: i64| json!({"IP": ip, "PublicPort": public, "PrivatePort": private, "Type": "tcp"});
        let bare = json!({"PrivatePort": 443, "Type": "tcp"});
        assert_eq!(ports(std::slice::from_ref(&bare)), "443/tcp");
        assert_eq!(
            ports(&[port("0.0.0.0", 81, 80), port("::", 81, 80), bare]),
            "443/tcp, 0.0.0.0:81->80/tcp, [::]:81->80/tcp"
        );
        assert_eq!(
            ports(&[port("0.0.0.0", 90, 90), port("0.0.0.0", 91, 91), port("0.0.0.0", 93, 93)]),
            "0.0.0.0:90-91->90-91/tcp, 0.0.0.0:93->93/tcp"
        );
    }

    #[test]
    fn rows() {
        let container = json!({
            "Id": "0123456789abcdef", "Image": "sha256:aaaaaaaaaaaabbbb",
            "ImageID": "sha256:aaaaaaaaaaaabbbb", "Command": "sh -c 'echo a long command'",
            "Names": ["/web", "/other/link"], "Labels": {"b": "2", "a": "1"},
            "Mounts": [{"Name": "v", "Driver": "local"}, {"Source": "/a/very/long/path/indeed"}],
        });
        let fields = row(&container, false).fields;
        assert_eq!(fields["ID"], "0123456789ab");
        assert_eq!(fields["Image"], "aaaaaaaaaaaa");
        assert_eq!(fields["Command"], "\"sh -c 'echo a long …\"");
        assert_eq!(fields["Names"], "web");
        assert_eq!(fields["Labels"], "a=1,b=2");
        assert_eq!(fields["Mounts"], "v,/a/very/long/p…");
        assert_eq!(fields["LocalVolumes"], "1");
        assert_eq!(row(&container, true).fields["Names"], "web,other/link");
    }
}
