//! Texts of control group files.

use std::fs;
use std::path::Path;

/// The number after `key` in lines of `key value`.
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok()).flatten()
    })
}

/// A file's single number; `max` is the largest one, a missing file 0.
pub fn number(path: &Path) -> u64 {
    fs::read_to_string(path).map_or(0, |text| value(text.trim()))
}

/// A number, or `max`.
pub fn value(text: &str) -> u64 {
    if text == "max" { u64::MAX } else { text.parse().unwrap_or(0) }
}

/// A file's text, empty if it is missing: controllers differ between kernels.
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Page sizes of huge pages with a `hugetlb.SIZE.` file in a directory.
pub fn huge_page_sizes(dir: &Path) -> Vec<String> {
    let mut sizes: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix("hugetlb.")?;
            let (size, file) = rest.split_once('.')?;
            matches!(file, "max" | "limit_in_bytes").then(|| size.to_owned())
        })
        .collect();
    sizes.sort_unstable();
    sizes
}

/// Lines of `DEVICE hca_handle=N hca_object=N` (`rdma.current`, `rdma.max`).
pub fn rdma(text: &str) -> Vec<(String, u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let device = words.next()?.to_owned();
            let (mut handles, mut objects) = (0, 0);
            for word in words {
                match word.split_once('=') {
                    Some(("hca_handle", count)) => handles = small(count),
                    Some(("hca_object", count)) => objects = small(count),
                    _ => {}
                }
            }
            Some((device, handles, objects))
        })
        .collect()
}

fn small(text: &str) -> u32 {
    if text == "max" { u32::MAX } else { text.parse().unwrap_or(0) }
}

/// A device as `MAJOR:MINOR`.
pub fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_whole_words() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), None);
    }

    #[test]
    fn rdma_lines_are_read() {
        let text = "mlx4_0 hca_handle=2 hca_object=max\n";
        assert_eq!(rdma(text), [("mlx4_0".to_owned(), 2, u32::MAX)]);
    }

    #[test]
    fn max_is_the_largest_number() {
        assert_eq!((value("max"), value("7"), value("")), (u64::MAX, 7, 0));
        assert_eq!(device("8:16"), Some((8, 16)));
    }
}
