//! `inspect`, of anything and of one kind.

use crate::cli::client::{Call, escape};
use crate::cli::commands::image;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::format::{Template, truth};
use crate::cli::json::indent;
use crate::cli::output::{line, note};
use crate::cli::session::Session;
use crate::{At, Error};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// What there is to inspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Containers.
    Container,
    /// Images.
    Image,
    /// Networks.
    Network,
    /// Volumes.
    Volume,
}

/// Options of `inspect`.
#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    only: Only,
    /// Only objects of this kind
    #[arg(long, value_name = "KIND")]
    r#type: Option<Kind>,
}

/// Options of `container inspect` and the like.
#[derive(Args)]
pub struct Only {
    /// Go template, or json
    #[arg(short, long)]
    format: Option<String>,
    /// Show sizes of containers
    #[arg(short, long)]
    size: bool,
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Runs `inspect`.
pub async fn inspect(session: &Session, args: Inspect) -> Outcome {
    if let Some(kind) = args.r#type {
        return only(session, args.only, kind).await;
    }
    let kinds = [Kind::Container, Kind::Image, Kind::Network, Kind::Volume];
    all(session, args.only, &kinds).await
}

/// Runs `inspect` of one kind.
pub async fn only(session: &Session, args: Only, kind: Kind) -> Outcome {
    all(session, args, &[kind]).await
}

async fn all(session: &Session, args: Only, kinds: &[Kind]) -> Outcome {
    let template = match args.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::new("{{json .}}").map_err(Failure::new)?),
        Some(text) => Some(Template::new(text).map_err(Failure::new)?),
    };
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for name in &args.names {
        match raw(session, name, kinds, args.size).await {
            Ok((kind, text)) => match &template {
                None => found.push(text),
                Some(template) => {
                    let value: Value = serde_json::from_str(&text).at(|| "the engine's answer")?;
                    match render(template, kind, &value) {
                        Ok(text) => line(text)?,
                        Err(error) => errors.push(error),
                    }
                }
            },
            Err(error) => errors.push(error.message),
        }
    }
    if template.is_none() {
        line(indent(&format!("[{}]", found.join(",")), ""))?;
    } else if !errors.is_empty() && args.names.len() == errors.len() {
        line("")?;
    }
    for error in errors.split_last().map(|(_, others)| others).unwrap_or_default() {
        note(format!("deck: {error}"));
    }
    errors.pop().map_or(Ok(()), |last| Err(Failure::new(last)))
}

/// What a template makes of an object. Docker's client reads an image's configuration into the
/// OCI's type, and turns to the engine's own words when the template asks for more than that has.
fn render(template: &Template, kind: Kind, value: &Value) -> Result<String, String> {
    if kind == Kind::Image && value["Config"].is_object() {
        let mut typed = value.clone();
        typed["Config"] = image_config(&value["Config"]);
        if let Ok(text) = template.render(&typed) {
            return Ok(text);
        }
    }
    template.render(value)
}

/// An image's configuration with the fields of the OCI and Docker's three, of which those that are
/// empty are left out, in that type's order.
fn image_config(config: &Value) -> Value {
    const FIELDS: [&str; 13] = [
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "Volumes",
        "WorkingDir",
        "Labels",
        "StopSignal",
        "ArgsEscaped",
        "Healthcheck",
        "OnBuild",
        "Shell",
    ];
    let kept = FIELDS.into_iter().filter_map(|name| {
        let value = config.get(name).filter(|value| truth(value))?;
        Some((name.to_owned(), value.clone()))
    });
    Value::Object(kept.collect())
}

/// The first object of that name, and what it is.
async fn raw(
    session: &Session,
    name: &str,
    kinds: &[Kind],
    size: bool,
) -> crate::Result<(Kind, String)> {
    for &kind in kinds {
        let call = match kind {
            Kind::Container => {
                Call::get(&format!("/containers/{}/json", escape(name))).flag("size", size)
            }
            Kind::Image => Call::get(&format!("{}/json", image::path(name))),
            Kind::Network => Call::get(&format!("/networks/{}", escape(name))),
            Kind::Volume => Call::get(&format!("/volumes/{}", escape(name))),
        };
        match session.client.bytes(call).await {
            Ok(bytes) => return Ok((kind, String::from_utf8_lossy(&bytes).into_owned())),
            // The next kind may know the name, or find it malformed.
            Err(error) if kinds.len() > 1 && matches!(error.status, 400 | 404) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::not_found(format!("Error: No such object: {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_images_configuration_is_the_ocis() {
        let value = json!({"Config": {
            "Hostname": "", "User": "", "Env": ["A=b"], "Cmd": null, "Image": "x",
            "Labels": {"a": "b"}, "OnBuild": null
        }});
        let show = |text: &str| render(&Template::new(text).unwrap(), Kind::Image, &value);
        let config = r#"{"Env":["A=b"],"Labels":{"a":"b"}}"#;
        assert_eq!(show("{{json .Config}}").unwrap(), config);
        assert_eq!(show("{{.Config.Cmd}}{{.Config.User}}").unwrap(), "[]");
        assert_eq!(show("{{.Config.Image}}").unwrap(), "x");
        assert!(show("{{.Config.Nope}}").is_err());
    }
}
