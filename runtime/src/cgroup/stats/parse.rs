//! The formats of cgroup files (kernel documentation, admin-guide/cgroup-v2, "Format").

use super::super::file::{malformed, read_optional, read_raw};
use super::{BlkioEntry, Psi, PsiData};
use crate::error::{At, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// A number; `max` is the greatest. Some counters of old kernels can go below zero: that is zero.
pub(super) fn number(text: &str) -> Option<u64> {
    match text {
        "max" => Some(u64::MAX),
        text => match text.strip_prefix('-') {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(0),
            None => text.parse().ok(),
        },
    }
}

/// The one number of a file; nothing if there is no such file.
pub(super) fn value(dir: &Path, file: &str) -> Result<Option<u64>> {
    let Some(text) = read_optional(dir, file)? else { return Ok(None) };
    match number(text.trim_end()) {
        Some(value) => Ok(Some(value)),
        None => Err(malformed(dir, file, text)),
    }
}

/// The `key value` lines of a file; none if there is no such file.
pub(super) fn keyed(dir: &Path, file: &str) -> Result<BTreeMap<String, u64>> {
    let Some(text) = read_optional(dir, file)? else { return Ok(BTreeMap::new()) };
    text.lines()
        .map(|line| {
            let (key, value) = line.split_once(' ').ok_or_else(|| malformed(dir, file, line))?;
            let value = number(value).ok_or_else(|| malformed(dir, file, line))?;
            Ok((key.to_owned(), value))
        })
        .collect()
}

/// A list as `0-3,7`.
pub(super) fn list(text: &str) -> Option<Vec<u16>> {
    let mut numbers = Vec::new();
    for range in text.trim_end().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// The lines of a blkio file of v1: `8:0 Read 123`, `8:0 123`, `Total 123`.
pub(super) fn blkio(text: &str) -> Option<Vec<BlkioEntry>> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split([' ', ':']).collect();
        let (major, minor, op, value) = match words.as_slice() {
            ["Total", _] => continue,
            [major, minor, value] => (major, minor, "", value),
            [major, minor, op, value] => (major, minor, *op, value),
            _ => return None,
        };
        entries.push(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: number(value)?,
        });
    }
    Some(entries)
}

/// A file of pressure stall information; nothing where the kernel has none or it is switched off.
pub(super) fn pressure(dir: &Path, file: &str) -> Result<Option<Psi>> {
    let text = match read_raw(dir, file) {
        Err(error)
            if super::super::file::gone(&error)
                || error.raw_os_error() == Some(libc::EOPNOTSUPP) =>
        {
            return Ok(None);
        }
        other => other.at(|| format!("read {:?}", dir.join(file)))?,
    };
    match psi(&text) {
        Some(psi) => Ok(Some(psi)),
        None => Err(malformed(dir, file, text)),
    }
}

fn psi(text: &str) -> Option<Psi> {
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let data = match words.next()? {
            "some" => &mut psi.some,
            "full" => &mut psi.full,
            _ => continue,
        };
        words.try_for_each(|word| field(data, word))?;
    }
    Some(psi)
}

fn field(data: &mut PsiData, word: &str) -> Option<()> {
    let (key, value) = word.split_once('=')?;
    match key {
        "avg10" => data.avg10 = value.parse().ok()?,
        "avg60" => data.avg60 = value.parse().ok()?,
        "avg300" => data.avg300 = value.parse().ok()?,
        "total" => data.total = value.parse().ok()?,
        _ => {}
    }
    Some(())
}

/// The sizes of huge pages this kernel has, as the hugetlb files spell them.
pub(super) fn huge_page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let mut sizes: Vec<u64> =
        entries.flatten().filter_map(|entry| page_size_kib(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(page_size_name).collect()
}

/// 2048 for `hugepages-2048kB`.
fn page_size_kib(name: &str) -> Option<u64> {
    name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

/// `2MB` for 2048.
fn page_size_name(kib: u64) -> String {
    if kib >= 1 << 20 {
        format!("{}GB", kib >> 20)
    } else if kib >= 1 << 10 {
        format!("{}MB", kib >> 10)
    } else {
        format!("{kib}KB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("12"), Some(12));
        assert_eq!(number("max"), Some(u64::MAX));
        assert_eq!(number("-4096"), Some(0));
        assert_eq!(number("12x"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn lists() {
        assert_eq!(list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(list("\n"), Some(vec![]));
        assert_eq!(list("3-1"), None);
        assert_eq!(list("a"), None);
        assert_eq!(list("0-99999"), None);
    }

    #[test]
    fn blkio_lines() {
        let entries = blkio("8:0 Read 12\n8:16 7\nTotal 19\n").unwrap();
        let entry =
            |major, minor, op: &str, value| BlkioEntry { major, minor, op: op.to_owned(), value };
        assert_eq!(entries, [entry(8, 0, "Read", 12), entry(8, 16, "", 7)]);
        assert_eq!(blkio("nonsense"), None);
    }

    #[test]
    fn pressure_lines() {
        let text = "some avg10=0.12 avg60=1.80 avg300=12.07 total=110855954\n\
                    full avg10=0.00 avg60=0.00 avg300=0.50 total=3\n";
        let parsed = psi(text).unwrap();
        assert_eq!(parsed.some.total, 110_855_954);
        assert!((parsed.some.avg300 - 12.07).abs() < 1e-9);
        assert!((parsed.full.avg300 - 0.5).abs() < 1e-9);
        assert_eq!(psi("some avg10"), None);
    }

    #[test]
    fn page_sizes() {
        let name = |text| page_size_kib(text).map(page_size_name);
        assert_eq!(name("hugepages-2048kB").as_deref(), Some("2MB"));
        assert_eq!(name("hugepages-1048576kB").as_deref(), Some("1GB"));
        assert_eq!(name("hugepages-64kB").as_deref(), Some("64KB"));
        assert_eq!(name("hugepages-64MB"), None);
    }
}
