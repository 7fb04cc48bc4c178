//! Pull and push against Debian's docker-registry, with skopeo as the other party.

use crate::archives::{load, tree};
use crate::fixture::{Layer, docker_archive, layers, noise, oci_archive};
use crate::harness::{Guard, Home, Registry, block, quiet, recorder, run};
use deck::image::{Auth, Image, Images, Progress, Reference};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

fn name(registry: &Registry, path: &str) -> Reference {
    format!("{}/{path}", registry.host).parse().unwrap()
}

fn pull(images: &Images, name: &Reference) -> deck::Result<Image> {
    block(images.pull(name, None, None, &quiet()))
}

/// Loads an image, names it for the registry and pushes it.
pub fn publish(images: &Images, archive: Vec<u8>, name: &Reference) -> Image {
    let image = load(images, archive).unwrap().remove(0);
    images.tag(image.id.as_str(), name).unwrap();
    block(images.push(name, None, &quiet())).unwrap();
    image
}

#[test]
fn what_is_pushed_is_pulled_the_same_by_us_and_by_skopeo() {
    let registry = Registry::start(Guard::None);
    let home = Home::new();
    let images = home.images();
    let target = name(&registry, "a/made:1");
    let pushed = publish(&images, oci_archive(&layers(), |_, _| {}), &target);
    let source = format!("docker://{target}");
    let inspect =
        run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source]);
    assert_eq!(inspect.trim(), pushed.manifest.as_str());
    let other = Home::new();
    let (sink, log) = recorder();
    let pulled = block(other.images().pull(&target, None, None, &sink)).unwrap();
    assert_eq!((&pulled.id, &pulled.manifest), (&pushed.id, &pushed.manifest));
    assert_eq!(pulled.repo_digests, [format!("{}@{}", target.familiar_name(), pushed.manifest)]);
    let statuses: Vec<String> = log.lock().unwrap().iter().map(text).collect();
    for wanted in ["Pulling from a/made", "Pulling fs layer", "Download complete", "Pull complete"]
    {
        assert!(statuses.iter().any(|status| status == wanted), "{wanted}: {statuses:?}");
    }
    assert!(statuses.last().unwrap().starts_with("Status: Downloaded newer image for"));
    // Blobs are the same bytes.
    for blob in fs::read_dir(home.store().join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let twin = other.store().join("blobs/sha256").join(path.file_name().unwrap());
        assert_eq!(fs::read(&path).unwrap(), fs::read(twin).unwrap());
    }
    let (sink, log) = recorder();
    block(other.images().pull(&target, None, None, &sink)).unwrap();
    let last = text(log.lock().unwrap().last().unwrap());
    assert!(last.starts_with("Status: Image is up to date"), "{last}");
    // By digest, as another party put it there.
    let copy = name(&registry, "b/copied:1");
    let flags = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    run("skopeo", &["copy", "-q", flags[0], flags[1], &source, &format!("docker://{copy}")]);
    let pinned = copy.with_digest(&pulled.manifest);
    assert_eq!(pull(&other.images(), &pinned).unwrap().id, pushed.id);
    let trees = ["one", "two"].map(|name| home.dir.path().join(name));
    block(images.unpack(&pushed, &trees[0])).unwrap();
    block(other.images().unpack(&pulled, &trees[1])).unwrap();
    assert_eq!(tree(&trees[0]), tree(&trees[1]));
}

fn text(progress: &Progress) -> String {
    progress.to_json()["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn blobs_are_mounted_across_repositories() {
    let registry = Registry::start(Guard::None);
    let home = Home::new();
    let images = home.images();
    let first = name(&registry, "one:1");
    let image = publish(&images, oci_archive(&layers(), |_, _| {}), &first);
    let second = name(&registry, "two:1");
    images.tag(image.id.as_str(), &second).unwrap();
    let (sink, log) = recorder();
    block(images.push(&second, None, &sink)).unwrap();
    let statuses: Vec<String> = log.lock().unwrap().iter().map(text).collect();
    let mounted = statuses.iter().filter(|status| *status == "Mounted from one").count();
    assert_eq!(mounted, 2, "{statuses:?}");
    let (sink, log) = recorder();
    block(images.push(&second, None, &sink)).unwrap();
    let again = log.lock().unwrap().iter().filter(|p| text(p) == "Layer already exists").count();
    assert_eq!(again, 2);
    assert!(matches!(log.lock().unwrap().last(), Some(Progress::Aux { tag, .. }) if tag == "1"));
    let found = block(images.search(&format!("{}/tw", registry.host), 5, None)).unwrap();
    assert_eq!(found[0].name, format!("{}/two", registry.host));
}

#[test]
fn passwords_open_a_guarded_registry() {
    let registry = Registry::start(Guard::Password);
    let home = Home::new();
    let images = home.images();
    let target = name(&registry, "made:1");
    let image = load(&images, docker_archive("made:1", &layers())).unwrap().remove(0);
    images.tag(image.id.as_str(), &target).unwrap();
    let auth = |password: &str| Auth {
        username: "user".to_owned(),
        password: password.to_owned(),
        server_address: registry.host.clone(),
        ..Auth::default()
    };
    let push = |auth: Option<&Auth>| block(images.push(&target, auth, &quiet()));
    assert_eq!(push(None).unwrap_err().status, 401);
    let error = push(Some(&auth("wrong"))).unwrap_err();
    assert_eq!(error.status, 401);
    assert!(!error.message.contains("wrong"), "{error}");
    push(Some(&auth("secret"))).unwrap();
    assert_eq!(block(images.login(&auth("wrong"))).unwrap_err().status, 401);
    assert_eq!(block(images.login(&auth("secret"))).unwrap().0, "Login Succeeded");
    let other = Home::new();
    block(other.images().pull(&target, None, Some(&auth("secret")), &quiet())).unwrap();
}

#[test]
fn tls_is_verified() {
    let registry = Registry::start(Guard::Tls);
    let home = Home::new();
    let images = home.images();
    let target = name(&registry, "made:1");
    let image = load(&images, docker_archive("made:1", &layers())).unwrap().remove(0);
    images.tag(image.id.as_str(), &target).unwrap();
    let error = block(images.push(&target, None, &quiet())).unwrap_err();
    assert!(error.message.contains("certificate"), "{error}");
    registry.trust(&home);
    block(images.push(&target, None, &quiet())).unwrap();
    assert_eq!(pull(&images, &target).unwrap().id, image.id);
}

#[test]
fn mirrors_come_first_and_the_registry_after_them() {
    let (origin, mirror) = (Registry::start(Guard::None), Registry::start(Guard::None));
    let maker = Home::new();
    let images = maker.images();
    let archive = || oci_archive(&layers(), |_, _| {});
    publish(&images, archive(), &name(&mirror, "only/mirror:1"));
    publish(&images, archive(), &name(&origin, "only/origin:1"));
    let home = Home::new();
    let (host, other) = (&origin.host, &mirror.host);
    home.registries(&format!("[registry.\"{host}\"]\nmirrors = [\"http://{other}\"]\n"));
    assert!(pull(&home.images(), &name(&origin, "only/mirror:1")).is_ok());
    assert!(pull(&home.images(), &name(&origin, "only/origin:1")).is_ok());
    let error = pull(&home.images(), &name(&origin, "nowhere:1")).unwrap_err();
    assert_eq!(error.status, 404);
    assert!(error.message.contains("manifest unknown"), "{error}");
}

/// A proxy that ends the first connections after so many bytes of answers.
struct Cutter {
    port: u16,
    stop: Arc<AtomicBool>,
    /// Bytes of answers let through.
    passed: Arc<AtomicU64>,
}

impl Cutter {
    fn start(target: u16, cuts: usize, after: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, left) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(cuts)));
        let passed = Arc::new(AtomicU64::new(0));
        let (ended, counter) = (Arc::clone(&stop), Arc::clone(&passed));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                let (left, counter) = (Arc::clone(&left), Arc::clone(&counter));
                std::thread::spawn(move || {
                    relay(&client.unwrap(), &server, &left, after, &counter);
                });
            }
        });
        Self { port, stop, passed }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn relay(client: &TcpStream, server: &TcpStream, left: &AtomicUsize, after: u64, all: &AtomicU64) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let mut buffer = [0; 16 << 10];
    let mut passed = 0;
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
        passed += count as u64;
        all.fetch_add(count as u64, Ordering::Relaxed);
        let cut = |left: usize| left.checked_sub(1);
        if passed >= after && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cut).is_ok() {
            break;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}

fn big(size: usize) -> Vec<Vec<u8>> {
    vec![Layer::new().file("noise", &noise(size, 42)).done()]
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    const SIZE: usize = 8 << 20;
    let registry = Registry::start(Guard::None);
    let maker = Home::new();
    publish(&maker.images(), oci_archive(&big(SIZE), |_, _| {}), &name(&registry, "big:1"));
    // Cut four times within one pull.
    let cutter = Cutter::start(registry.port(), 4, 1 << 20);
    let target: Reference = format!("127.0.0.1:{}/big:1", cutter.port).parse().unwrap();
    let home = Home::new();
    pull(&home.images(), &target).unwrap();
    let passed = cutter.passed.load(Ordering::Relaxed);
    assert!(passed < SIZE as u64 * 5 / 4, "{passed} bytes for {SIZE}");
    // Cut for good: what came stays, and the next pull needs the rest only.
    let cutter = Cutter::start(registry.port(), 1_000_000, 1 << 20);
    let target: Reference = format!("127.0.0.1:{}/big:1", cutter.port).parse().unwrap();
    let home = Home::new();
    let mut rounds = 0;
    while let Err(error) = pull(&home.images(), &target) {
        assert_eq!(error.status, 500, "{error}");
        rounds += 1;
        assert!(rounds < 50);
    }
    let passed = cutter.passed.load(Ordering::Relaxed);
    assert!(passed < SIZE as u64 * 3 / 2, "{passed} bytes for {SIZE}");
}

#[test]
fn a_stale_part_is_thrown_away() {
    let registry = Registry::start(Guard::None);
    let maker = Home::new();
    let archive = oci_archive(&big(100_000), |_, _| {});
    let image = publish(&maker.images(), archive, &name(&registry, "big:1"));
    let home = Home::new();
    let images = home.images();
    let manifest = fs::read(maker.store().join("blobs/sha256").join(image.manifest.hex())).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    fs::write(home.store().join("partial").join(&digest[7..]), [7; 5000]).unwrap();
    assert_eq!(pull(&images, &name(&registry, "big:1")).unwrap().id, image.id);
}

#[test]
fn pulls_at_once_share_the_work() {
    const SIZE: usize = 4 << 20;
    let registry = Registry::start(Guard::None);
    let maker = Home::new();
    publish(&maker.images(), oci_archive(&big(SIZE), |_, _| {}), &name(&registry, "big:1"));
    let cutter = Cutter::start(registry.port(), 0, u64::MAX);
    let target: Reference = format!("127.0.0.1:{}/big:1", cutter.port).parse().unwrap();
    let home = Home::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| pull(&home.images(), &target).unwrap());
        }
    });
    let passed = cutter.passed.load(Ordering::Relaxed);
    assert!(passed < SIZE as u64 * 3 / 2, "{passed} bytes for {SIZE}");
    assert_eq!(home.images().list(&deck::image::Filter::default()).unwrap().len(), 1);
}

#[test]
fn sweeps_leave_alone_what_a_pull_relies_on() {
    let registry = Registry::start(Guard::None);
    let maker = Home::new();
    let shared = layers();
    for number in 0..3u8 {
        let mut own = shared.clone();
        own.push(Layer::new().file("own", &[number; 1000]).done());
        let target = name(&registry, &format!("img{number}:1"));
        publish(&maker.images(), oci_archive(&own, |_, _| {}), &target);
    }
    let home = Home::new();
    home.images();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (home, registry) = (&home, &registry);
            scope.spawn(move || {
                let images = home.images();
                let target = name(registry, &format!("img{number}:1"));
                for _ in 0..8 {
                    pull(&images, &target).unwrap();
                    block(images.remove(&target.familiar(), true, true, &|_| None)).unwrap();
                }
                pull(&images, &target).unwrap();
            });
        }
    });
    let images = home.images();
    for image in images.list(&deck::image::Filter::default()).unwrap() {
        let copy = home.dir.path().join(image.id.short());
        block(images.unpack(&image, &copy)).unwrap();
        assert!(copy.join("own").exists() && copy.join("etc/new").exists());
    }
    crate::faults::check_store(&home);
}
