//! `--filter key=value`, as every list and prune takes it.

/// Reads one filter.
///
/// # Errors
/// Docker's words: there is no `=`.
pub fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err(format!("bad format of filter (expected name=value): {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_label_keeps_its_own_equals_sign() {
        assert_eq!(parse("label=a=b"), Ok(("label".into(), "a=b".into())));
        assert_eq!(parse("Name = x"), Ok(("name".into(), "x".into())));
        assert!(parse("label").is_err());
    }
}
