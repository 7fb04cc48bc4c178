//! Root file system and mounts (config.md).

use std::os::unix::fs::chown;

use serde_json::json;

use crate::case::{Case, Verdict, case, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, drops, reverses, sets};
use crate::needs::Need;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = root();
    all.extend(mounts());
    all.extend(idmaps());
    all
}

fn root() -> Vec<Case> {
    let refused = |name: &str, cite: &str, edit: fn(&mut Context)| {
        case(format!("mounts/{name}")).cites(cite).breaks(Break::Repair).runs(move |c| {
            edit(c);
            c.refused()
        })
    };
    vec![
        refused("root-missing", "config.md:33 this field is REQUIRED", |c| c.remove("/root")),
        refused("root-path-missing", "config.md:35 `path` (string, REQUIRED)", |c| {
            c.remove("/root/path");
        }),
        refused("root-path-of-nothing", "config.md:41 A directory MUST exist at the path", |c| {
            c.set("/root/path", "nowhere");
        }),
        refused("root-path-of-a-file", "config.md:41 A directory MUST exist at the path", |c| {
            c.set("/root/path", "config.json");
        }),
        case("mounts/root-readonly")
            .cites("config.md:43 the root filesystem MUST be read-only inside the container")
            .breaks(drops("/root/readonly"))
            .runs(|c| {
                c.set("/root/readonly", true);
                c.request(&["create:/file"]);
                equal("writing", c.observe()?.tried("create:/file").errno.as_str(), "EROFS")
            }),
        case("mounts/root-writable-by-default")
            .cites("config.md:43 defaults to false")
            .breaks(sets("/root/readonly", true))
            .runs(|c| {
                c.remove("/root/readonly");
                c.request(&["create:/file"]);
                equal("writing", c.observe()?.tried("create:/file").errno.as_str(), "")
            }),
        case("mounts/root-absolute-path")
            .cites("config.md:35 Specifies the path to the root filesystem")
            .breaks(sets("/root/path", "/nowhere"))
            .runs(|c| {
                let path = c.rootfs().display().to_string();
                c.set("/root/path", path);
                c.observe().map(drop)
            }),
        case("mounts/root-is-the-root")
            .cites("config.md:35 Specifies the path to the root filesystem")
            .breaks(sets("/root/path", "/"))
            .runs(|c| {
                c.request(&["stat:/probe", "list:/"]);
                let seen = c.observe()?;
                c.saw(format!("/ holds {}", seen.tried("list:/").value));
                ensure(seen.tried("stat:/probe").worked(), || "another root".into())
            }),
    ]
}

fn mounts() -> Vec<Case> {
    vec![
        case("mounts/listed-order")
            .cites("config.md:66 MUST mount entries in the listed order")
            .breaks(reverses("/mounts"))
            .runs(|c| {
                c.mount("/run", "tmpfs", "tmpfs", &[]);
                c.mount("/run/inner", "tmpfs", "tmpfs", &["size=1m"]);
                c.request(&["stat:/run/inner"]);
                let seen = c.observe()?;
                ensure(seen.tried("stat:/run/inner").worked(), || {
                    "the later mount is hidden below the earlier one".into()
                })
            }),
        case("mounts/destination-missing")
            .cites("config.md:70 `destination` (string, REQUIRED)")
            .breaks(Break::Repair)
            .runs(|c| {
                c.set("/mounts/-", json!({"type": "tmpfs", "source": "tmpfs"}));
                c.refused()
            }),
        case("mounts/destination-relative")
            .cites("config.md:72 it MUST be interpreted as relative to \"/\"")
            .breaks(sets("/mounts/4/destination", "/tmp"))
            .runs(|c| {
                c.set("/process/cwd", "/tmp");
                c.mount("run", "tmpfs", "tmpfs", &[]);
                let seen = c.observe()?;
                ensure(seen.mount("/run").is_some(), || "not mounted at /run".into())
            }),
        case("mounts/destination-is-made")
            .cites("config.md:70 Destination of mount point")
            .breaks(drops("/mounts/4"))
            .runs(|c| {
                c.mount("/made/on/the/way", "tmpfs", "tmpfs", &[]);
                let seen = c.observe()?;
                ensure(seen.mount("/made/on/the/way").is_some(), || "not mounted".into())
            }),
        case("mounts/options-of-the-file-system")
            .cites("config.md:166 pass those as a comma-separated string to the fifth")
            .cites("config.md:91 implement the following option strings")
            .breaks(drops("/mounts/4/options"))
            .runs(|c| {
                c.mount("/run", "tmpfs", "tmpfs", &["size=1m", "mode=0710", "nosuid"]);
                c.request(&["stat:/run"]);
                let seen = c.observe()?;
                let size = seen.mount("/run").is_some_and(|mount| mount.super_has("size=1024k"));
                ensure(size, || format!("{:?}", seen.mount("/run")))?;
                equal("mode", &seen.tried("stat:/run").value["mode"], &json!("0710"))
            }),
        case("mounts/unknown-file-system-option")
            .cites("config.md:760 MUST generate an error")
            .cites("runtime.md:59 MUST generate an error")
            .breaks(Break::Repair)
            .runs(|c| {
                c.mount("/run", "tmpfs", "tmpfs", &["no-such-option"]);
                c.create_refused()
            }),
        case("mounts/bind-of-a-file")
            .cites("runtime.md:113 All of the properties configured")
            .breaks(drops("/mounts/4"))
            .runs(|c| {
                let file = c.driver.dir.join("file");
                std::fs::write(&file, "from the host")?;
                c.mount("/etc/file", "none", &file.display().to_string(), &["bind", "ro"]);
                c.request(&["read:/etc/file", "write:/etc/file=x"]);
                let seen = c.observe()?;
                equal("text", &seen.tried("read:/etc/file").value, &json!("from the host"))?;
                equal("writing", seen.tried("write:/etc/file=x").errno.as_str(), "EROFS")
            }),
        case("mounts/bind-source-missing")
            .cites("runtime.md:59 MUST generate an error")
            .breaks(Break::Repair)
            .runs(|c| {
                c.mount("/run", "none", "/no/such/source", &["bind"]);
                c.create_refused()
            }),
        case("mounts/default-file-systems")
            .cites("config-linux.md:11 SHOULD be made available in each container's filesystem")
            .needs(Need::Root)
            .breaks(drops("/mounts/2"))
            .runs(|c| {
                c.namespace("network", None);
                c.mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]);
                let seen = c.observe()?;
                let wanted = [
                    ("/proc", "proc"),
                    ("/sys", "sysfs"),
                    ("/dev/pts", "devpts"),
                    ("/dev/shm", "tmpfs"),
                ];
                wanted.iter().try_for_each(|(target, fstype)| {
                    let found = seen.mount(target).map(|mount| mount.fstype.as_str());
                    equal(target, &found, &Some(*fstype))
                })
            }),
    ]
}

fn idmaps() -> Vec<Case> {
    let claim = || Need::Claim("/linux/mountExtensions/idmap/enabled", json!(true));
    let maps = json!([{"containerID": 0, "hostID": 2000, "size": 3000}]);
    let mapped = move |c: &mut Context, option: &str, bind: &str| -> Verdict {
        let source = c.host_tree("")?;
        for file in ["file", "below/file"] {
            let path = std::path::Path::new(&source).join(file);
            std::fs::write(&path, "")?;
            chown(path, Some(1000), Some(1000))?;
        }
        c.mount("/run", "none", &source, &[bind, option]);
        c.set("/mounts/4/uidMappings", maps.clone());
        c.set("/mounts/4/gidMappings", maps.clone());
        c.request(&["stat:/run/file", "stat:/run/below/file"]);
        let seen = c.observe()?;
        let owner = |request: &str| seen.tried(request).value["uid"].clone();
        equal("owner", &owner("stat:/run/file"), &json!(3000))?;
        let below = if option == "ridmap" { json!(3000) } else { json!(1000) };
        match bind {
            "rbind" => equal("owner below", &owner("stat:/run/below/file"), &below),
            _ => Ok(()),
        }
    };
    let ridmapped = mapped.clone();
    let mut all = vec![
        case("mounts/idmap")
            .cites("config.md:154 `idmap` | SHOULD")
            .cites("config.md:154.2 MUST have an idmapping applied")
            .cites("config.md:154.3 SHOULD NOT be passed to the underlying")
            .cites("config.md:154.4 the runtime MUST use those values for the mount's mapping")
            .needs(Need::Root)
            .needs(Need::Spec("1.2.0"))
            .needs(Need::Idmap)
            .needs(claim())
            .breaks(Break::All(vec![
                drops("/mounts/4/uidMappings"),
                drops("/mounts/4/gidMappings"),
                sets("/mounts/4/options", json!(["bind"])),
            ]))
            .runs(move |c| mapped(c, "idmap", "bind")),
        case("mounts/ridmap")
            .cites("config.md:155 `ridmap` | SHOULD")
            .cites("config.md:155.2 the mapping is applied recursively")
            .cites("config.md:155.3 SHOULD NOT be passed to the underlying")
            .cites("config.md:155.4 the runtime MUST use those values for the mount's mapping")
            .needs(Need::Root)
            .needs(Need::Spec("1.2.0"))
            .needs(Need::Idmap)
            .needs(claim())
            .breaks(sets("/mounts/4/options", json!(["rbind", "idmap"])))
            .runs(move |c| ridmapped(c, "ridmap", "rbind")),
    ];
    for (option, line) in [("idmap", 154), ("ridmap", 155)] {
        all.push(
            case(format!("mounts/{option}-without-mappings"))
                .cites(format!("config.md:{line}.5 otherwise an error MUST be returned"))
                .cites(format!("config.md:{line}.6 an error MUST be returned"))
                .needs(Need::Root)
                .needs(Need::Spec("1.2.0"))
                .breaks(Break::Repair)
                .runs(move |c| {
                    let source = c.host_tree("")?;
                    c.mount("/run", "none", &source, &["rbind", option]);
                    c.create_refused_with_mounts()
                }),
        );
    }
    all.extend([("uid", 190, "gidMappings"), ("gid", 195, "uidMappings")].map(
        |(kind, line, other)| {
            case(format!("mounts/{kind}-mappings-alone"))
                .cites(format!("config.md:{line}.2 MUST be specified along with `{other}`"))
                .needs(Need::Root)
                .needs(Need::Spec("1.2.0"))
                .breaks(Break::Repair)
                .runs(move |c| {
                    let source = c.host_tree("")?;
                    c.mount("/run", "none", &source, &["bind", "idmap"]);
                    let map = json!([{"containerID": 0, "hostID": 2000, "size": 3000}]);
                    c.set(&format!("/mounts/4/{kind}Mappings"), map);
                    c.create_refused_with_mounts()
                })
        },
    ));
    all.push(shape());
    all
}

/// The property is optional.
fn shape() -> Case {
    case("mounts/no-mounts")
        .cites("runtime.md:113 All of the properties configured")
        .breaks(sets("/mounts", json!([{"destination": "/run", "type": "tmpfs"}])))
        .runs(|c| {
            c.remove("/mounts");
            c.request(&["create:/run/x"]);
            let container = c.start()?;
            let seen = container.seen()?;
            if !seen.tried("create:/run/x").worked() {
                return fail("the root is not writable");
            }
            // In the root itself, so on the host too.
            ensure(c.rootfs().join("run/x").exists(), || "something is mounted at /run".into())
        })
}
