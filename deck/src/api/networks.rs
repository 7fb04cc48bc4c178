//! `/networks/…`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::route::not_found;
use crate::engine::filter::Filters;
use crate::error::Result;
use crate::net::{EndpointSettings, NetworkSpec};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

/// The body of connect and disconnect.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Connection {
    container: String,
    force: bool,
    endpoint_config: EndpointSettings,
}

/// Routes of networks.
pub async fn route(mut call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    let engine = call.engine.clone();
    match (&method, path) {
        (&Method::GET, []) => {
            let filters = Filters::parse(&call.text("filters"))?;
            answer::ok(&blocking(move || engine.list_networks(&filters)).await?)
        }
        (&Method::POST, ["create"]) => {
            let spec: NetworkSpec = call.json().await?;
            let network = blocking(move || engine.create_network(&spec)).await?;
            answer::created(&json!({ "Id": network.id, "Warning": "" }))
        }
        (&Method::POST, ["prune"]) => {
            let filters = Filters::parse(&call.text("filters"))?;
            let names = blocking(move || engine.prune_networks(&filters)).await?;
            let names = (!names.is_empty()).then_some(names);
            answer::ok(&json!({ "NetworksDeleted": names }))
        }
        (&Method::GET, [name]) => {
            let name = name.to_string();
            answer::ok(&blocking(move || engine.networks.inspect(&name)).await?)
        }
        (&Method::DELETE, [name]) => {
            let name = name.to_string();
            blocking(move || engine.remove_network(&name)).await?;
            Ok(answer::no_content())
        }
        (&Method::POST, [name, "connect"]) => {
            let name = name.to_string();
            let asked: Connection = call.json().await?;
            blocking(move || {
                engine.connect_network(&name, &asked.container, asked.endpoint_config)
            })
            .await?;
            Ok(answer::empty(StatusCode::OK))
        }
        (&Method::POST, [name, "disconnect"]) => {
            let name = name.to_string();
            let asked: Connection = call.json().await?;
            blocking(move || engine.disconnect_network(&name, &asked.container, asked.force))
                .await?;
            Ok(answer::empty(StatusCode::OK))
        }
        _ => Err(not_found()),
    }
}
