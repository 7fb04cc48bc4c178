//! Tokens to a tree: actions, `if`, `range`, `with`.

use super::lex::{Token, lex};
use serde_json::{Number, Value};

/// Blocks within blocks: deeper than any template means it.
const DEEPEST: usize = 64;

/// A part of a template.
#[derive(Debug, Clone)]
pub enum Node {
    /// Printed as it stands.
    Text(String),
    /// Printed, or only assigned where it has variables.
    Action(Pipe),
    /// `if`.
    If(Pipe, Vec<Node>, Vec<Node>),
    /// `with`.
    With(Pipe, Vec<Node>, Vec<Node>),
    /// `range`.
    Range(Pipe, Vec<Node>, Vec<Node>),
}

/// Commands whose results become each next one's last argument.
#[derive(Debug, Clone)]
pub struct Pipe {
    /// Variables that take the value: one, or two of `range`.
    pub variables: Vec<String>,
    /// The commands.
    pub commands: Vec<Vec<Operand>>,
}

/// A value or a function.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A constant.
    Constant(Value),
    /// A function's name.
    Function(String),
    /// Fields below something.
    Chain(Base, Vec<String>),
}

/// What fields are taken of.
#[derive(Debug, Clone)]
pub enum Base {
    /// `.`
    Dot,
    /// `$name`; `$` alone is the empty name.
    Variable(String),
    /// `( … )`
    Group(Pipe),
}

/// Reads a template.
///
/// # Errors
/// What is wrong with it, in Go's words where they are known.
pub fn parse(template: &str) -> Result<Vec<Node>, String> {
    let tokens = lex(template)?;
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let (nodes, end) = parser.nodes()?;
    match end.as_deref() {
        None => Ok(nodes),
        Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn spaces(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.next += 1;
        }
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Punctuation(found)) if *found == mark)
    }

    fn expect_close(&mut self) -> Result<(), String> {
        self.spaces();
        match self.take() {
            Some(Token::Close) => Ok(()),
            other => Err(format!("unexpected {} in command", shown(other.as_ref()))),
        }
    }

    /// Nodes up to the end, or to `end` or `else`, whose word is given back.
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<String>), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many blocks in each other".into());
        }
        let mut nodes = Vec::new();
        loop {
            match self.take() {
                None => {
                    self.depth -= 1;
                    return Ok((nodes, None));
                }
                Some(Token::Text(text)) => nodes.push(Node::Text(text)),
                Some(_) => {
                    self.spaces();
                    let word = match self.peek() {
                        Some(Token::Word(word)) => word.clone(),
                        _ => String::new(),
                    };
                    match word.as_str() {
                        "end" | "else" => {
                            self.next += 1;
                            self.depth -= 1;
                            return Ok((nodes, Some(word)));
                        }
                        "if" | "with" | "range" => {
                            self.next += 1;
                            nodes.push(self.block(&word)?);
                        }
                        "define" | "template" | "block" | "break" | "continue" => {
                            return Err(format!("{{{{{word}}}}} is not supported"));
                        }
                        _ => {
                            let pipe = self.pipe()?;
                            self.expect_close()?;
                            nodes.push(Node::Action(pipe));
                        }
                    }
                }
            }
        }
    }

    fn block(&mut self, word: &str) -> Result<Node, String> {
        let pipe = self.pipe()?;
        self.expect_close()?;
        let (body, end) = self.nodes()?;
        let mut otherwise = Vec::new();
        match end.as_deref() {
            Some("end") => self.expect_close()?,
            Some(_) => {
                self.spaces();
                // `{{else if …}}` is an `if` in the `else` that shares its `end`.
                let chained = match self.peek() {
                    Some(Token::Word(word)) if word == "if" || word == "with" => Some(word.clone()),
                    _ => None,
                };
                if let Some(word) = chained {
                    self.next += 1;
                    otherwise.push(self.block(&word)?);
                } else {
                    self.expect_close()?;
                    let (nodes, end) = self.nodes()?;
                    if end.as_deref() != Some("end") {
                        return Err("unexpected EOF".into());
                    }
                    self.expect_close()?;
                    otherwise = nodes;
                }
            }
            None => return Err("unexpected EOF".into()),
        }
        Ok(match word {
            "if" => Node::If(pipe, body, otherwise),
            "with" => Node::With(pipe, body, otherwise),
            _ => Node::Range(pipe, body, otherwise),
        })
    }

    /// `$a, $b := command | command`
    fn pipe(&mut self) -> Result<Pipe, String> {
        let start = self.next;
        let mut variables = Vec::new();
        loop {
            self.spaces();
            let Some(Token::Variable(name)) = self.peek().cloned() else { break };
            self.next += 1;
            self.spaces();
            variables.push(name);
            if self.is_mark(",") {
                self.next += 1;
            } else {
                break;
            }
        }
        if !variables.is_empty() && (self.is_mark(":=") || self.is_mark("=")) {
            self.next += 1;
        } else {
            variables.clear();
            self.next = start;
        }
        let mut commands = vec![self.command()?];
        while self.is_mark("|") {
            self.next += 1;
            commands.push(self.command()?);
        }
        Ok(Pipe { variables, commands })
    }

    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                Some(Token::Close | Token::Punctuation("|" | ")")) | None => break,
                _ => operands.push(self.operand()?),
            }
        }
        if operands.is_empty() {
            return Err("missing value for command".into());
        }
        Ok(operands)
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let base = match self.take() {
            Some(Token::String(text)) => return Ok(Operand::Constant(text.into())),
            Some(Token::Number(text)) => return number(&text).map(Operand::Constant),
            Some(Token::Word(word)) => {
                return Ok(match word.as_str() {
                    "true" => Operand::Constant(true.into()),
                    "false" => Operand::Constant(false.into()),
                    "nil" => Operand::Constant(Value::Null),
                    _ => Operand::Function(word),
                });
            }
            Some(Token::Field(name)) => {
                let mut fields: Vec<String> = Vec::new();
                if !name.is_empty() {
                    fields.push(name);
                }
                self.fields(&mut fields);
                return Ok(Operand::Chain(Base::Dot, fields));
            }
            Some(Token::Variable(name)) => Base::Variable(name),
            Some(Token::Punctuation("(")) => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err("too many parentheses in each other".into());
                }
                let pipe = self.pipe()?;
                self.spaces();
                if !self.is_mark(")") {
                    return Err("unclosed left paren".into());
                }
                self.next += 1;
                self.depth -= 1;
                Base::Group(pipe)
            }
            other => return Err(format!("unexpected {} in operand", shown(other.as_ref()))),
        };
        let mut fields = Vec::new();
        self.fields(&mut fields);
        Ok(Operand::Chain(base, fields))
    }

    fn fields(&mut self, fields: &mut Vec<String>) {
        while let Some(Token::Field(name)) = self.peek() {
            if !name.is_empty() {
                fields.push(name.clone());
            }
            self.next += 1;
        }
    }
}

fn number(text: &str) -> Result<Value, String> {
    let plain = text.replace('_', "");
    if let Ok(whole) = plain.parse::<i64>() {
        return Ok(whole.into());
    }
    if let Some(hex) = plain.strip_prefix("0x")
        && let Ok(whole) = i64::from_str_radix(hex, 16)
    {
        return Ok(whole.into());
    }
    let float = plain.parse::<f64>().ok().and_then(Number::from_f64);
    float.map(Value::Number).ok_or_else(|| format!("bad number syntax: {text:?}"))
}

fn shown(token: Option<&Token>) -> String {
    match token {
        None => "EOF".into(),
        Some(Token::Close) => "\"}}\"".into(),
        Some(Token::Punctuation(mark)) => format!("{mark:?}"),
        Some(Token::Field(name)) => format!("<.{name}>"),
        Some(Token::Variable(name)) => format!("<${name}>"),
        Some(Token::Word(text) | Token::String(text) | Token::Number(text)) => format!("{text:?}"),
        Some(other) => format!("{other:?}"),
    }
}
