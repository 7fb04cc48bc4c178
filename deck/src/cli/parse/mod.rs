//! Values of options; pure, in Docker's spelling and with its errors.

pub mod device;
pub mod duration;
pub mod env;
pub mod mount;
pub mod network;
pub mod port;
pub mod size;
pub mod ulimit;
pub mod volume;

/// Splits a line of comma-separated values, where one in double quotes may hold commas (RFC 4180).
pub fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    if quoted { Err(format!("unclosed quote in {text}")) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::csv;

    #[test]
    fn quotes_keep_commas() {
        assert_eq!(csv(r#"a,"b=1,2",c"#).unwrap(), ["a", "b=1,2", "c"]);
        assert_eq!(csv(r#""a""b""#).unwrap(), ["a\"b"]);
        assert!(csv(r#""a"#).is_err());
    }
}
