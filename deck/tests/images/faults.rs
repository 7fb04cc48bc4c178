//! Processes killed at any moment: the store stays consistent, and the next command works.

use crate::archives::load;
use crate::fixture::{Layer, docker_archive, layers, noise, oci_archive};
use crate::harness::{Guard, Home, Registry, block, config_in, quiet};
use crate::registries::publish;
use deck::image::{Digest, Filter, Images};
use rusqlite::Connection;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the child of a kill test does: `operation home argument`.
const CHILD: &str = "DECK_TEST_CHILD";

/// Runs in a process of its own, to be killed; does nothing as a test.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = order.split(' ').collect();
    let images = Images::open(&config_in(Path::new(words[1]))).unwrap();
    match words[0] {
        "pull" => {
            block(images.pull(&words[2].parse().unwrap(), None, None, &quiet())).unwrap();
        }
        "load" => {
            let file = fs::File::open(words[2]).unwrap();
            block(images.load(Box::new(file), None, &quiet())).unwrap();
        }
        _ => {
            block(images.remove(words[2], true, true, &|_| None)).unwrap();
        }
    }
}

/// Runs a child for so long, then kills it; true if it had ended by itself.
fn killed(order: &str, after: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::child", "--nocapture"])
        .env(CHILD, order)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

/// Checks that every row has its content, and that content without a row goes with a sweep.
pub fn check_store(home: &Home) {
    let images = home.images();
    let db = Connection::open(home.config.data_root.join("deck.db")).unwrap();
    let column = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let store = home.store();
    for blob in column("SELECT DISTINCT blob FROM image_blob") {
        let digest: Digest = blob.parse().unwrap();
        let bytes = fs::read(store.join("blobs/sha256").join(digest.hex())).unwrap();
        assert_eq!(Digest::of(&bytes), digest);
    }
    for chain in column("SELECT chain FROM layer") {
        assert!(store.join("layers").join(&chain[7..]).join("diff").is_dir(), "{chain}");
    }
    for image in images.list(&Filter::default()).unwrap() {
        images.history(image.id.as_str()).unwrap();
    }
    block(images.prune(false, &Filter::default(), &|_| false)).unwrap();
    let count = |dir: &str| fs::read_dir(store.join(dir)).unwrap().count();
    assert_eq!(count("layers"), column("SELECT chain FROM layer").len());
    let blobs = column("SELECT DISTINCT blob FROM image_blob").len();
    assert_eq!((count("blobs/sha256"), count("staging"), count("partial")), (blobs, 0, 0));
}

fn heavy() -> Vec<Vec<u8>> {
    let many = (0..400).fold(Layer::new(), |layer, number| {
        layer.file(&format!("d{}/f{number}", number % 20), &noise(8000, number + 1))
    });
    let mut all = layers();
    all.push(many.done());
    all.push(Layer::new().file("noise", &noise(6 << 20, 3)).done());
    all
}

/// Kills an operation at growing moments until it gets through, checking the store each time;
/// `rounds` bounds how many.
fn sweep(home: &Home, order: &str, prepare: &dyn Fn(), rounds: u32) -> u32 {
    let mut whole = Duration::ZERO;
    for _ in 0..2 {
        prepare();
        let start = Instant::now();
        while !killed(order, Duration::from_millis(50) + start.elapsed()) {}
        whole = start.elapsed();
    }
    let mut cut = 0;
    for round in 0..rounds {
        prepare();
        if !killed(order, whole * round / rounds) {
            cut += 1;
        }
        check_store(home);
    }
    // Whatever happened before: now it works.
    prepare();
    while !killed(order, Duration::from_secs(2)) {}
    check_store(home);
    cut
}

/// Rounds of each sweep: enough for `make test`; the long target says more.
fn rounds() -> u32 {
    std::env::var("DECK_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn a_killed_pull_leaves_the_store_consistent() {
    let registry = Registry::start(Guard::None);
    let maker = Home::new();
    let target = format!("{}/heavy:1", registry.host);
    publish(&maker.images(), oci_archive(&heavy(), |_, _| {}), &target.parse().unwrap());
    let home = Home::new();
    let order = format!("pull {} {target}", home.dir.path().display());
    let remove = || {
        let images = home.images();
        let _ = block(images.remove(&target, true, true, &|_| None));
    };
    assert!(sweep(&home, &order, &remove, rounds()) > 0);
    assert!(home.images().resolve(&target).is_ok());
}

#[test]
fn a_killed_load_leaves_the_store_consistent() {
    let home = Home::new();
    let path = home.dir.path().join("heavy.tar");
    fs::write(&path, docker_archive("heavy:1", &heavy())).unwrap();
    let order = format!("load {} {}", home.dir.path().display(), path.display());
    let remove = || {
        let images = home.images();
        let _ = block(images.remove("heavy:1", true, true, &|_| None));
    };
    assert!(sweep(&home, &order, &remove, rounds()) > 0);
    assert!(home.images().resolve("heavy:1").is_ok());
}

#[test]
fn a_killed_rmi_leaves_the_store_consistent() {
    let home = Home::new();
    let archive = docker_archive("heavy:1", &heavy());
    let order = format!("rmi {} heavy:1", home.dir.path().display());
    let prepare = || {
        load(&home.images(), archive.clone()).unwrap();
    };
    sweep(&home, &order, &prepare, rounds());
    assert!(home.images().resolve("heavy:1").is_err());
}
