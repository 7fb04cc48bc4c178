//! Lists of CPUs and of memory nodes, `0-3,7`.

use std::ops::RangeInclusive;

/// Highest CPU or node number that is taken; the kernel's own limits are far below.
const MOST: u32 = 64 * 1024;

/// The ranges of a list. Blanks around elements and empty elements are put up with, as runc does;
/// an empty list has no ranges.
pub fn parse(text: &str) -> Result<Vec<RangeInclusive<u32>>, String> {
    let number = |digits: &str| match digits.parse::<u32>() {
        // Rust's parser takes a sign.
        Ok(number) if number <= MOST && !digits.starts_with('+') => Ok(number),
        _ => Err(format!("{digits:?} is not a number up to {MOST}")),
    };
    let mut ranges = Vec::new();
    for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (first, last) = match element.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(element)?, number(element)?),
        };
        if first > last {
            return Err(format!("{element:?} is not a range"));
        }
        ranges.push(first..=last);
    }
    if ranges.is_empty() && !text.is_empty() {
        return Err("no members".to_owned());
    }
    Ok(ranges)
}

/// How many different numbers `ranges` hold.
pub fn count(ranges: &[RangeInclusive<u32>]) -> usize {
    let mut sorted: Vec<_> = ranges.iter().map(|range| (*range.start(), *range.end())).collect();
    sorted.sort_unstable();
    let mut next = 0;
    let mut count = 0;
    for (first, last) in sorted {
        let first = first.max(next);
        count += (last + 1).saturating_sub(first) as usize;
        next = next.max(last + 1);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, numbers) in [
            ("", 0),
            ("0", 1),
            ("0-3,7", 5),
            (" 1 , ,2-2,", 2),
            ("0-7,4-9,9", 10),
            ("5-6,0-9", 10),
            ("65536", 1),
        ] {
            assert_eq!(count(&parse(text).unwrap()), numbers, "{text}");
        }
    }

    #[test]
    fn bad_lists() {
        for text in
            [",", " ", "a", "-1", "1-", "3-1", "1-2-3", "+1", "65537", "0-9876543210", "0x1", "1 2"]
        {
            parse(text).unwrap_err();
        }
    }
}
