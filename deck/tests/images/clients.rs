//! What deck's command line takes from its surroundings on the way to a registry: credential
//! helpers, client certificates, proxies.

use crate::archives::load;
use crate::fixture::{docker_archive, layers};
use crate::harness::{Guard, Home, Registry, bad, certificate, deck, free_port, good, wait_for};
use crate::server::{Answer, Asked, Made, Server, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deck::image::Digest;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

/// A store with `made:1`, also named for a registry.
fn home(name: &str) -> Home {
    let home = Home::new();
    load(&home.images(), docker_archive("made:1", &layers())).unwrap();
    good(deck(&home).args(["tag", "made:1", name]));
    home
}

/// A helper that keeps what it is given in files, and notes what it was asked.
const HELPER: &str = r#"#!/bin/sh
read -r line; [ -n "$line" ] || exit 1
cd "$HELPER_DIR" || exit 1
echo "$1" >>log
case $1 in
store) printf '%s' "$line" >kept ;;
get) [ -e kept ] || { echo 'credentials not found in native keychain'; exit 1; }
    cat kept ;;
erase) rm -f kept ;;
esac
"#;

fn helped(home: &Home) -> Command {
    let mut command = deck(home);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", home.dir.path().display()));
    command.env("HELPER_DIR", home.dir.path());
    command
}

fn settings(home: &Home, value: &Value) {
    let dir = home.dir.path().join("docker");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.json"), value.to_string()).unwrap();
}

#[test]
fn credential_helpers_keep_the_password() {
    let registry = Registry::start(Guard::Password);
    let host = registry.host.as_str();
    let name = format!("{host}/made:1");
    let home = home(&name);
    let helper = home.dir.path().join("docker-credential-made");
    fs::write(&helper, HELPER).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    for key in ["credsStore", "credHelpers"] {
        let value = if key == "credsStore" { json!("made") } else { json!({host: "made"}) };
        settings(&home, &json!({key: value}));
        // Nothing kept yet: asked without a password, refused.
        let refused = bad_after_words(helped(&home).args(["push", &name]));
        assert!(refused.contains("no basic auth credentials"), "{refused}");
        let password = home.dir.path().join("password");
        fs::write(&password, "secret\n").unwrap();
        let stdin = fs::File::open(&password).unwrap();
        let login = ["login", "-u", "user", "--password-stdin", host];
        let said = good(helped(&home).args(login).stdin(stdin));
        assert!(said.contains("Login Succeeded"), "{said}");
        let file = fs::read_to_string(home.dir.path().join("docker/config.json")).unwrap();
        let encoded = STANDARD.encode("user:secret");
        assert!(!file.contains("secret") && !file.contains(&encoded), "{file}");
        good(helped(&home).args(["push", &name]));
        good(helped(&home).args(["pull", &name]));
        good(helped(&home).args(["logout", host]));
        assert!(!home.dir.path().join("kept").exists());
        let log = fs::read_to_string(home.dir.path().join("log")).unwrap();
        let mut verbs: Vec<&str> = log.lines().collect();
        verbs.dedup();
        assert_eq!(verbs, ["get", "store", "get", "erase"]);
        fs::remove_file(home.dir.path().join("log")).unwrap();
    }
    // A helper that fails, or isn't there, is told of.
    settings(&home, &json!({"credsStore": "absent"}));
    let error = bad(helped(&home).args(["pull", &name]));
    assert!(error.contains("docker-credential-absent"), "{error}");
}

/// The error of a push: words on standard output come before it.
fn bad_after_words(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_login_without_a_helper_is_kept_for_its_owner_alone() {
    let registry = Registry::start(Guard::Password);
    let host = registry.host.as_str();
    let name = format!("{host}/made:1");
    let home = home(&name);
    let wrong = bad_after_words(deck(&home).args(["login", "-u", "user", "-p", "wrong", host]));
    assert!(!wrong.contains("wrong"), "{wrong}");
    let path = home.dir.path().join("docker/config.json");
    assert!(!path.exists());
    good(deck(&home).args(["login", "-u", "user", "-p", "secret", host]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    good(deck(&home).args(["push", &name]));
    // skopeo takes the same file, and what it wrote is taken.
    let inspect = ["inspect", "--tls-verify=false", "--authfile"];
    let source = format!("docker://{name}");
    good(Command::new("skopeo").args(inspect).arg(&path).arg(&source));
    good(deck(&home).args(["logout", host]));
    let login = ["login", "--tls-verify=false", "-u", "user", "-p", "secret", "--authfile"];
    let auth = home.dir.path().join("auth.json");
    good(Command::new("skopeo").args(login).arg(&auth).arg(host));
    fs::remove_file(&path).unwrap();
    fs::rename(&auth, &path).unwrap();
    good(deck(&home).args(["pull", &name]));
}

#[test]
fn a_certificate_is_shown_where_one_is_asked_for() {
    let registry = Registry::start(Guard::Mutual);
    let name = format!("{}/made:1", registry.host);
    let home = home(&name);
    registry.trust(&home);
    let refused = bad_after_words(deck(&home).args(["push", &name]));
    // Servers tell it apart or not: "certificate required", "bad certificate".
    assert!(refused.contains("fatal alert") && refused.contains("Certificate"), "{refused}");
    let dir = home.config.config_root.join("certs.d").join(&registry.host);
    fs::copy(registry.dir.path().join("client.pem"), dir.join("client.cert")).unwrap();
    let lacks = bad_after_words(deck(&home).args(["push", &name]));
    assert!(lacks.contains("client.key"), "{lacks}");
    fs::copy(registry.dir.path().join("client.key"), dir.join("client.key")).unwrap();
    good(deck(&home).args(["push", &name]));
    good(deck(&home).args(["pull", &name]));
}

/// A proxy that leads every CONNECT to one place, whatever host it is for.
struct Proxy {
    host: String,
    /// Request lines and their Proxy-Authorization.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Proxy {
    fn start(place: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = Arc::default();
        let log = Arc::clone(&asked);
        // Until the process ends: it holds nothing but a port.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (log, place) = (Arc::clone(&log), place.clone());
                std::thread::spawn(move || tunnel(client.unwrap(), &place, &log));
            }
        });
        Self { host, asked }
    }
}

fn tunnel(mut client: TcpStream, place: &str, log: &Mutex<Vec<(String, String)>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let (mut first, mut authorization) = (String::new(), String::new());
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            value.trim().clone_into(&mut authorization);
        }
    }
    log.lock().unwrap().push((first.trim().to_owned(), authorization.clone()));
    if authorization.is_empty() {
        let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        return;
    }
    let server = TcpStream::connect(place).unwrap();
    client.write_all(b"HTTP/1.1 200 Established\r\n\r\n").unwrap();
    let (mut up, mut down) = (server.try_clone().unwrap(), server);
    std::thread::spawn(move || {
        // What the reader has already is part of it.
        let _ = std::io::copy(&mut reader, &mut up);
        let _ = up.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut down, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
}

#[test]
fn tls_goes_through_the_proxy_and_past_it_where_told() {
    let registry = Registry::start(Guard::Tls);
    let proxy = Proxy::start(format!("127.0.0.1:{}", registry.port()));
    // Nobody resolves that name but the proxy.
    let name = "registry.example/made:1";
    let home = home(name);
    let dir = home.config.config_root.join("certs.d/registry.example");
    fs::create_dir_all(&dir).unwrap();
    fs::copy(registry.dir.path().join("cert.pem"), dir.join("ca.crt")).unwrap();
    let through = |user: &str| {
        let mut command = deck(&home);
        command.env("HTTPS_PROXY", format!("http://{user}{}", proxy.host));
        command
    };
    let refused = bad_after_words(through("").args(["push", name]));
    assert!(refused.contains("407"), "{refused}");
    // It is TLS with the registry that is spoken through the proxy: the name is not the registry's.
    let wrong = bad_after_words(through("me:p%40ss@").args(["push", name]));
    assert!(wrong.contains("certificate") && !wrong.contains("p@ss"), "{wrong}");
    let asked = proxy.asked.lock().unwrap().last().cloned().unwrap();
    assert_eq!(asked.0, "CONNECT registry.example:443 HTTP/1.1");
    assert_eq!(asked.1, format!("Basic {}", STANDARD.encode("me:p@ss")));
    // Past it, where told: then the name is asked of the resolver, and not there.
    let count = proxy.asked.lock().unwrap().len();
    let past = bad_after_words(through("me:x@").env("NO_PROXY", ".example").args(["push", name]));
    assert!(past.contains("connect to registry.example:443"), "{past}");
    // This machine is always reached straight.
    let here = format!("{}/made:1", registry.host);
    registry.trust(&home);
    good(deck(&home).args(["tag", "made:1", &here]));
    good(through("").args(["push", &here]));
    assert_eq!(proxy.asked.lock().unwrap().len(), count);
}

/// A directory with a certificate for a name, and a store that trusts it for that name.
fn trusting(home: &Home, dir: &std::path::Path, name: &str) {
    let certs = home.config.config_root.join("certs.d").join(name);
    fs::create_dir_all(&certs).unwrap();
    fs::copy(dir.join("cert.pem"), certs.join("ca.crt")).unwrap();
}

/// The Hub is a name: behind the proxy it is Debian's registry.
#[test]
fn a_bare_name_is_the_hubs() {
    let hub = "registry-1.docker.io";
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), hub, "cert");
    let registry = Registry::with_certificate(dir.path());
    let proxy = Proxy::start(format!("127.0.0.1:{}", registry.port()));
    let proxied = format!("http://me:x@{}", proxy.host);
    let home = home("somebody/made");
    good(deck(&home).args(["tag", "made:1", "made"]));
    trusting(&home, dir.path(), hub);
    for name in ["made", "somebody/made"] {
        good(deck(&home).env("HTTPS_PROXY", &proxied).args(["push", name]));
    }
    let id = home.images().resolve("made").unwrap().id;
    let other = Home::new();
    trusting(&other, dir.path(), hub);
    let said = good(deck(&other).env("https_proxy", &proxied).args(["pull", "made"]));
    assert!(said.starts_with("Using default tag: latest\n"), "{said}");
    assert!(said.ends_with("\ndocker.io/library/made:latest\n"), "{said}");
    // Without a terminal each step of a layer is a line, and nothing moves a cursor.
    assert!(said.contains(": Pull complete\n") && !said.contains('\u{1b}'), "{said}");
    good(deck(&other).env("https_proxy", &proxied).args(["pull", "docker.io/somebody/made"]));
    // With one there are bars.
    let third = Home::new();
    trusting(&third, dir.path(), hub);
    let bars = deck(&third);
    let mut script = Command::new("script");
    let line = format!("{} pull made", env!("CARGO_BIN_EXE_deck"));
    script.args(["-qec", &line, "/dev/null"]).stdin(std::process::Stdio::null());
    script.envs(bars.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = good(script.env("https_proxy", &proxied).env("TERM", "xterm"));
    assert!(said.contains('\u{1b}') && said.contains("Pull complete"), "{said:?}");
    for name in ["made", "library/made:latest", "docker.io/library/made", "somebody/made"] {
        assert_eq!(other.images().resolve(name).unwrap().id, id, "{name}");
    }
    let connects = proxy.asked.lock().unwrap();
    assert!(connects.iter().all(|(line, _)| line == "CONNECT registry-1.docker.io:443 HTTP/1.1"));
}

#[test]
fn plain_registries_are_asked_through_a_proxy() {
    let made = Made::new(&layers());
    let id = Digest::of(&made.config);
    let server = Server::start(move |asked: &Asked| {
        if !asked.headers.contains_key("proxy-authorization") {
            let wants = header("proxy-authenticate", "Basic realm=\"x\"");
            return Answer::Whole(407, vec![wants], Vec::new());
        }
        made.answer(asked)
    });
    let home = Home::new();
    home.registries("[registry.\"plain.example:5000\"]\nplain_http = true\n");
    let proxied = format!("me:x@{}", server.host);
    let mut command = deck(&home);
    good(command.env("HTTP_PROXY", proxied).args(["pull", "plain.example:5000/made:1"]));
    assert_eq!(home.images().resolve("plain.example:5000/made:1").unwrap().id, id);
    for asked in server.log() {
        // Whole URIs, for the proxy to know where to.
        assert!(asked.path.starts_with("http://plain.example:5000/v2/made/"), "{asked:?}");
        assert_eq!(asked.headers["host"], "plain.example:5000");
    }
}

/// A web server that answers one path.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers.
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn the_hub_is_searched() {
    let hub = "index.docker.io";
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), hub, "cert");
    let (path, port) = (dir.path().display().to_string(), free_port());
    let answer = json!({"num_results": 2, "results": [
        {"name": "made", "description": "one\u{1b}[31m", "star_count": 7, "is_official": true},
        {"name": "somebody/made", "description": "two", "star_count": 0},
    ]});
    let config = format!(
        "daemon off; error_log {path}/log; pid {path}/pid; events {{}} http {{ access_log off; \
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {path}/cert.pem; \
         ssl_certificate_key {path}/cert.key; location = /v1/search {{ \
         default_type application/json; if ($arg_q != \"ma%20de\") {{ return 404; }} \
         return 200 '{answer}'; }} }} }}"
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new("nginx");
    let nginx = nginx.args(["-c", &format!("{path}/nginx.conf")]).spawn().unwrap();
    let _nginx = Nginx(nginx);
    wait_for(port);
    let proxy = Proxy::start(format!("127.0.0.1:{port}"));
    let home = Home::new();
    trusting(&home, dir.path(), hub);
    let mut command = deck(&home);
    command.env("HTTPS_PROXY", format!("http://me:x@{}", proxy.host));
    let said = good(command.args(["search", "ma de"]));
    let lines: Vec<Vec<&str>> =
        said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..3], ["NAME", "DESCRIPTION", "STARS"], "{said}");
    assert_eq!(lines[1], ["made", "one[31m", "7", "[OK]"], "{said}");
    assert_eq!(lines[2], ["somebody/made", "two", "0"], "{said}");
}

#[test]
fn what_is_no_name_is_told_in_one_line() {
    let home = Home::new();
    for name in ["../x", "A", "a:b:c", "", "a@sha256:0"] {
        bad(deck(&home).args(["pull", name]));
    }
}

#[test]
fn all_tags_are_pushed_and_pulled() {
    let registry = Registry::start(Guard::None);
    let repository = format!("{}/made", registry.host);
    let home = home(&format!("{repository}:1"));
    good(deck(&home).args(["tag", "made:1", &format!("{repository}:two")]));
    let said = good(deck(&home).args(["push", "--all-tags", "--quiet", &repository]));
    assert_eq!(said.trim_end(), repository);
    let other = Home::new();
    let said = good(deck(&other).args(["pull", "--all-tags", &repository]));
    assert_eq!(said.lines().last(), Some(repository.as_str()));
    let format = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    let listed = good(deck(&other).args(format));
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, [format!("{repository}:1"), format!("{repository}:two")]);
    let error = bad(deck(&other).args(["pull", "--all-tags", &format!("{}/none", registry.host)]));
    assert!(error.contains("repository name not known to registry"), "{error}");
    let error = bad(deck(&other).args(["push", "--all-tags", "nosuch"]));
    assert!(error.contains("does not exist locally with the tag: nosuch"), "{error}");
}
