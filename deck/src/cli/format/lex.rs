//! Go's template text to tokens: text, and the words between `{{` and `}}`.

/// One piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// Text that is printed as it stands.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.`, or `.Name` (without the point); several follow each other in a chain.
    Field(String),
    /// `$` or `$name`.
    Variable(String),
    /// A function, a keyword, `true`, `nil`.
    Word(String),
    /// A quoted string, unquoted.
    String(String),
    /// A number as it was written.
    Number(String),
    /// `|`, `(`, `)`, `,`, `=`, `:=`
    Punctuation(&'static str),
    /// White space between words: `.A .B` are two operands, `.A.B` is one.
    Space,
}

/// Splits a template into tokens.
///
/// # Errors
/// An action or a string isn't closed, or a character has no meaning.
pub fn lex(template: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = template;
    let mut trim = false;
    loop {
        let (text, action) = match rest.split_once("{{") {
            Some((text, action)) => (text, Some(action)),
            None => (rest, None),
        };
        let mut text = if trim { text.trim_start() } else { text };
        let Some(mut action) = action else {
            push_text(&mut tokens, text);
            return Ok(tokens);
        };
        if let Some(after) = action.strip_prefix("- ") {
            text = text.trim_end();
            action = after;
        }
        push_text(&mut tokens, text);
        if let Some(after) = action.trim_start().strip_prefix("/*") {
            let (_, after) = after.split_once("*/").ok_or("unclosed comment")?;
            let after = after.trim_start();
            trim = after.starts_with('-');
            rest = after
                .trim_start_matches('-')
                .strip_prefix("}}")
                .ok_or("comment ends before closing delimiter")?;
            continue;
        }
        tokens.push(Token::Open);
        let (after, trims) = lex_action(action, &mut tokens)?;
        trim = trims;
        rest = after;
    }
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    if !text.is_empty() {
        tokens.push(Token::Text(text.to_owned()));
    }
}

/// Reads to behind `}}`; tells whether it was ` -}}`.
fn lex_action<'t>(mut rest: &'t str, tokens: &mut Vec<Token>) -> Result<(&'t str, bool), String> {
    loop {
        if let Some(after) = rest.strip_prefix("}}") {
            tokens.push(Token::Close);
            return Ok((after, false));
        }
        if rest.starts_with(char::is_whitespace) {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("-}}") {
                tokens.push(Token::Close);
                return Ok((after, true));
            }
            tokens.push(Token::Space);
            continue;
        }
        rest = lex_word(rest, tokens)?;
    }
}

fn lex_word<'t>(rest: &'t str, tokens: &mut Vec<Token>) -> Result<&'t str, String> {
    let Some(first) = rest.chars().next() else { return Err("unclosed action".into()) };
    for mark in [":=", "|", "(", ")", ",", "="] {
        if let Some(after) = rest.strip_prefix(mark) {
            tokens.push(Token::Punctuation(mark));
            return Ok(after);
        }
    }
    let name_of = |text: &'t str| -> (&'t str, &'t str) {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text.split_at(end)
    };
    match first {
        '"' | '\'' => {
            let (text, after) = quoted(&rest[1..], first)?;
            tokens.push(if first == '"' {
                Token::String(text)
            } else {
                // A character constant is its number.
                Token::Number(text.chars().next().map_or(0, u32::from).to_string())
            });
            Ok(after)
        }
        '`' => {
            let (text, after) =
                rest[1..].split_once('`').ok_or("unterminated raw quoted string")?;
            tokens.push(Token::String(text.to_owned()));
            Ok(after)
        }
        '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let (name, after) = name_of(&rest[1..]);
            tokens.push(Token::Field(name.to_owned()));
            Ok(after)
        }
        '$' => {
            let (name, after) = name_of(&rest[1..]);
            tokens.push(Token::Variable(name.to_owned()));
            Ok(after)
        }
        '0'..='9' | '-' | '+' | '.' => {
            let end = rest[1..]
                .find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_')
                .map_or(rest.len(), |end| end + 1);
            let (number, after) = rest.split_at(end);
            tokens.push(Token::Number(number.to_owned()));
            Ok(after)
        }
        c if c.is_alphabetic() || c == '_' => {
            let (name, after) = name_of(rest);
            tokens.push(Token::Word(name.to_owned()));
            Ok(after)
        }
        c => Err(format!("unexpected {c:?} in command")),
    }
}

/// Reads a quoted string with Go's escapes; gives what is behind it too.
fn quoted(rest: &str, end: char) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = rest.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            c if c == end => return Ok((out, &rest[index + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c @ ('\\' | '"' | '\'')) => out.push(c),
                Some(c) => return Err(format!("invalid escape \\{c} in a quoted string")),
                None => break,
            },
            '\n' => break,
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_takes_white_space_beside_it() {
        let tokens = lex("a \n{{- .X -}} \n b").unwrap();
        let text = |t: &str| Token::Text(t.into());
        assert_eq!(tokens[0], text("a"));
        assert_eq!(tokens.last(), Some(&text("b")));
    }

    #[test]
    fn comments_vanish() {
        assert_eq!(lex("a{{/* x }} */}}b").unwrap().len(), 2);
    }

    #[test]
    fn broken_templates() {
        for template in ["{{", "{{ \"a }}", "{{ . ", "{{ % }}", "{{/* }}", r#"{{"\q"}}"#] {
            assert!(lex(template).is_err(), "{template}");
        }
    }
}
