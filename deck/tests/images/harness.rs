//! Stores in temporary directories, and registries on loopback.

use deck::config::Config;
use deck::image::{Images, Progress, Sink};
use std::fs;
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// A store of its own.
pub struct Home {
    pub dir: TempDir,
    pub config: Config,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("deck-images-").tempdir().unwrap();
        let config = config_in(dir.path());
        fs::create_dir_all(&config.config_root).unwrap();
        Self { dir, config }
    }

    pub fn images(&self) -> Images {
        Images::open(&self.config).unwrap()
    }

    /// Where the store's files are.
    pub fn store(&self) -> PathBuf {
        self.config.data_root.join("images")
    }

    pub fn registries(&self, text: &str) {
        fs::write(self.config.config_root.join("registries.toml"), text).unwrap();
    }
}

pub fn config_in(dir: &Path) -> Config {
    Config {
        data_root: dir.join("data"),
        exec_root: dir.join("run"),
        config_root: dir.join("etc"),
        runtime: "/nonexistent/hull".into(),
        shim: "/nonexistent/shim".into(),
    }
}

/// Runs a future as deck does: on a current-thread runtime.
pub fn block<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A sink that keeps what it is told.
pub fn recorder() -> (Sink, Arc<Mutex<Vec<Progress>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&log);
    (Arc::new(move |progress| own.lock().unwrap().push(progress)), log)
}

pub fn quiet() -> Sink {
    Arc::new(|_| {})
}

/// deck's command line on a store.
pub fn deck(home: &Home) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deck"));
    command
        .env("DECK_DATA_ROOT", &home.config.data_root)
        .env("DECK_EXEC_ROOT", &home.config.exec_root)
        .env("DECK_CONFIG_ROOT", &home.config.config_root)
        .env("DOCKER_CONFIG", home.dir.path().join("docker"))
        .env("DECK_HOST", "local")
        .stdin(Stdio::null());
    for name in ["DOCKER_HOST", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "https_proxy"] {
        command.env_remove(name);
    }
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command
}

/// What a command that must succeed printed.
#[track_caller]
pub fn good(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line a command that must fail says why with.
#[track_caller]
pub fn bad(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    error
}

/// Runs a program that must succeed, and gives what it printed.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// Debian's docker-registry on loopback.
pub struct Registry {
    child: Child,
    pub host: String,
    pub dir: TempDir,
}

/// How a registry is guarded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    None,
    /// user:secret.
    Password,
    /// A certificate for localhost.
    Tls,
    /// The same, and clients have to show one that is signed by the test's authority.
    Mutual,
}

impl Registry {
    pub fn start(guard: Guard) -> Self {
        let dir = tempfile::Builder::new().prefix("deck-registry-").tempdir().unwrap();
        if matches!(guard, Guard::Tls | Guard::Mutual) {
            certificate(dir.path(), "localhost", "cert");
        }
        Self::start_in(guard, dir)
    }

    /// With a certificate made before: `cert.pem` and `cert.key` of a directory.
    pub fn with_certificate(from: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("deck-registry-").tempdir().unwrap();
        for file in ["cert.pem", "cert.key"] {
            fs::copy(from.join(file), dir.path().join(file)).unwrap();
        }
        Self::start_in(Guard::Tls, dir)
    }

    fn start_in(guard: Guard, dir: TempDir) -> Self {
        let port = free_port();
        let tls = matches!(guard, Guard::Tls | Guard::Mutual);
        let name = if tls { "localhost" } else { "127.0.0.1" };
        let path = dir.path().display();
        let mut text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: \
             {path}/data\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n"
        );
        if tls {
            let files = ["cert.pem", "cert.key"].map(|name| format!("{path}/{name}"));
            text += "  tls:\n    certificate: ";
            text += &files.join("\n    key: ");
            text += "\n";
            if guard == Guard::Mutual {
                // Signed by itself: its own authority.
                certificate(dir.path(), "client", "client");
                text += "    clientcas:\n      - ";
                text += &dir.path().join("client.pem").display().to_string();
                text += "\n";
            }
        }
        if guard == Guard::Password {
            let line = run("htpasswd", &["-Bbn", "user", "secret"]);
            fs::write(dir.path().join("htpasswd"), line).unwrap();
            text += "auth:\n  htpasswd:\n    realm: here\n    path: ";
            text += &dir.path().join("htpasswd").display().to_string();
            text += "\n";
        }
        let config = dir.path().join("config.yml");
        fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { child, host: format!("{name}:{port}"), dir };
        wait_for(port);
        registry
    }

    pub fn port(&self) -> u16 {
        self.host.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Lets the store trust its certificate.
    pub fn trust(&self, home: &Home) {
        let dir = home.config.config_root.join("certs.d").join(&self.host);
        fs::create_dir_all(&dir).unwrap();
        fs::copy(self.dir.path().join("cert.pem"), dir.join("ca.crt")).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn wait_for(port: u16) {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nothing listens on port {port}");
}

/// A certificate for a name, signed by itself: `FILE.pem` and `FILE.key`.
pub fn certificate(dir: &Path, name: &str, file: &str) {
    let path = |end: &str| dir.join(format!("{file}.{end}")).display().to_string();
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN={name}"),
            "-addext",
            &format!("subjectAltName=DNS:{name}"),
            "-addext",
            &format!(
                "basicConstraints=critical,CA:{}",
                if file == "client" { "TRUE" } else { "FALSE" }
            ),
            "-keyout",
            &path("key"),
            "-out",
            &path("pem"),
        ],
    );
}
