use super::*;
use nix::sys::stat::Mode;
use std::os::unix::fs::symlink;

#[path = "oracle_tests.rs"]
mod oracle;

const GOOD: &str = r#"{"ociVersion": "1.3.0", "hostname": "h"}"#;

fn bundle(config: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    dir
}

fn error(dir: &Path) -> String {
    Bundle::open(dir).unwrap_err().to_string()
}

#[test]
fn a_bundle_behind_a_link() {
    let dir = bundle(GOOD.as_bytes());
    let link = dir.path().join("link");
    symlink(dir.path(), &link).unwrap();
    let bundle = Bundle::open(&link).unwrap();
    assert_eq!(bundle.path, std::fs::canonicalize(dir.path()).unwrap());
    assert_eq!(bundle.spec.hostname, "h");
    assert_eq!(bundle.raw, GOOD.as_bytes());
}

#[test]
fn no_bundle() {
    let missing = error(Path::new("/no/such"));
    assert_eq!(missing, "bundle \"/no/such\": no such file or directory");
    let file = error(Path::new("/proc/self/status"));
    assert_eq!(file, "bundle \"/proc/self/status\": not a directory");
    let dir = tempfile::tempdir().unwrap();
    assert!(error(dir.path()).contains("JSON specification file config.json not found"));
}

#[test]
fn only_regular_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    // Would wait for a writer, if it were opened without O_NONBLOCK.
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert_eq!(error(dir.path()), "config.json: not a regular file");
    std::fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert_eq!(error(dir.path()), "config.json: not a regular file");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(error(dir.path()), "config.json: not a regular file");
}

#[test]
fn size_is_bounded() {
    let dir = bundle(b"");
    let path = dir.path().join("config.json");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(MOST + 1).unwrap();
    assert_eq!(error(dir.path()), "config.json: larger than 16 MiB");
    // As large as is allowed, and blank behind the object.
    let mut config = GOOD.as_bytes().to_vec();
    config.resize(usize::try_from(MOST).unwrap(), b' ');
    std::fs::write(&path, config).unwrap();
    assert_eq!(Bundle::open(dir.path()).unwrap().spec.hostname, "h");
}

#[test]
fn a_broken_config_is_located() {
    let dir = bundle(b"{\n\"root\": {\"path\": 7}}");
    assert_eq!(
        error(dir.path()),
        "config.json: root.path: invalid type: integer `7`, expected a string at line 2 column 18"
    );
}

#[test]
fn a_process_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("process.json");
    std::fs::write(&path, r#"{"args": ["ls"], "cwd": "/"}"#).unwrap();
    assert_eq!(load_process(&path).unwrap().args, ["ls"]);
    std::fs::write(&path, "null").unwrap();
    let error = load_process(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}: config cannot be null", path.display()));
    let error = load_process(Path::new("/no/such")).unwrap_err().to_string();
    assert_eq!(error, "open \"/no/such\": no such file or directory");
}

/// Whatever a byte is exchanged for, the answer is a configuration or one line.
#[test]
fn damage_never_panics() {
    let whole = include_bytes!("../../tests/data/minimal.json").trim_ascii();
    for end in 0..whole.len() {
        let error = parse::<Spec>(&whole[..end]).unwrap_err().to_string();
        assert!(!error.is_empty() && !error.contains('\n'), "{end}: {error}");
    }
    for at in 0..whole.len() {
        for byte in [0, b'\n', b'"', b'\\', b'{', b']', b',', b'9', b'-', 0x80, 0xff] {
            let mut raw = whole.to_vec();
            raw[at] = byte;
            match parse::<Spec>(&raw) {
                Ok(spec) => drop(crate::spec::check::check(&spec)),
                Err(error) => assert!(!error.to_string().contains('\n'), "{at}: {error}"),
            }
        }
    }
}

#[test]
fn arrays_are_no_objects() {
    for pointer in [
        "process.user",
        "process.capabilities",
        "hooks",
        "linux.resources",
        "linux.resources.memory",
        "linux.resources.cpu",
        "linux.resources.pids",
    ] {
        let json = pointer
            .rsplit('.')
            .fold("[]".to_owned(), |inner, name| format!("{{\"{name}\":{inner}}}"));
        let error = super::parse::<crate::spec::Spec>(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(pointer) && error.contains("an object"), "{error}");
    }
}
