//! Images made here, with what layers can hold.

use deck::image::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use tar::{Builder, EntryType, Header};

/// A layer's archive being written.
pub struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, name: &str, kind: EntryType, mode: u32, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_mtime(1_700_000_000);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        raw(&mut header, 0, name);
        if !link.is_empty() {
            raw(&mut header, 157, link);
        }
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.add(name, EntryType::Regular, 0o644, "", data)
    }

    pub fn program(self, name: &str, data: &[u8]) -> Self {
        self.add(name, EntryType::Regular, 0o755, "", data)
    }

    pub fn mode(self, name: &str, mode: u32) -> Self {
        self.add(name, EntryType::Regular, mode, "", b"")
    }

    pub fn dir(self, name: &str, mode: u32) -> Self {
        self.add(name, EntryType::Directory, mode, "", b"")
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.add(name, EntryType::Symlink, 0o777, target, b"")
    }

    pub fn hard(self, name: &str, target: &str) -> Self {
        self.add(name, EntryType::Link, 0o644, target, b"")
    }

    pub fn fifo(self, name: &str) -> Self {
        self.add(name, EntryType::Fifo, 0o666, "", b"")
    }

    pub fn null(self, name: &str) -> Self {
        self.add(name, EntryType::Char, 0o666, "", b"")
    }

    /// A file with an extended attribute.
    pub fn attribute(mut self, name: &str, key: &str, value: &[u8]) -> Self {
        let key = format!("SCHILY.xattr.{key}");
        self.0.append_pax_extensions([(key.as_str(), value)]).unwrap();
        self.file(name, b"x")
    }

    /// Any header at all.
    pub fn header(mut self, header: &Header, data: &[u8]) -> Self {
        self.0.append(header, data).unwrap();
        self
    }

    pub fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Names as they are, which the tar crate refuses to write.
pub fn raw(header: &mut Header, at: usize, text: &str) {
    let field = &mut header.as_mut_bytes()[at..at + 100];
    field.fill(0);
    field[..text.len()].copy_from_slice(text.as_bytes());
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    config_of(layers, &json!({"Cmd": ["/bin/true"], "Env": ["A=b"], "Labels": {"l": "v"}}))
}

/// A configuration that runs as `run` says.
pub fn config_of(layers: &[Vec<u8>], run: &Value) -> Vec<u8> {
    let diffs: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({
        "architecture": deck::image::Platform::host().architecture, "os": "linux",
        "created": "2026-01-02T03:04:05Z", "author": "somebody",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "history": [{"created_by": "first"}, {"created_by": "env", "empty_layer": true}],
    })
    .to_string()
    .into_bytes()
}

/// An archive of `docker save`'s first kind.
pub fn docker_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    docker_archive_of(name, &config(layers), layers)
}

/// The same with a configuration.
pub fn docker_archive_of(name: &str, config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = Layer::new();
    let mut names = Vec::new();
    for (position, layer) in layers.iter().enumerate() {
        let name = format!("{position}/layer.tar");
        archive = archive.file(&name, layer);
        names.push(name);
    }
    let manifest = json!([{"Config": "c.json", "RepoTags": [name], "Layers": names}]);
    archive.file("c.json", config).file("manifest.json", manifest.to_string().as_bytes()).done()
}

/// An OCI layout's archive with gzip layers; `damage` may change the blobs by name.
pub fn oci_archive(layers: &[Vec<u8>], damage: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    let config = config(layers);
    let blobs: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let describe = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe("application/vnd.oci.image.config.v1+json", &config),
        "layers": blobs.iter().map(|blob| describe(kind, blob)).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = describe("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "made:1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string().into_bytes();
    let mut archive = Layer::new();
    let members = [("config", config), ("manifest", manifest)];
    let layers = blobs.into_iter().map(|blob| ("layer", blob));
    for (name, mut bytes) in members.into_iter().chain(layers) {
        let path = format!("blobs/sha256/{}", Digest::of(&bytes).hex());
        damage(name, &mut bytes);
        archive = archive.file(&path, &bytes);
    }
    archive
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", &index)
        .done()
}

/// Bytes that don't compress, the same every time.
pub fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Two ordinary layers: files, links, an attribute, a device, a whiteout, an opaque directory.
pub fn layers() -> Vec<Vec<u8>> {
    let lower = Layer::new()
        .dir("etc/", 0o750)
        .file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
        .file("etc/gone", b"x")
        .dir("opaque/", 0o755)
        .file("opaque/old", b"old")
        .mode("suid", 0o4755)
        .link("link", "/etc/passwd")
        .hard("hard", "etc/passwd")
        .null("null")
        .attribute(
            "cap",
            "security.capability",
            b"\x01\x00\x00\x02\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        )
        .done();
    let upper = Layer::new()
        .file("etc/.wh.gone", b"")
        .file("etc/new", b"new")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"new")
        .done();
    vec![lower, upper]
}
