//! Bearer tokens: realm, service and scope as asked, refresh tokens, tokens that run out, and whom
//! passwords and tokens are shown to.

use crate::fixture::layers;
use crate::harness::{Home, block, quiet};
use crate::server::{Answer, Asked, Made, Server, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deck::image::{Auth, Reference};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of one layer: blobs are asked for one after the other.
fn made() -> Made {
    Made::new(&layers()[..1])
}

fn challenge(realm: &str, scope: &str) -> Answer {
    let text = format!("Bearer realm=\"{realm}\",service=\"the registry\",scope=\"{scope}\"");
    Answer::Whole(401, vec![header("www-authenticate", &text)], Vec::new())
}

/// A registry that takes `good` and its token service, which gives what `give` says.
fn guarded(realm: &Server, good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let made = made();
    let realm = format!("http://{}/token", realm.host);
    Server::start(move |asked| match asked.authorization() {
        Some(text) if good(text) => made.answer(asked),
        _ => challenge(&realm, "repository:m:pull"),
    })
}

fn token(text: &str) -> Answer {
    Answer::ok("application/json", text)
}

fn auth(server: &Server) -> Auth {
    Auth {
        username: "user".to_owned(),
        password: "pass:word".to_owned(),
        server_address: server.host.clone(),
        ..Auth::default()
    }
}

fn pull(home: &Home, server: &Server, auth: Option<&Auth>) -> deck::Result<deck::image::Image> {
    let name: Reference = format!("{}/m:1", server.host).parse().unwrap();
    block(home.images().pull(&name, None, auth, &quiet()))
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("user:pass:word"))
}

#[test]
fn a_token_is_asked_for_as_the_registry_says() {
    let service = Server::start(|_| token("{\"access_token\":\"T\",\"expires_in\":60}"));
    let server = guarded(&service, |text| text == "Bearer T");
    // Without credentials, for what is public.
    pull(&Home::new(), &server, None).unwrap();
    let asked = service.log().remove(0);
    assert_eq!((asked.method.as_str(), asked.authorization()), ("GET", None));
    let query = "/token?service=the%20registry&scope=repository%3Am%3Apull";
    assert_eq!(asked.path, query);
    assert_eq!(service.log().len(), 1, "one token serves the whole pull");
    // With them: the password goes to the service, the token to the registry.
    pull(&Home::new(), &server, Some(&auth(&server))).unwrap();
    let asked = service.log().remove(1);
    assert_eq!(asked.authorization(), Some(basic().as_str()));
    assert!(asked.path.starts_with(query) && asked.path.contains("account=user"), "{asked:?}");
    for asked in server.log() {
        assert!(matches!(asked.authorization(), None | Some("Bearer T")), "{asked:?}");
    }
}

#[test]
fn a_token_that_runs_out_is_asked_for_anew() {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let service = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        token(&format!("{{\"token\":\"T{number}\"}}"))
    });
    // Each token is good for one request.
    let used = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let server = guarded(&service, move |text| {
        text.starts_with("Bearer T") && used.lock().unwrap().insert(text.to_owned())
    });
    pull(&Home::new(), &server, Some(&auth(&server))).unwrap();
    assert!(given.load(Ordering::Relaxed) >= 3, "manifest, configuration, layers");
}

#[test]
fn a_login_gives_a_refresh_token_that_is_traded() {
    let service = Server::start(|asked| match asked.method.as_str() {
        "GET" => token("{\"token\":\"T\",\"refresh_token\":\"R&=\"}"),
        _ => token("{\"access_token\":\"T\"}"),
    });
    let server = guarded(&service, |text| text == "Bearer T");
    let home = Home::new();
    let (status, identity) = block(home.images().login(&auth(&server))).unwrap();
    assert_eq!((status.as_str(), identity.as_str()), ("Login Succeeded", "R&="));
    assert!(service.log()[0].path.contains("offline_token=true"));
    let kept =
        Auth { identity_token: identity, server_address: server.host.clone(), ..Auth::default() };
    pull(&home, &server, Some(&kept)).unwrap();
    let traded = service.log().pop().unwrap();
    let form = String::from_utf8(traded.body).unwrap();
    assert_eq!(traded.method, "POST");
    for field in ["grant_type=refresh_token", "refresh_token=R%26%3D", "service=the%20registry"] {
        assert!(form.split('&').any(|part| part == field), "{form}");
    }
    assert!(form.contains("scope=repository%3Am%3Apull"), "{form}");
    assert!(server.log().iter().all(|asked| !format!("{asked:?}").contains("R&=")));
}

#[test]
fn refusals_end() {
    let service = Server::start(|_| Answer::status(401));
    let server = guarded(&service, |_| false);
    let error = pull(&Home::new(), &server, Some(&auth(&server))).unwrap_err();
    assert_eq!(error.status, 401, "{error}");
    assert!(!error.message.contains("pass:word"), "{error}");
    // A token that is never taken.
    let service = Server::start(|_| token("{\"token\":\"T\"}"));
    let server = guarded(&service, |_| false);
    let error = pull(&Home::new(), &server, Some(&auth(&server))).unwrap_err();
    assert_eq!(error.status, 401, "{error}");
    assert!(server.log().len() <= 4 && service.log().len() <= 2);
    assert!(!error.message.contains("Bearer"), "{error}");
    for bad in ["{}", "[", "{\"token\":\"\"}", "{\"token\":\"a\\r\\nX: y\"}"] {
        let service = Server::start(move |_| token(bad));
        let server = guarded(&service, |text| text == "Bearer T");
        assert!(pull(&Home::new(), &server, None).is_err(), "{bad}");
        assert!(server.log().iter().all(|asked| !asked.headers.contains_key("x")));
    }
    let service = Server::start(|_| Answer::Endless);
    let server = guarded(&service, |text| text == "Bearer T");
    let error = pull(&Home::new(), &server, None).unwrap_err();
    assert!(error.message.contains("answer of more than"), "{error}");
    assert!(service.sent.load(Ordering::Relaxed) < 64 << 20);
}

#[test]
fn passwords_go_to_no_other_host() {
    // Realms that are no places to ask, and such that would learn the password.
    for realm in [
        "https://evil.example/token",
        "http://evil.example/token",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://127.0.0.1@evil.example/",
        "not a place",
    ] {
        let made = made();
        let server = Server::start(move |asked: &Asked| match asked.authorization() {
            None => challenge(realm, "x"),
            Some(_) => made.answer(asked),
        });
        let error = pull(&Home::new(), &server, Some(&auth(&server))).unwrap_err();
        assert!(error.message.contains("realm") || error.message.contains("not sent"), "{error}");
        assert!(!error.message.contains("pass:word"), "{error}");
        assert!(server.log().iter().all(|asked| asked.authorization().is_none()));
    }
    // A mirror sees none, whatever it asks for.
    let mirror = Server::start(|_| {
        let basic = header("www-authenticate", "Basic realm=\"x\"");
        Answer::Whole(401, vec![basic], Vec::new())
    });
    let made = made();
    let origin = Server::start(move |asked| match asked.authorization() {
        Some(text) if text == basic() => made.answer(asked),
        _ => {
            let basic = header("www-authenticate", "Basic realm=\"x\"");
            Answer::Whole(401, vec![basic], Vec::new())
        }
    });
    let home = Home::new();
    let (host, other) = (&origin.host, &mirror.host);
    home.registries(&format!("[registry.\"{host}\"]\nmirrors = [\"http://{other}\"]\n"));
    pull(&home, &origin, Some(&auth(&origin))).unwrap();
    assert!(!mirror.log().is_empty());
    assert!(mirror.log().iter().all(|asked| asked.authorization().is_none()));
}
