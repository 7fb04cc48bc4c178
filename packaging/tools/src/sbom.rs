//! The list of a program's parts (SBOM) as CycloneDX JSON (cyclonedx.org, "Specification", 1.5).
//!
//! From `cargo metadata`: the crates that the package depends on, macros included, without those
//! that only tests and build scripts use; and libraries that are no crates, which the caller
//! names. The same input gives the same bytes: no time, no random number.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Prints the list for `package`; `libraries` are `NAME@VERSION`.
///
/// # Errors
/// A file that is no output of `cargo metadata`, or no such package in it.
pub fn print(metadata: &Path, package: &str, libraries: &[&str]) -> Result<(), String> {
    let metadata: Value = serde_json::from_str(&crate::read(metadata)?)
        .map_err(|error| format!("{}: {error}", metadata.display()))?;
    let list =
        list(&metadata, package, libraries).ok_or_else(|| format!("no package {package}"))?;
    let text = serde_json::to_string_pretty(&list).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}

fn list(metadata: &Value, package: &str, libraries: &[&str]) -> Option<Value> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()?
        .iter()
        .filter_map(|it| Some((it["id"].as_str()?, it)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .filter_map(|it| Some((it["id"].as_str()?, it)))
        .collect();
    let (root, _) = packages.iter().find(|(_, it)| it["name"] == package)?;
    let mut linked = BTreeSet::new();
    let mut left = vec![*root];
    while let Some(id) = left.pop() {
        if linked.insert(id) {
            left.extend(nodes.get(id).into_iter().flat_map(|node| normal(node)));
        }
    }
    let mut components: Vec<Value> = linked
        .iter()
        .filter(|id| *id != root)
        .filter_map(|id| packages.get(id))
        .map(|it| component(it, "library"))
        .chain(libraries.iter().filter_map(|it| library(it)))
        .collect();
    components.sort_by_key(|it| it["purl"].to_string());
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages.get(root)?, "application")},
        "components": components,
    }))
}

/// The ids of what a node links: dependencies that are not for building or testing alone.
fn normal(node: &Value) -> impl Iterator<Item = &str> {
    let deps = node["deps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let linked = |dep: &&Value| {
        dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|it| it["kind"].is_null()))
    };
    deps.iter().filter(linked).filter_map(|dep| dep["pkg"].as_str())
}

/// A library that is no crate.
fn library(text: &str) -> Option<Value> {
    let (name, version) = text.split_once('@')?;
    let purl = format!("pkg:generic/{text}");
    Some(json!({"type": "library", "name": name, "version": version, "purl": purl}))
}

fn component(package: &Value, kind: &str) -> Value {
    let (name, version) = (&package["name"], &package["version"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut out = Map::new();
    out.insert("type".to_owned(), kind.into());
    out.insert("name".to_owned(), name.clone());
    out.insert("version".to_owned(), version.clone());
    out.insert("purl".to_owned(), format!("pkg:cargo/{}@{}", text(name), text(version)).into());
    if let Some(licence) = package["license"].as_str() {
        // Crates of old write `MIT/Apache-2.0`, which is no SPDX expression.
        let expression = licence.replace('/', " OR ");
        out.insert("licenses".to_owned(), json!([{"expression": expression}]));
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed() {
        let dep = |id, kind: Value| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        let package =
            |id: &str| json!({"id": id, "name": id, "version": "1", "license": "MIT/Apache-2.0"});
        let metadata = json!({
            "packages": [package("app"), package("a"), package("b"), package("t"), package("g")],
            "resolve": {"nodes": [
                {"id": "app", "deps": [
                    dep("a", Value::Null), dep("t", "dev".into()), dep("g", "build".into()),
                ]},
                {"id": "a", "deps": [dep("b", Value::Null)]},
                {"id": "b", "deps": []}, {"id": "t", "deps": []}, {"id": "g", "deps": []},
            ]},
        });
        let list = list(&metadata, "app", &["libx@2.1"]).unwrap();
        let names: Vec<_> =
            list["components"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["a", "b", "libx"]);
        assert_eq!(list["metadata"]["component"]["purl"], "pkg:cargo/app@1");
        assert_eq!(list["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert!(super::list(&metadata, "none", &[]).is_none());
    }
}
