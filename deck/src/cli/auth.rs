//! Credentials: in `config.json`, in plain or by a credential helper.

use super::settings::Settings;
use crate::{At, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Docker Hub's key in the file.
pub const HUB: &str = "https://index.docker.io/v1/";
/// What a helper names a user by that is really a token.
const TOKEN: &str = "<token>";

/// The key of an image's registry: the part before the first slash where that is a host.
pub fn registry_of(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => HUB.into(),
            host => host.to_owned(),
        },
        _ => HUB.into(),
    }
}

/// The key of a registry as `login` is given it.
pub fn registry_key(server: &str) -> String {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB.into(),
        host => host.to_owned(),
    }
}

/// The value of `X-Registry-Auth`.
///
/// # Errors
/// A credential helper failed.
pub fn header(settings: &Settings, registry: &str) -> Result<String> {
    let auth = find(settings, registry)?.unwrap_or_else(|| json!({}));
    Ok(URL_SAFE.encode(auth.to_string()))
}

/// What is known for a registry: `username`, `password`, `identitytoken`, `serveraddress`.
///
/// # Errors
/// A credential helper failed.
pub fn find(settings: &Settings, registry: &str) -> Result<Option<Value>> {
    if let Some(helper) = helper(settings, registry) {
        return from_helper(&helper, registry);
    }
    let Some(auths) = settings.values.get("auths").and_then(Value::as_object) else {
        return Ok(None);
    };
    // Keys may have been written with a scheme and a path.
    let entry = auths
        .get(registry)
        .or_else(|| auths.iter().find(|(key, _)| registry_key(key) == registry).map(|(_, v)| v));
    Ok(entry.and_then(|entry| decode(entry, registry)))
}

fn decode(entry: &Value, registry: &str) -> Option<Value> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let (mut user, mut password) = (text("username"), text("password"));
    if let Ok(bytes) = STANDARD.decode(text("auth"))
        && let Ok(pair) = String::from_utf8(bytes)
        && let Some((first, second)) = pair.split_once(':')
    {
        first.clone_into(&mut user);
        second.trim_end_matches('\0').clone_into(&mut password);
    }
    let token = text("identitytoken");
    if user.is_empty() && token.is_empty() {
        return None;
    }
    Some(json!({
        "username": user, "password": password, "identitytoken": token, "serveraddress": registry
    }))
}

/// The helper for a registry: one of its own, else the store for all.
fn helper(settings: &Settings, registry: &str) -> Option<String> {
    let own = settings.values.get("credHelpers").and_then(|map| map.get(registry)?.as_str());
    own.or_else(|| settings.text("credsStore")).map(str::to_owned)
}

/// Runs `docker-credential-<helper> <verb>`.
fn ask(helper: &str, verb: &str, input: &str) -> Result<(bool, String)> {
    let program = format!("docker-credential-{helper}");
    let what = || format!("run {program} {verb}");
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .at(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that doesn't read tells why in its answer.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().at(what)?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((output.status.success(), text))
}

fn from_helper(helper: &str, registry: &str) -> Result<Option<Value>> {
    let (success, text) = ask(helper, "get", registry)?;
    if !success {
        // The protocol's words for "none".
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(Error::internal(format!("docker-credential-{helper} get: {text}")));
    }
    let answer: Value = serde_json::from_str(&text).at(|| format!("docker-credential-{helper}"))?;
    let part = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let (user, secret) = (part("Username"), part("Secret"));
    Ok(Some(if user == TOKEN {
        json!({"identitytoken": secret, "serveraddress": registry})
    } else {
        json!({"username": user, "password": secret, "serveraddress": registry})
    }))
}

/// Keeps credentials; tells whether they lie in the file unencrypted.
///
/// # Errors
/// The helper failed, or the file can't be written.
pub fn store(settings: &mut Settings, registry: &str, auth: &Value) -> Result<bool> {
    let part = |key: &str| auth.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let (user, password, token) = (part("username"), part("password"), part("identitytoken"));
    if let Some(helper) = helper(settings, registry) {
        let (user, secret) =
            if token.is_empty() { (user, password) } else { (TOKEN.into(), token) };
        let entry = json!({"ServerURL": registry, "Username": user, "Secret": secret});
        let (success, text) = ask(&helper, "store", &entry.to_string())?;
        if !success {
            return Err(Error::internal(format!("docker-credential-{helper} store: {text}")));
        }
        return Ok(false);
    }
    let password = if token.is_empty() { password } else { String::new() };
    let mut entry = json!({"auth": STANDARD.encode(format!("{user}:{password}"))});
    if !token.is_empty() {
        entry["identitytoken"] = token.into();
    }
    let auths = settings.values.entry("auths").or_insert_with(|| Map::new().into());
    let Some(auths) = auths.as_object_mut() else {
        return Err(Error::invalid("config.json: auths is no object"));
    };
    auths.insert(registry.to_owned(), entry);
    settings.write()?;
    Ok(true)
}

/// Forgets credentials; tells whether there were any.
///
/// # Errors
/// The helper failed, or the file can't be written.
pub fn erase(settings: &mut Settings, registry: &str) -> Result<bool> {
    if let Some(helper) = helper(settings, registry) {
        let (success, text) = ask(&helper, "erase", registry)?;
        if !success && !text.contains("credentials not found") {
            return Err(Error::internal(format!("docker-credential-{helper} erase: {text}")));
        }
        return Ok(success);
    }
    let auths = settings.values.get_mut("auths").and_then(Value::as_object_mut);
    let Some(auths) = auths else { return Ok(false) };
    let before = auths.len();
    auths.retain(|key, _| key != registry && registry_key(key) != registry);
    let changed = auths.len() != before;
    if changed {
        settings.write()?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        assert_eq!(registry_of("nginx"), HUB);
        assert_eq!(registry_of("library/nginx:1"), HUB);
        assert_eq!(registry_of("docker.io/library/nginx"), HUB);
        assert_eq!(registry_of("quay.io/x"), "quay.io");
        assert_eq!(registry_of("localhost/x"), "localhost");
        assert_eq!(registry_of("h:5000/x"), "h:5000");
        assert_eq!(registry_key(""), HUB);
        assert_eq!(registry_key("https://quay.io/v2/"), "quay.io");
    }

    #[test]
    fn what_is_stored_is_found_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::read(directory.path().into()).unwrap();
        let auth = json!({"username": "me", "password": "a:b"});
        assert!(store(&mut settings, "quay.io", &auth).unwrap());
        let settings_again = Settings::read(directory.path().into()).unwrap();
        let found = find(&settings_again, "quay.io").unwrap().unwrap();
        assert_eq!(
            (found["username"].as_str(), found["password"].as_str()),
            (Some("me"), Some("a:b"))
        );
        assert!(find(&settings_again, "docker.io").unwrap().is_none());
        assert!(erase(&mut settings, "quay.io").unwrap());
        assert!(!erase(&mut settings, "quay.io").unwrap());
    }
}
