//! Events: kept in the database so that every process sees every one's.

use super::filter::Filters;
use super::record::Container;
use super::{Engine, time};
use crate::error::Result;
use crate::store::records;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An event, as `GET /events` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The action again, as old clients read it; containers and images only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// See `status`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// See `status`: the container's image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// `container`, `image`, `volume`, `network`, `daemon`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `create`, `start`, `die`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// What it happened to.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// `local`.
    pub scope: String,
    /// Seconds.
    pub time: i64,
    /// Nanoseconds.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What an event happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its id or name.
    #[serde(rename = "ID")]
    pub id: String,
    /// More about it: name, image, labels, exit code, …
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// An event of now.
    pub fn new(kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) -> Self {
        let time_nano = time::now();
        let legacy = matches!(kind, "container" | "image");
        let text = |text: &str| if legacy { text.to_string() } else { String::new() };
        Self {
            status: text(action),
            id: text(id),
            from: match kind {
                "container" => attributes.get("image").cloned().unwrap_or_default(),
                _ => String::new(),
            },
            kind: kind.into(),
            action: action.into(),
            actor: Actor { id: id.into(), attributes },
            scope: "local".into(),
            time: time_nano / time::SECOND,
            time_nano,
        }
    }

    /// Whether filters let it through.
    pub fn matches(&self, filters: &Filters) -> bool {
        let attribute = |key: &str| self.actor.attributes.get(key).map_or("", String::as_str);
        let named = |kind: &str| {
            filters.get(kind).is_empty()
                || (self.kind == kind
                    && filters.get(kind).iter().any(|wanted| {
                        self.actor.id == *wanted
                            || attribute("name") == wanted
                            || (wanted.len() >= 12 && self.actor.id.starts_with(wanted.as_str()))
                    }))
        };
        let action = self.action.split(':').next().unwrap_or_default();
        let any = |key: &str, test: &dyn Fn(&str) -> bool| {
            let wanted = filters.get(key);
            wanted.is_empty() || wanted.iter().any(|wanted| test(wanted))
        };
        any("event", &|wanted| wanted == self.action || wanted == action)
            && any("type", &|wanted| wanted == self.kind)
            && any("scope", &|wanted| wanted == self.scope)
            && filters.labels(&self.actor.attributes)
            && named("container")
            && named("volume")
            && named("network")
            && named("daemon")
            && any("image", &|wanted| {
                let image =
                    if self.kind == "image" { attribute("name") } else { attribute("image") };
                image == wanted
                    || image.split(':').next() == Some(wanted)
                    || (self.kind == "image" && self.actor.id == wanted)
            })
    }
}

impl Engine {
    /// Records an event and tells everybody. An event that can't be kept is lost, not an error:
    /// what it tells of has happened.
    pub(crate) fn emit(&self, event: &Event) {
        drop(records::add_event(&self.database(), event.time_nano, event));
        self.changes.mark();
    }

    /// Records an event of a container, with what Docker tells about one, and `more`.
    pub(crate) fn emit_container(
        &self,
        container: &Container,
        action: &str,
        more: &[(&str, &str)],
    ) {
        let mut attributes = container.config.labels.clone();
        attributes.insert("image".into(), container.config.image.clone());
        attributes.insert("name".into(), container.name.clone());
        for (key, value) in more {
            attributes.insert((*key).into(), (*value).into());
        }
        self.emit(&Event::new("container", action, &container.id, attributes));
    }

    /// Events after `seq` and not before `since`, oldest first, with their numbers.
    ///
    /// # Errors
    /// The database fails.
    pub fn events(&self, seq: i64, since: i64) -> Result<Vec<(i64, Event)>> {
        records::events(&self.database(), seq, since)
    }

    /// The newest event's number.
    ///
    /// # Errors
    /// The database fails.
    pub fn last_event(&self) -> Result<i64> {
        records::last_event(&self.database())
    }

    /// What changes of the records come to.
    ///
    /// # Errors
    /// inotify can't be had.
    pub fn subscribe(&self) -> Result<tokio::sync::watch::Receiver<()>> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose() {
        let attributes = BTreeMap::from([
            ("name".to_string(), "web".to_string()),
            ("image".to_string(), "nginx:1".to_string()),
            ("tier".to_string(), "front".to_string()),
        ]);
        let event = Event::new("container", "health_status: healthy", "abc", attributes);
        assert_eq!(event.from, "nginx:1");
        let matches = |json: &str| event.matches(&Filters::parse(json).unwrap());
        assert!(matches(""));
        assert!(matches(r#"{"container":["web"],"event":["health_status"]}"#));
        assert!(matches(r#"{"image":["nginx"],"label":["tier=front"]}"#));
        assert!(!matches(r#"{"label":["tier=back"]}"#));
        assert!(!matches(r#"{"network":["web"]}"#));
        assert!(!matches(r#"{"type":{"image":true}}"#));
    }
}
