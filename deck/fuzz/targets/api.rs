//! Bodies, queries and filters of the API: whatever a client sends, no bytes panic, errors are one
//! line, and what is taken asks for nothing that was not said. The first byte chooses the call.

#![no_main]

use deck::Error;
use deck::api::call::{decode, query};
use deck::bundle::{self, Host, Input, user, wishes};
use deck::engine::exec::ExecRequest;
use deck::engine::filter::Filters;
use deck::engine::model::config::CreateRequest;
use deck::engine::model::host::HostConfig;
use deck::engine::record::MountPoint;
use deck::engine::update::Update;
use deck::engine::volume::{Wanted, check_options};
use deck::engine::wishes::plain;
use deck::engine::{create, mounts, validate};
use deck::image::RunConfig;
use deck::net::records::State;
use deck::net::spec::{self, Bridge, HostFacts};
use deck::net::{NetworkSpec, ports};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let result = match first % 6 {
        0 => container(body),
        1 => exec(body),
        2 => network(body),
        3 => volume(body),
        4 => update(body),
        _ => parameters(body),
    };
    if let Err(error) = result {
        assert!((400..600).contains(&error.status), "{}", error.status);
    }
});

/// Every capability of this kernel, which is what a host may have.
const ALL: u64 = (1 << 41) - 1;

/// `POST /containers/create`, as far as it goes without records and host.
fn container(body: &[u8]) -> Result<(), Error> {
    let mut request: CreateRequest = decode(body)?;
    validate::request(&request)?;
    create::defaults(&mut request);
    let image = RunConfig { cmd: Some(vec!["true".into()]), ..RunConfig::default() };
    create::merge(&mut request.config, &image)?;
    let (config, host) = (&request.config, &request.host);
    let points = mounts::resolve(config, host, &|_| Err(Error::not_found("no such container")))?;
    let mut wishes = plain(config, host)?;
    wishes.mounts = points.iter().map(wish).collect();
    let exposed = config.exposed_ports.keys().map(String::as_str);
    for port in ports::requests(&host.port_bindings, exposed, host.publish_all_ports)? {
        assert!(port.container_port > 0);
    }
    let run = RunConfig {
        user: config.user.clone(),
        env: config.env.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        working_dir: config.working_dir.clone(),
        ..RunConfig::default()
    };
    let groups = host.group_add.clone().unwrap_or_default();
    let identity = user::resolve(root(), &run.user, &groups)?;
    let facts =
        Host { capabilities: ALL, machine: "amd64".into(), kernel: (6, 1), ..Host::default() };
    let spec = bundle::spec(&Input {
        image: &run,
        wishes: &wishes,
        identity: &identity,
        rootfs: root(),
        host: &facts,
    })?;
    confined(&serde_json::to_value(&spec).expect("plain data"), host);
    Ok(())
}

fn wish(point: &MountPoint) -> wishes::MountWish {
    let path = Path::new(&point.destination);
    assert!(path.is_absolute() && path != Path::new("/"), "{path:?}");
    assert!(!path.components().any(|part| part.as_os_str() == ".."), "{path:?}");
    if point.kind == "volume" {
        assert!(!point.name.contains('/') && !point.name.starts_with('.'), "{}", point.name);
    }
    let source = match point.kind.as_str() {
        "tmpfs" => wishes::MountSource::Tmpfs(point.options.clone()),
        _ => wishes::MountSource::Bind(Path::new("/source").join(&point.name)),
    };
    wishes::MountWish {
        target: path.into(),
        source,
        read_only: !point.writable,
        propagation: Some(point.propagation.clone()).filter(|word| !word.is_empty()),
        non_recursive: point.non_recursive,
        read_only_non_recursive: point.read_only_non_recursive,
    }
}

/// Nothing of the confinement is missing that the request did not take away.
fn confined(spec: &serde_json::Value, host: &HostConfig) {
    if host.privileged {
        return;
    }
    let options: Vec<&str> = host.security_opt.iter().flatten().map(String::as_str).collect();
    let said = |word: &str| options.iter().any(|option| option.contains(word));
    if !said("seccomp") {
        assert!(spec["linux"]["seccomp"].is_object(), "no filter");
    }
    if host.masked_paths.is_none() && !said("systempaths") {
        assert!(spec["linux"]["maskedPaths"].as_array().is_some_and(|paths| paths.len() > 5));
    }
    if host.cap_add.iter().flatten().next().is_none() {
        let bounding = spec["process"]["capabilities"]["bounding"].as_array().map_or(0, Vec::len);
        assert!(bounding <= 14, "{bounding} capabilities");
    }
    assert!(spec["linux"]["resources"]["devices"][0]["allow"] == false, "devices are not denied");
}

/// `POST /containers/{id}/exec`.
fn exec(body: &[u8]) -> Result<(), Error> {
    let request: ExecRequest = decode(body)?;
    user::resolve(root(), &request.user, &[]).map(drop)
}

/// A root with names to be looked up.
fn root() -> &'static Path {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = tempfile::tempdir_in("/dev/shm").expect("a directory");
        std::fs::create_dir(root.path().join("etc")).expect("a directory");
        let users = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:100:u:/home:/bin/sh\n";
        std::fs::write(root.path().join("etc/passwd"), users).expect("a file");
        std::fs::write(root.path().join("etc/group"), "root:x:0:\nusers:x:100:user\n")
            .expect("a file");
        root
    })
    .path()
}

/// `POST /networks/create`: the bridge's name becomes a device's, and words of the packet filter.
fn network(body: &[u8]) -> Result<(), Error> {
    let wanted: NetworkSpec = decode(body)?;
    let mut state = State::default();
    spec::add_predefined(&mut state, &mut || Ok(HostFacts::default()))?;
    let facts = HostFacts { id: "0123456789abcdef".repeat(4), ..HostFacts::default() };
    let network = spec::plan(&wanted, &state, &facts)?;
    let bridge = Bridge::of(&network)?;
    for name in [&bridge.name, &bridge.prefix] {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        assert!((1..16).contains(&name.len()) && name.bytes().all(plain), "{name:?}");
    }
    assert!(bridge.ipv4.is_none_or(|net| net.prefix_len() <= 31));
    Ok(())
}

/// `POST /volumes/create`.
fn volume(body: &[u8]) -> Result<(), Error> {
    let wanted: Wanted = decode(body)?;
    if !wanted.name.is_empty() {
        let name = mounts::volume_name(&wanted.name)?;
        assert!(!name.contains('/') && name != "." && name != "..", "{name}");
    }
    check_options(&wanted.driver_opts)
}

/// `POST /containers/{id}/update`.
fn update(body: &[u8]) -> Result<(), Error> {
    let update: Update = decode(body)?;
    validate::resources(&update.resources)?;
    validate::restart(&update.restart_policy)
}

/// A query, and the filters in it.
fn parameters(body: &[u8]) -> Result<(), Error> {
    let text = String::from_utf8_lossy(body);
    for (key, value) in query(&text) {
        if key != "filters" {
            continue;
        }
        let filters = Filters::parse(&value)?;
        let _ = filters.flag("dangling");
        let _ = filters.one("until");
        filters.allow(&["label", "dangling", "until"])?;
        let _ = filters.labels(&[("a".to_owned(), "b".to_owned())].into());
    }
    Ok(())
}
