//! save and load, ours and others'.

use crate::fixture::{docker_archive, gzip, layers, oci_archive};
use crate::harness::{Home, block, quiet, recorder, run};
use deck::image::{Filter, Images, Progress};
use std::io::Cursor;
use std::path::Path;

pub fn load(images: &Images, archive: Vec<u8>) -> deck::Result<Vec<deck::image::Image>> {
    block(images.load(Box::new(Cursor::new(archive)), None, &quiet()))
}

fn save(images: &Images, name: &str, path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    block(images.save(&[name.to_owned()], Box::new(file))).unwrap();
}

#[test]
fn a_docker_archive_is_loaded_and_described() {
    let home = Home::new();
    let images = home.images();
    let (sink, log) = recorder();
    let archive = docker_archive("made:1", &layers());
    block(images.load(Box::new(Cursor::new(gzip(&archive))), None, &sink)).unwrap();
    let lines = log.lock().unwrap();
    assert_eq!(lines.last(), Some(&Progress::Stream("Loaded image: made:1\n".to_owned())));
    let image = images.resolve("made:1").unwrap();
    assert_eq!(image.repo_tags, ["made:1"]);
    assert_eq!(images.resolve(image.id.short()).unwrap().id, image.id);
    assert_eq!(images.resolve(image.id.as_str()).unwrap().id, image.id);
    assert_eq!(images.resolve("other").unwrap_err().status, 404);
    let history = images.history("made:1").unwrap();
    assert_eq!(history.last().unwrap().created_by, "first");
    let filter = Filter { references: vec!["ma*".to_owned()], ..Filter::default() };
    assert_eq!(images.list(&filter).unwrap().len(), 1);
    let filter = Filter { labels: vec!["l=w".to_owned()], ..Filter::default() };
    assert!(images.list(&filter).unwrap().is_empty());
}

#[test]
fn a_saved_archive_is_read_by_skopeo_and_umoci_and_ourselves() {
    let home = Home::new();
    let images = home.images();
    let first = load(&images, oci_archive(&layers(), |_, _| {})).unwrap().remove(0);
    let path = home.dir.path().join("saved.tar");
    save(&images, "made:1", &path);
    let path = path.display().to_string();
    let digest = |source: &str| {
        run("skopeo", &["inspect", "--format", "{{.Digest}}", source]).trim().to_owned()
    };
    assert_eq!(digest(&format!("oci-archive:{path}")), first.manifest.as_str());
    run("skopeo", &["inspect", &format!("docker-archive:{path}:made:1")]);
    let layout = home.dir.path().join("layout").display().to_string();
    run("skopeo", &["copy", "-q", &format!("oci-archive:{path}"), &format!("oci:{layout}:x")]);
    let bundle = home.dir.path().join("bundle").display().to_string();
    run("umoci", &["unpack", "--image", &format!("{layout}:x"), &bundle]);
    // umoci unpacked what we unpack.
    let ours = home.dir.path().join("ours");
    block(images.unpack(&first, &ours)).unwrap();
    assert_eq!(tree(&ours), tree(&Path::new(&bundle).join("rootfs")));
    let other = Home::new();
    let again = load(&other.images(), std::fs::read(path).unwrap()).unwrap().remove(0);
    assert_eq!((again.id, again.manifest), (first.id, first.manifest));
    assert_eq!(again.repo_tags, ["made:1"]);
}

#[test]
fn what_skopeo_writes_is_loaded() {
    let home = Home::new();
    let images = home.images();
    let made = load(&images, docker_archive("made:1", &layers())).unwrap().remove(0);
    let path = home.dir.path().join("saved.tar");
    save(&images, "made:1", &path);
    let source = format!("docker-archive:{}", path.display());
    for kind in ["docker-archive", "oci-archive"] {
        let target = home.dir.path().join(kind);
        let spec = format!("{kind}:{}:copied:1", target.display());
        run("skopeo", &["copy", "-q", &source, &spec]);
        let other = Home::new();
        let loaded = load(&other.images(), std::fs::read(target).unwrap()).unwrap().remove(0);
        assert_eq!(loaded.repo_tags, ["copied:1"], "{kind}");
        assert_eq!(loaded.config.rootfs, made.config.rootfs, "{kind}");
    }
}

/// Every path with its kind, mode, owner, size and link.
pub fn tree(root: &Path) -> Vec<String> {
    let format = "%P %y %m %U %G %l %T@\n";
    let path = root.display().to_string();
    let all = run("find", &[&path, "-mindepth", "1", "-printf", format]);
    // Directories' times differ where entries came later; umoci sets them otherwise.
    let mut lines: Vec<String> = all
        .lines()
        .map(|line| {
            let directory = line.split(' ').nth(1) == Some("d");
            if directory { line.rsplit_once(' ').unwrap().0.to_owned() } else { line.to_owned() }
        })
        .collect();
    lines.sort();
    lines
}
