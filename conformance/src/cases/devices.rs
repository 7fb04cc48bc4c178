//! Devices and /dev (config-linux.md, runtime-linux.md).

use serde_json::{Value, json};

use crate::case::{Case, Verdict, case, ensure, equal};
use crate::context::Context;
use crate::mutant::{Break, drops, sets};
use crate::needs::Need;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = made();
    all.extend(refused());
    all.extend(supplied());
    all.extend(allowed());
    all
}

fn device(path: &str, kind: &str, major: u32, minor: u32) -> Value {
    json!({"path": path, "type": kind, "major": major, "minor": minor, "fileMode": 0o600,
        "uid": 0, "gid": 0})
}

fn stat(c: &mut Context, path: &str) -> Result<Value, crate::case::Stop> {
    let request = format!("stat:{path}");
    c.request(&[&request]);
    let tried = c.observe()?.tried(&request);
    c.saw(format!("{path}: {} {}", tried.errno, tried.value));
    ensure(tried.worked(), || format!("{path}: {}", tried.errno))?;
    Ok(tried.value)
}

fn made() -> Vec<Case> {
    const CITE: &str = "config-linux.md:127 lists devices that MUST be available";
    let kinds = [("c", 1, 5), ("u", 1, 7), ("b", 7, 0)];
    let mut all: Vec<Case> = kinds
        .map(|(kind, major, minor)| {
            case(format!("devices/type-{kind}"))
                .cites(CITE)
                .needs(Need::Root)
                .breaks(drops("/linux/devices"))
                .runs(move |c| {
                    c.set("/linux/devices", json!([device("/dev/made", kind, major, minor)]));
                    let seen = stat(c, "/dev/made")?;
                    let shown = if kind == "u" { "c" } else { kind };
                    equal("type", &seen["kind"], &json!(shown))?;
                    equal("number", &seen["device"], &json!(format!("{major}:{minor}")))
                })
        })
        .into();
    all.extend([
        case("devices/type-p")
            .cites(CITE)
            .cites("config-linux.md:137 REQUIRED unless `type` is `p`")
            .needs(Need::Root)
            .breaks(drops("/linux/devices"))
            .runs(|c| {
                c.set("/linux/devices", json!([{"path": "/dev/pipe", "type": "p"}]));
                equal("type", &stat(c, "/dev/pipe")?["kind"], &json!("p"))
            }),
        case("devices/mode-and-owner")
            .cites(CITE)
            .needs(Need::Root)
            .breaks(drops("/linux/devices/0/fileMode"))
            .runs(|c| {
                let mut made = device("/dev/made", "c", 1, 3);
                made["fileMode"] = json!(0o640);
                made["uid"] = json!(12);
                made["gid"] = json!(34);
                c.set("/linux/devices", json!([made]));
                let seen = stat(c, "/dev/made")?;
                equal("mode", &seen["mode"], &json!("0640"))?;
                equal("owner", &(&seen["uid"], &seen["gid"]), &(&json!(12), &json!(34)))
            }),
        case("devices/path-outside-dev")
            .cites("config-linux.md:134 full path to device inside container")
            .needs(Need::Root)
            .breaks(drops("/linux/devices"))
            .runs(|c| {
                c.set("/linux/devices", json!([device("/etc/deep/er/null", "c", 1, 3)]));
                equal("number", &stat(c, "/etc/deep/er/null")?["device"], &json!("1:3"))
            }),
        case("devices/in-user-namespace")
            .cites(CITE)
            .needs(Need::Root)
            .breaks(drops("/linux/devices"))
            .runs(|c| {
                c.user_namespace(100_000, 65_536);
                c.set(
                    "/linux/devices",
                    json!([{
                        "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11,
                    }]),
                );
                equal("number", &stat(c, "/dev/kmsg")?["device"], &json!("1:11"))
            }),
    ]);
    all
}

fn refused() -> Vec<Case> {
    const OTHER: &str = "config-linux.md:135 does not match the requested device";
    const NUMBERS: &str = "config-linux.md:137 `major, minor` (int64, REQUIRED";
    let bad = |name: &str, cite: &str, device: Value| {
        let start = case(format!("devices/{name}")).cites(cite).needs(Need::Root);
        // What to do without a required property is not said.
        let start = if name.ends_with("missing") { start.advice() } else { start };
        start.breaks(Break::Repair).runs(move |c| {
            std::fs::write(c.rootfs().join("etc/file"), "")?;
            c.set("/linux/devices", json!([device]));
            c.create_refused()
        })
    };
    vec![
        bad(
            "type-missing",
            "config-linux.md:132 `type` (string, REQUIRED)",
            json!({
            "path": "/dev/made", "major": 1, "minor": 3}),
        ),
        bad(
            "type-unknown",
            "config.md:760 invalid or unsupported values",
            json!({
            "path": "/dev/made", "type": "x", "major": 1, "minor": 3}),
        ),
        bad(
            "path-missing",
            "config-linux.md:134 `path` (string, REQUIRED)",
            json!({
            "type": "c", "major": 1, "minor": 3}),
        ),
        bad("numbers-missing", NUMBERS, json!({"path": "/dev/made", "type": "c"})),
        bad("major-missing", NUMBERS, json!({"path": "/dev/made", "type": "c", "minor": 3})),
        bad("path-of-a-file", OTHER, device("/etc/file", "c", 1, 3)),
        bad("path-of-a-directory", OTHER, device("/etc", "c", 1, 3)),
    ]
}

/// Default devices and the links of runtime-linux.md.
fn supplied() -> Vec<Case> {
    const CITE: &str = "config-linux.md:180 the runtime MUST also supply";
    let devices = [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ];
    let mut all: Vec<Case> = devices
        .map(|(name, number)| {
            case(format!("devices/default-{name}")).cites(CITE).breaks(replaced(name)).runs(
                move |c| {
                    let path = format!("/dev/{name}");
                    let seen = stat(c, &path)?;
                    equal("type", &seen["kind"], &json!("c"))?;
                    equal("number", &seen["device"], &json!(number))?;
                    equal("mode", &seen["mode"], &json!("0666"))
                },
            )
        })
        .into();
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    all.extend(links.map(|(name, target)| {
        case(format!("devices/link-{name}"))
            .cites("runtime-linux.md:11 runtimes MUST create the following symlinks")
            .breaks(replaced(name))
            .runs(move |c| {
                let seen = stat(c, &format!("/dev/{name}"))?;
                equal("target", &seen["link"], &json!(target))
            })
    }));
    all.push(case("devices/default-ptmx").cites(CITE).breaks(drops("/mounts/2")).runs(|c| {
        c.request(&["stat:/dev/ptmx", "openrw:/dev/ptmx"]);
        let seen = c.observe()?;
        let found = seen.tried("stat:/dev/ptmx").value;
        let link = ["pts/ptmx", "/dev/pts/ptmx"].iter().any(|path| found["link"] == **path);
        ensure(link || found["device"] == "5:2", || format!("/dev/ptmx is {found}"))?;
        equal("opening it", seen.tried("openrw:/dev/ptmx").errno.as_str(), "")
    }));
    all.push(
        case("devices/default-console").cites(CITE).breaks(Break::Refuse("create".into())).runs(
            |c| {
                c.request(&["stat:/dev/console"]);
                let seen = c.observe()?.tried("stat:/dev/console");
                // Only with a terminal is it bound to one.
                ensure(!seen.worked() || seen.value["kind"] != "link", || seen.value.to_string())
            },
        ),
    );
    all
}

/// Something else is supplied in its place.
fn replaced(name: &str) -> Break {
    sets("/linux/devices/-", json!({"path": format!("/dev/{name}"), "type": "p"}))
}

/// The device list of the control group. No driver has the number tried: ENXIO is access granted.
fn allowed() -> Vec<Case> {
    let deny = || json!({"allow": false, "access": "rwm"});
    vec![
        case("devices/allow-list-denies")
            .cites("config-linux.md:405 MUST apply entries in the listed order")
            .needs(Need::Root)
            .breaks(sets("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}])))
            .runs(move |c| {
                c.set("/linux/devices", json!([device("/dev/made", "c", 240, 77)]));
                c.set("/linux/resources/devices", json!([deny()]));
                access(c, "EPERM")
            }),
        case("devices/allow-list-later-entry")
            .cites("config-linux.md:405 MUST apply entries in the listed order")
            .cites("config-linux.md:409 whether the entry is allowed or denied")
            .needs(Need::Root)
            .breaks(Break::Reverse("/linux/resources/devices".into()))
            .runs(move |c| {
                c.set("/linux/devices", json!([device("/dev/made", "c", 240, 77)]));
                let allow =
                    json!({"allow": true, "type": "c", "major": 240, "minor": 77, "access": "rwm"});
                c.set("/linux/resources/devices", json!([deny(), allow]));
                access(c, "ENXIO")
            }),
        case("devices/allow-missing")
            .cites("config-linux.md:409 `allow` (boolean, REQUIRED)")
            .advice()
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/linux/resources/devices", json!([{"access": "rwm"}]));
                c.create_refused()
            }),
        case("devices/defaults-stay-usable")
            .cites("config-linux.md:180 the runtime MUST also supply")
            .needs(Need::Root)
            .breaks(sets("/linux/devices/-", device("/dev/full", "c", 240, 77)))
            .runs(move |c| {
                c.set("/linux/resources/devices", json!([deny()]));
                c.request(&["openrw:/dev/null", "open:/dev/zero", "openrw:/dev/full"]);
                let seen = c.observe()?;
                seen.tries
                    .iter()
                    .try_for_each(|(request, tried)| equal(request, tried.errno.as_str(), ""))
            }),
    ]
}

fn access(c: &mut Context, errno: &str) -> Verdict {
    c.request(&["open:/dev/made"]);
    equal("opening the device", c.observe()?.tried("open:/dev/made").errno.as_str(), errno)
}
