//! Credentials of `docker login`: Docker's config.json and its helpers, and podman's auth.json to
//! read.

use crate::error::{At, Error, Result};
use crate::image::reference::DEFAULT_REGISTRY;
use crate::image::types::Auth;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Docker's name of its own registry in these files.
const HUB: &str = "https://index.docker.io/v1/";
/// Largest file or helper's answer read.
const MAX: u64 = 4 << 20;

/// The registry a login names: without scheme and path, Docker's own for an empty one.
pub fn registry_of(address: &str) -> String {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY.to_owned(),
        host => host.to_owned(),
    }
}

/// The key of a registry in config.json.
fn key(registry: &str) -> &str {
    if registry == DEFAULT_REGISTRY { HUB } else { registry }
}

/// `$DOCKER_CONFIG/config.json`, or the home's.
fn docker_config() -> Option<PathBuf> {
    let dir = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    Some(dir.or_else(home)?.join("config.json"))
}

/// Files with `auths`, first found counts.
fn files() -> Vec<PathBuf> {
    let runtime = std::env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let podman = std::env::var_os("XDG_RUNTIME_DIR")
        .map(|dir| PathBuf::from(dir).join("containers/auth.json"));
    runtime.into_iter().chain(docker_config()).chain(podman).collect()
}

fn read(path: &Path) -> Result<Option<Value>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at(|| format!("open {}", path.display())),
    };
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text).at(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::invalid(format!("{}: {error}", path.display())))
}

/// The credentials of a registry, if there are any.
///
/// # Errors
/// A file is malformed, or a helper fails.
pub fn find(registry: &str) -> Result<Option<Auth>> {
    for path in files() {
        let Some(config) = read(&path)? else { continue };
        if let Some(helper) = helper(&config, registry) {
            return ask(&helper, key(registry));
        }
        if let Some(auth) = from_auths(&config, registry)? {
            return Ok(Some(auth));
        }
    }
    Ok(None)
}

/// The helper of a registry: its own, or that of all.
fn helper(config: &Value, registry: &str) -> Option<String> {
    let own = config.get("credHelpers").and_then(|helpers| {
        helpers.get(key(registry)).or_else(|| helpers.get(registry)).and_then(Value::as_str)
    });
    let name = own.or_else(|| config.get("credsStore").and_then(Value::as_str))?;
    // A name, not a path: it completes `docker-credential-`.
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && !name.is_empty()).then(|| name.to_owned())
}

fn from_auths(config: &Value, registry: &str) -> Result<Option<Auth>> {
    let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(None) };
    let entry = auths
        .get(key(registry))
        .or_else(|| auths.iter().find(|(name, _)| registry_of(name) == registry).map(|(_, e)| e));
    let Some(entry) = entry else { return Ok(None) };
    decode(entry, registry).map(Some)
}

fn decode(entry: &Value, registry: &str) -> Result<Auth> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut auth = Auth {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
        server_address: registry.to_owned(),
    };
    let encoded = text("auth");
    if !encoded.is_empty() {
        let malformed = || Error::invalid(format!("credentials of {registry}: malformed auth"));
        let decoded = STANDARD.decode(&encoded).map_err(|_| malformed())?;
        let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
        user.clone_into(&mut auth.username);
        password.trim_end_matches('\0').clone_into(&mut auth.password);
    }
    Ok(auth)
}

/// Runs a helper with something on its input; secrets never are arguments.
fn run(helper: &str, verb: &str, input: &str) -> Result<(bool, String)> {
    let program = format!("docker-credential-{helper}");
    let at = || program.clone();
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at(at)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that reads nothing answers all the same.
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX).read_to_end(&mut answer).at(at)?;
    }
    let status = child.wait().at(at)?;
    Ok((status.success(), String::from_utf8_lossy(&answer).into_owned()))
}

fn ask(helper: &str, key: &str) -> Result<Option<Auth>> {
    let (good, answer) = run(helper, "get", key)?;
    if !good {
        if answer.contains("credentials not found") {
            return Ok(None);
        }
        let reason: String = answer.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(Error::internal(format!("docker-credential-{helper}: {reason}")));
    }
    let value: Value = serde_json::from_str(&answer)
        .map_err(|error| Error::internal(format!("docker-credential-{helper}: {error}")))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (username, secret) = (text("Username"), text("Secret"));
    let server_address = key.to_owned();
    // Docker's convention for a secret that is a refresh token.
    Ok(Some(if username == "<token>" {
        Auth { identity_token: secret, server_address, ..Auth::default() }
    } else {
        Auth { username, password: secret, server_address, ..Auth::default() }
    }))
}

/// Keeps credentials after a login, with the helper that is configured or in config.json; true if
/// they are stored readable.
///
/// # Errors
/// The file can't be written, or the helper fails.
pub fn store(auth: &Auth) -> Result<bool> {
    let registry = registry_of(&auth.server_address);
    let path = docker_config().ok_or_else(|| Error::internal("neither DOCKER_CONFIG nor HOME"))?;
    let mut config = read(&path)?.unwrap_or_else(|| json!({}));
    let key = key(&registry);
    if let Some(helper) = helper(&config, &registry) {
        let token = !auth.identity_token.is_empty();
        let entry = json!({
            "ServerURL": key,
            "Username": if token { "<token>" } else { &auth.username },
            "Secret": if token { &auth.identity_token } else { &auth.password },
        });
        let (good, answer) = run(&helper, "store", &entry.to_string())?;
        return if good {
            Ok(false)
        } else {
            Err(Error::internal(format!("docker-credential-{helper}: {}", answer.trim())))
        };
    }
    let pair = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
    let mut entry = json!({"auth": pair});
    if !auth.identity_token.is_empty() {
        let user = STANDARD.encode(format!("{}:", auth.username));
        entry = json!({"auth": user, "identitytoken": auth.identity_token});
    }
    let malformed = || Error::invalid(format!("{}: not an object", path.display()));
    let auths = config
        .as_object_mut()
        .ok_or_else(malformed)?
        .entry("auths")
        .or_insert_with(|| Value::Object(Map::new()));
    auths.as_object_mut().ok_or_else(malformed)?.insert(key.to_owned(), entry);
    write(&path, &config)?;
    Ok(true)
}

/// Forgets the credentials of a registry; false if there were none.
///
/// # Errors
/// The file can't be written.
pub fn erase(registry: &str) -> Result<bool> {
    let registry = registry_of(registry);
    let Some(path) = docker_config() else { return Ok(false) };
    let Some(mut config) = read(&path)? else { return Ok(false) };
    let mut found = false;
    if let Some(helper) = helper(&config, &registry) {
        found = run(&helper, "erase", key(&registry))?.0;
    }
    if let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) {
        let before = auths.len();
        auths.retain(|name, _| registry_of(name) != registry);
        if auths.len() != before {
            found = true;
            write(&path, &config)?;
        }
    }
    Ok(found)
}

/// Writes beside and renames: nobody reads a half of it, and only the user reads it.
fn write(path: &Path, config: &Value) -> Result<()> {
    let at = || format!("write {}", path.display());
    let dir = path.parent().ok_or_else(|| Error::internal("config.json without a directory"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).at(at)?;
    // A link stays one: its target is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = path.with_extension(format!("json.{}", std::process::id()));
    let text = serde_json::to_vec_pretty(config)
        .map_err(|error| Error::internal(format!("config.json: {error}")))?;
    let result = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, &path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_docker_are_found() {
        let config = json!({
            "auths": {
                "https://index.docker.io/v1/": {"auth": STANDARD.encode("u:p:q")},
                "https://r.example/v2/": {"username": "a", "password": "b"},
            },
            "credHelpers": {"h.example": "pass", "bad.example": "../x"},
        });
        let hub = from_auths(&config, "docker.io").unwrap().unwrap();
        assert_eq!((hub.username.as_str(), hub.password.as_str()), ("u", "p:q"));
        assert_eq!(from_auths(&config, "r.example").unwrap().unwrap().username, "a");
        assert!(from_auths(&config, "other.example").unwrap().is_none());
        assert_eq!(helper(&config, "h.example").as_deref(), Some("pass"));
        assert_eq!(helper(&config, "bad.example"), None);
        assert!(decode(&json!({"auth": "!"}), "x").is_err());
        assert_eq!(registry_of("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(registry_of("r.example:5000"), "r.example:5000");
    }
}
