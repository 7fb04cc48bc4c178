//! Registries that lie, stall or lead elsewhere: refused in bounded time and space, the store as it
//! was.

use crate::fixture::{Layer, layers, noise};
use crate::harness::{Home, block, quiet};
use crate::hostile::content;
use crate::server::{Answer, Asked, INDEX, LAYER, MANIFEST, Made, Server, describe, header};
use deck::image::{Auth, Digest, Reference};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

fn pull(home: &Home, server: &Server, auth: Option<&Auth>) -> deck::Result<deck::image::Image> {
    let name: Reference = format!("{}/m:1", server.host).parse().unwrap();
    block(home.images().pull(&name, None, auth, &quiet()))
}

/// Pulls from a server that must not get through; gives the server for a look at what it was asked.
#[track_caller]
fn refused(
    handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    words: &[&str],
) -> (Server, Vec<String>) {
    refused_within("", handler, words)
}

#[track_caller]
fn refused_within(
    settings: &str,
    handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    words: &[&str],
) -> (Server, Vec<String>) {
    let home = Home::new();
    home.registries(settings);
    let server = Server::start(handler);
    let error = pull(&home, &server, None).expect_err("pulled");
    assert!(words.iter().any(|word| error.message.contains(word)), "{error}");
    assert!(!error.message.contains(['\n', '\u{1b}']), "{error:?}");
    assert!(home.images().list(&deck::image::Filter::default()).unwrap().is_empty());
    let left = content(&home);
    // What a broken connection brought may wait for the next pull, of a bad image nothing.
    let waits = |name: &String| name.starts_with("partial/") || name.starts_with("blobs/");
    assert!(left.iter().all(|name| waits(name) && error.status == 500), "{left:?}: {error:?}");
    (server, left)
}

fn image() -> Made {
    Made::new(&layers())
}

/// Answers honestly, save what `lie` answers.
fn but(
    made: Made,
    lie: impl Fn(&Asked, &Made) -> Option<Answer> + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    move |asked| lie(asked, &made).unwrap_or_else(|| made.answer(asked))
}

fn is_manifest(asked: &Asked) -> bool {
    asked.path.contains("/manifests/")
}

fn is_layer(asked: &Asked, made: &Made) -> bool {
    asked.path.ends_with(Digest::of(&made.layers[0]).as_str())
}

/// Answers a changed manifest.
#[track_caller]
fn bad_manifest(change: impl FnOnce(&mut Value), words: &[&str]) {
    let mut made = image();
    change(&mut made.manifest);
    let (_, left) = refused(move |asked| made.answer(asked), words);
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn an_honest_one_gets_through() {
    let home = Home::new();
    let made = image();
    let id = Digest::of(&made.config);
    let server = Server::start(move |asked| made.answer(asked));
    assert_eq!(pull(&home, &server, None).unwrap().id, id);
}

#[test]
fn wrong_sizes_and_digests_are_refused() {
    bad_manifest(|m| m["config"]["size"] = json!(3), &["more than 3 bytes"]);
    bad_manifest(|m| m["config"]["size"] = json!(9 << 20), &["larger than 8 MiB"]);
    bad_manifest(|m| m["layers"][0]["size"] = json!(10), &["more than 10 bytes"]);
    bad_manifest(|m| m["layers"][0]["size"] = json!(-1), &["manifest"]);
    bad_manifest(|m| m["layers"][0]["digest"] = json!("sha256:x"), &["digest"]);
    bad_manifest(|m| m["layers"][0]["digest"] = json!("../../etc/passwd"), &["digest"]);
    bad_manifest(|m| m["layers"] = json!([]), &["layers"]);
    // Another blob, or another configuration, than the manifest says.
    for wrong in 0..2 {
        let lie = move |asked: &Asked, made: &Made| {
            let blob = if wrong == 0 { &made.config } else { &made.layers[0] };
            let other = noise(blob.len(), 5);
            let hit = asked.path.ends_with(Digest::of(blob).as_str());
            hit.then(|| Answer::ok("application/octet-stream", other))
        };
        let (_, left) = refused(but(image(), lie), &["verification failed"]);
        assert_eq!(left, Vec::<String>::new());
    }
    // A layer that is what its manifest says, but not what the configuration says.
    let mut made = image();
    made.layers[0] = crate::fixture::gzip(&Layer::new().file("x", b"y").done());
    made.manifest["layers"][0] = describe(LAYER, &made.layers[0]);
    let (_, left) = refused(move |asked| made.answer(asked), &["unpacks to"]);
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_manifest_asked_for_by_digest_has_it() {
    let home = Home::new();
    let made = image();
    let server = Server::start(move |asked| made.answer(asked));
    let wanted = Digest::of(b"another");
    let name: Reference = format!("{}/m@{wanted}", server.host).parse().unwrap();
    let error = block(home.images().pull(&name, None, None, &quiet())).unwrap_err();
    assert!(error.message.contains("manifest verification failed"), "{error}");
    assert_eq!(content(&home), Vec::<String>::new());
    // An index's entry that is not what it says.
    for (digest, size, word) in [(true, false, "bytes, not"), (false, true, "verification failed")]
    {
        let made = image();
        let index = index_of(&made.bytes(), digest, size);
        let lie = move |asked: &Asked, made: &Made| {
            is_manifest(asked).then(|| {
                let top = asked.path.ends_with("/1");
                let (kind, bytes) =
                    if top { (INDEX, index.clone()) } else { (MANIFEST, made.bytes()) };
                Answer::ok(kind, bytes)
            })
        };
        refused(but(made, lie), &[word]);
    }
}

/// An index of one manifest, with its true digest or size.
fn index_of(manifest: &[u8], digest: bool, size: bool) -> Vec<u8> {
    let mut entry = describe(MANIFEST, manifest);
    if !digest {
        entry["digest"] = json!(Digest::of(b"another"));
    }
    if !size {
        entry["size"] = json!(manifest.len() + 1);
    }
    let host = deck::image::Platform::host();
    entry["platform"] = json!({"os": "linux", "architecture": host.architecture});
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string().into_bytes()
}

#[test]
fn an_index_gives_the_image_of_a_platform() {
    let (host, other) = (image(), Made::new(&layers()[..1]));
    let own = deck::image::Platform::host();
    let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
    let platforms = [
        json!({"os": "linux", "architecture": own.architecture}),
        json!({"os": "linux", "architecture": "s390x"}),
    ];
    for (made, platform) in [&other, &host].into_iter().zip(platforms.iter().rev()) {
        let mut entry = describe(MANIFEST, &made.bytes());
        entry["platform"] = platform.clone();
        index["manifests"].as_array_mut().unwrap().push(entry);
    }
    let ids = [&host, &other].map(|made| Digest::of(&made.config));
    let server = Server::start(move |asked| {
        if asked.path.ends_with("/manifests/1") {
            return Answer::ok(INDEX, index.to_string());
        }
        let wants = |made: &&Made| asked.path.ends_with(Digest::of(&made.bytes()).as_str());
        if let Some(made) = [&host, &other].into_iter().find(wants) {
            return Answer::ok(MANIFEST, made.bytes());
        }
        if is_manifest(asked) {
            return Answer::status(404);
        }
        match host.answer(asked) {
            Answer::Whole(404, ..) => other.answer(asked),
            answer => answer,
        }
    });
    let name: Reference = format!("{}/m:1", server.host).parse().unwrap();
    let pull = |platform: Option<&str>| {
        let platform = platform.map(|text| text.parse().unwrap());
        block(Home::new().images().pull(&name, platform.as_ref(), None, &quiet()))
    };
    assert_eq!(pull(None).unwrap().id, ids[0]);
    assert_eq!(pull(Some("linux/s390x")).unwrap().id, ids[1]);
    let error = pull(Some("linux/arm/v7")).unwrap_err();
    assert!(error.message.contains("s390x"), "{error}");
}

#[test]
fn what_passes_is_tried_again() {
    let failures = std::sync::atomic::AtomicUsize::new(0);
    let made = image();
    let id = Digest::of(&made.config);
    let server = Server::start(move |asked| match failures.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::status(503),
        1 => Answer::status(429),
        2 => Answer::Raw(Vec::new()),
        4 => Answer::status(502),
        _ => made.answer(asked),
    });
    assert_eq!(pull(&Home::new(), &server, None).unwrap().id, id);
    // What is told for good is not.
    for status in [400, 401, 403, 404, 500] {
        let (server, _) = refused(move |_| Answer::status(status), &["127.0.0.1"]);
        assert_eq!(server.log().len(), 1, "{status}");
    }
}

#[test]
fn media_types_that_lie_are_refused() {
    let claim = |kind: &'static str| {
        but(image(), move |asked, made| is_manifest(asked).then(|| Answer::ok(kind, made.bytes())))
    };
    refused(claim(INDEX), &["says it is"]);
    refused(claim("text/html"), &["says it is"]);
    bad_manifest(|m| m["mediaType"] = json!(INDEX), &["says it is"]);
    bad_manifest(|m| m["manifests"] = json!([]), &["both layers and manifests"]);
    bad_manifest(|m| m["schemaVersion"] = json!(1), &["schema 1"]);
    bad_manifest(|m| m["config"]["mediaType"] = json!("application/x-helm"), &["no container"]);
    bad_manifest(|m| m["layers"][0]["mediaType"] = json!("application/x-exe"), &["layer"]);
    // A layer's compression is told by its content, whatever its type says.
    let mut made = image();
    made.manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
    let home = Home::new();
    let server = Server::start(move |asked| made.answer(asked));
    pull(&home, &server, None).unwrap();
}

#[test]
fn nothing_is_read_without_end() {
    let endless = |which: fn(&Asked, &Made) -> bool| {
        but(image(), move |asked, made| which(asked, made).then_some(Answer::Endless))
    };
    let (server, _) = refused(endless(|asked, _| is_manifest(asked)), &["answer of more than"]);
    assert!(server.sent.load(Ordering::Relaxed) < 64 << 20);
    let (server, _) = refused(endless(is_layer), &["more than"]);
    assert!(server.sent.load(Ordering::Relaxed) < 64 << 20);
    // An error's body, and a token's.
    let lie = |status: &'static str| {
        move |_: &Asked| {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 99999999\r\n\r\n");
            Answer::Raw([head.into_bytes(), vec![b'x'; 1 << 20]].concat())
        }
    };
    refused(lie("500 X"), &["500"]);
    // A manifest of deep nesting.
    let deep = |asked: &Asked, _: &Made| {
        is_manifest(asked).then(|| Answer::ok(MANIFEST, "[".repeat(1 << 20)))
    };
    refused(but(image(), deep), &["manifest"]);
}

#[test]
fn what_stalls_or_breaks_is_given_up() {
    let stuck = |which: fn(&Asked, &Made) -> bool| {
        but(image(), move |asked, made| {
            which(asked, made).then(|| Answer::Stuck(b"abc".to_vec(), 1000))
        })
    };
    let words = ["no answer for 1 seconds"];
    let stall = "stall_seconds = 1\n";
    let (server, _) = refused_within(stall, stuck(|asked, _| is_manifest(asked)), &words);
    assert!(server.log().len() <= 5, "tries");
}

#[test]
fn what_always_breaks_is_given_up() {
    // A layer that always ends early.
    let cut = but(image(), |asked, made| {
        is_layer(asked, made).then(|| Answer::Cut(Vec::new(), made.layers[0].len()))
    });
    refused(cut, &["127.0.0.1", "ends at"]);
}

#[test]
fn what_is_no_http_is_given_up() {
    refused(|_| Answer::Raw(b"SSH-2.0-x\r\n".to_vec()), &["127.0.0.1"]);
    // Headers without an end.
    let many = |_: &Asked| {
        let line = format!("x: {}\r\n", "y".repeat(1000));
        Answer::Raw(format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(2000)).into_bytes())
    };
    refused(many, &["127.0.0.1"]);
}

#[test]
fn ranges_that_lie_are_refused() {
    // A range that is none, after a cut.
    let ranges = but(image(), |asked, made| {
        is_layer(asked, made).then(|| {
            if !asked.headers.contains_key("range") {
                return Answer::Cut(made.layers[0][..50].to_vec(), made.layers[0].len());
            }
            let place = header("content-range", "bytes 900000-900001/900002");
            Answer::Whole(206, vec![place], vec![0; 2])
        })
    });
    refused(ranges, &["wrong range"]);
}

#[test]
fn a_servers_words_do_no_harm() {
    let words = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b]0;x\\u0007 a\\nb\"}]}";
    refused(|_| Answer::Whole(403, Vec::new(), words.into()), &["denied: ]0;x ab"]);
    let loops = |asked: &Asked| Answer::redirect(&asked.path);
    let (server, _) = refused(loops, &["too many redirects"]);
    assert!(server.log().len() <= 6);
    for place in ["file:///etc/passwd", "unix:///run/x", "https://u:p@127.0.0.1/", "", "ftp://x/"] {
        refused(move |_| Answer::redirect(place), &["redirect"]);
    }
}

#[test]
fn a_redirect_takes_no_password_along() {
    let made = image();
    let blobs = {
        let made = made.clone();
        Server::start(move |asked| made.answer(asked))
    };
    let elsewhere = blobs.host.clone();
    let handler = but(made, move |asked, _| {
        if asked.authorization().is_none() {
            let basic = header("www-authenticate", "Basic realm=\"x\"");
            return Some(Answer::Whole(401, vec![basic], Vec::new()));
        }
        let leads = asked.path.contains("/blobs/");
        leads.then(|| Answer::redirect(&format!("http://{elsewhere}{}", asked.path)))
    });
    let server = Server::start(handler);
    let home = Home::new();
    let auth = Auth {
        username: "user".to_owned(),
        password: "secret".to_owned(),
        server_address: server.host.clone(),
        ..Auth::default()
    };
    pull(&home, &server, Some(&auth)).unwrap();
    assert!(server.log().iter().any(|asked| asked.authorization().is_some()));
    let log = blobs.log();
    assert_eq!(log.len(), 3, "configuration and two layers");
    for asked in log {
        assert_eq!(asked.authorization(), None);
        assert!(!format!("{asked:?}").contains("secret"));
    }
}
