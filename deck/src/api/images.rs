//! `/images/…`, `/commit`, `/build`.

use super::answer::{self, Answer};
use super::blocking;
use super::call::Call;
use super::route::not_found;
use super::streams::{ChannelWriter, body_reader};
use crate::engine::changes::{Asked, joined};
use crate::engine::filter::Filters;
use crate::engine::images::Imported;
use crate::error::{Error, Result};
use crate::image::{Auth, Image, Platform, Progress, Reference, Sink};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// `X-Registry-Auth`: with or without padding.
const AUTH: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Routes of images; names hold slashes.
pub async fn route(call: Call, path: &[&str]) -> Result<Answer> {
    let method = call.method().clone();
    let engine = call.engine.clone();
    match (&method, path) {
        (&Method::GET, ["json"]) => {
            let filters = Filters::parse(&call.text("filters"))?;
            let (all, shared) = (call.flag("all"), call.flag("shared-size"));
            let version = call.version;
            answer::ok(&blocking(move || engine.list_images(&filters, all, shared, version)).await?)
        }
        (&Method::GET, ["search"]) => search(call).await,
        (&Method::POST, ["create"]) => create(call).await,
        (&Method::POST, ["load"]) => load(call).await,
        (&Method::GET, ["get"]) => save(&call, None),
        (&Method::POST, ["prune"]) => {
            let filters = Filters::parse(&call.text("filters"))?;
            answer::ok(&blocking(move || engine.prune_images(&filters)).await?)
        }
        (&Method::GET, [name @ .., "json"]) => {
            let name = name.join("/");
            answer::ok(&blocking(move || engine.inspect_image(&name)).await?)
        }
        (&Method::GET, [name @ .., "history"]) => {
            let name = name.join("/");
            answer::ok(&blocking(move || engine.images.history(&name)).await?)
        }
        (&Method::GET, [name @ .., "get"]) => {
            let name = name.join("/");
            save(&call, Some(name))
        }
        (&Method::POST, [name @ .., "push"]) => push(call, &name.join("/")).await,
        (&Method::POST, [name @ .., "tag"]) => {
            let image = name.join("/");
            let name = joined(&call.text("repo"), &call.text("tag"))?;
            let name = name.parse::<Reference>()?.or_latest();
            blocking(move || engine.tag_image(&image, &name)).await?;
            Ok(answer::empty(StatusCode::CREATED))
        }
        (&Method::DELETE, name @ [_, ..]) => {
            let name = name.join("/");
            let (force, prune) = (call.flag("force"), !call.flag("noprune"));
            answer::ok(&blocking(move || engine.remove_image(&name, force, prune)).await?)
        }
        _ => Err(not_found()),
    }
}

/// Credentials of a request's header.
fn auth(call: &Call) -> Result<Option<Auth>> {
    let Some(text) = call.header("x-registry-auth").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bad = || Error::invalid("X-Registry-Auth: not base64 of JSON");
    let bytes = AUTH.decode(text.replace('+', "-").replace('/', "_")).map_err(|_| bad())?;
    let auth: Auth = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    Ok((auth != Auth::default()).then_some(auth))
}

/// `linux/arm64`, or the JSON of API 1.48.
pub fn platform(call: &Call) -> Result<Option<Platform>> {
    match call.param("platform") {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with('{') => super::call::decode(text.as_bytes()).map(Some),
        Some(text) => text.parse().map(Some),
    }
}

/// How an error is told that comes before any progress.
#[derive(Clone, Copy)]
enum Early {
    /// As the answer.
    Answer,
    /// As a line like any later one: clients look there alone.
    Line,
}

/// Answers with lines of progress while work is done; an error is the last line.
async fn progress<F, Fut>(early: Early, work: F) -> Result<Answer>
where
    F: FnOnce(Sink) -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    // Progress never waits for a slow client; layers tell a few lines each.
    let (tell, mut lines) = mpsc::unbounded_channel::<Value>();
    let sink: Sink = Arc::new(move |step: Progress| drop(tell.send(step.to_json())));
    let mut worker = tokio::spawn(work(sink));
    let Some(first) = lines.recv().await else {
        let done =
            worker.await.map_err(|error| Error::internal(format!("a worker died: {error}")))?;
        let body = match (early, done) {
            (_, Ok(())) => Bytes::new(),
            (Early::Answer, Err(error)) => return Err(error),
            (Early::Line, Err(error)) => error_line(&error),
        };
        return Ok(answer::bytes(StatusCode::OK, "application/json", body));
    };
    let (sender, body) = answer::channel();
    tokio::spawn(async move {
        let mut next = Some(first);
        while let Some(line) = next {
            if sender.send(Bytes::from(format!("{line}\r\n"))).await.is_err() {
                // Nobody wants it any more.
                worker.abort();
                return;
            }
            next = lines.recv().await;
        }
        if let Ok(Err(error)) = (&mut worker).await {
            drop(sender.send(error_line(&error)).await);
        }
    });
    Ok(answer::stream("application/json", body))
}

/// An error among lines of progress.
fn error_line(error: &Error) -> Bytes {
    let line = json!({ "errorDetail": { "message": error.message }, "error": error.message });
    Bytes::from(format!("{line}\r\n"))
}

/// Pull, or import with `fromSrc`.
async fn create(call: Call) -> Result<Answer> {
    let platform = platform(&call)?;
    let source = call.text("fromSrc");
    if !source.is_empty() {
        return import(call, &source, platform).await;
    }
    let name = joined(&call.text("fromImage"), &call.text("tag"))?;
    if name.is_empty() {
        return Err(Error::invalid("missing parameter: fromImage or fromSrc"));
    }
    // `pull --all-tags` of older clients has the colon still.
    let reference = name.strip_suffix(':').unwrap_or(&name).parse::<Reference>()?;
    let auth = auth(&call)?;
    let engine = call.engine.clone();
    progress(Early::Answer, move |sink| async move {
        let (images, platform, auth) = (&engine.images, platform.as_ref(), auth.as_ref());
        let pulled = if reference.tag.is_none() && reference.digest.is_none() {
            images.pull_all(&reference, platform, auth, &sink).await?
        } else {
            vec![images.pull(&reference, platform, auth, &sink).await?]
        };
        for image in pulled {
            engine.emit_image(image.id.as_str(), &reference.familiar(), "pull");
        }
        Ok(())
    })
    .await
}

async fn import(call: Call, source: &str, platform: Option<Platform>) -> Result<Answer> {
    if source != "-" {
        return Err(Error::unsupported(
            "import from a URL is not supported: fetch the archive and give it on stdin (-)",
        ));
    }
    let imported = Imported {
        name: joined(&call.text("repo"), &call.text("tag"))?,
        message: call.text("message"),
        changes: call.params("changes"),
        platform,
    };
    let engine = call.engine.clone();
    let reader = body_reader(call.request.into_body());
    progress(Early::Answer, move |sink| async move {
        engine.import_image(imported, Box::new(reader), &sink).await.map(drop)
    })
    .await
}

async fn load(call: Call) -> Result<Answer> {
    let platform = platform(&call)?;
    let quiet = call.flag("quiet");
    let engine = call.engine.clone();
    let reader = body_reader(call.request.into_body());
    progress(Early::Line, move |sink| async move {
        let outer = sink.clone();
        let quiet: Sink = Arc::new(move |step| {
            if !quiet || matches!(step, Progress::Stream(_)) {
                outer(step);
            }
        });
        let images = engine.images.load(Box::new(reader), platform.as_ref(), &quiet).await?;
        for image in &images {
            let name = image.repo_tags.first().map_or(image.id.as_str(), String::as_str);
            engine.emit_image(image.id.as_str(), name, "load");
        }
        Ok(())
    })
    .await
}

/// One or several images as an archive.
fn save(call: &Call, name: Option<String>) -> Result<Answer> {
    let names = name.map_or_else(
        || {
            let names = call.params("names");
            names.iter().flat_map(|name| name.split(',')).map(str::to_string).collect()
        },
        |name| vec![name],
    );
    if names.is_empty() {
        return Err(Error::invalid("missing parameter: names"));
    }
    let mut meant = Vec::new();
    for name in &names {
        meant.extend(call.engine.images.meant(name)?);
    }
    let (sender, body) = answer::channel();
    let engine = call.engine.clone();
    tokio::spawn(async move {
        let writer = std::io::BufWriter::with_capacity(1 << 16, ChannelWriter(sender));
        // An error in the middle ends the body early: the client sees no end of the archive.
        drop(engine.images.save(&meant, Box::new(writer)).await);
    });
    Ok(answer::stream("application/x-tar", body))
}

async fn push(call: Call, name: &str) -> Result<Answer> {
    // Without a tag all of them are meant.
    let reference = joined(name, &call.text("tag"))?.parse::<Reference>()?;
    let auth = auth(&call)?;
    let engine = call.engine.clone();
    progress(Early::Answer, move |sink| async move {
        engine.images.push(&reference, auth.as_ref(), &sink).await?;
        engine.emit_image(&reference.familiar(), &reference.familiar(), "push");
        Ok(())
    })
    .await
}

async fn search(call: Call) -> Result<Answer> {
    let filters = Filters::parse(&call.text("filters"))?;
    filters.allow(&["is-automated", "is-official", "stars"])?;
    let limit = call.number("limit")?.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(25);
    let auth = auth(&call)?;
    let official = filters.flag("is-official")?;
    let automated = filters.flag("is-automated")?;
    let stars = filters.one("stars")?.map(|stars| {
        stars.parse::<i64>().map_err(|_| Error::invalid(format!("invalid filter 'stars={stars}'")))
    });
    let stars = stars.transpose()?;
    let term = call.text("term");
    let mut found = call.engine.images.search(&term, limit, auth.as_ref()).await?;
    found.retain(|result| {
        official.is_none_or(|wanted| result.is_official == wanted)
            && automated.is_none_or(|wanted| result.is_automated == wanted)
            && stars.is_none_or(|stars| result.star_count >= stars)
    });
    answer::ok(&found)
}

/// `POST /commit`.
pub async fn commit(mut call: Call) -> Result<Answer> {
    let asked = Asked {
        container: call.text("container"),
        name: joined(&call.text("repo"), &call.text("tag"))?,
        author: call.text("author"),
        comment: call.text("comment"),
        changes: call
            .params("changes")
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| !line.trim().is_empty())
            .map(str::to_string)
            .collect(),
        pause: call.flag_or("pause", true),
        config: call.json_or_default::<Option<_>>().await?,
    };
    let engine = call.engine.clone();
    let image: Image = blocking(move || engine.commit(&asked)).await?;
    answer::created(&json!({ "Id": image.id }))
}
