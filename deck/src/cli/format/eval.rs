//! A template's tree and a value to text.

use super::functions;
use super::nil;
use super::parse::{Base, Node, Operand, Pipe};
use super::print::{is_struct, printed};
use serde_json::Value;

/// What a template may read.
#[derive(Clone, Copy)]
pub struct Data<'d> {
    /// `.` and `$`.
    pub root: &'d Value,
    /// What the method `.Label "name"` of Docker's lists looks into.
    pub labels: Option<&'d Value>,
}

/// Prints the nodes.
///
/// # Errors
/// A field isn't there or a function can't take its arguments, in Go's words.
pub fn render(nodes: &[Node], data: Data<'_>) -> Result<String, String> {
    let mut state = State { data, variables: vec![(String::new(), data.root.clone())] };
    let mut out = String::new();
    state.nodes(nodes, data.root, &mut out)?;
    Ok(out)
}

struct State<'d> {
    data: Data<'d>,
    /// The innermost last; the empty name is `$`.
    variables: Vec<(String, Value)>,
}

impl State<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value, out: &mut String) -> Result<(), String> {
        let scope = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        let nothing = value.is_null().then(|| field(pipe)).flatten();
                        match nothing.and_then(nil::printed) {
                            Some(text) => out.push_str(text),
                            None => out.push_str(&printed(&value)),
                        }
                    }
                }
                Node::If(pipe, body, otherwise) => {
                    let inner = self.variables.len();
                    let chosen = if truth(&self.pipe(pipe, dot)?) { body } else { otherwise };
                    self.nodes(chosen, dot, out)?;
                    self.variables.truncate(inner);
                }
                Node::With(pipe, body, otherwise) => {
                    let inner = self.variables.len();
                    let value = self.pipe(pipe, dot)?;
                    if truth(&value) {
                        self.nodes(body, &value, out)?;
                    } else {
                        self.nodes(otherwise, dot, out)?;
                    }
                    self.variables.truncate(inner);
                }
                Node::Range(pipe, body, otherwise) => {
                    self.range(pipe, body, otherwise, dot, out)?;
                }
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
        out: &mut String,
    ) -> Result<(), String> {
        let plain = Pipe { variables: Vec::new(), commands: pipe.commands.clone() };
        let value = self.pipe(&plain, dot)?;
        let items: Vec<(Value, Value)> = match value {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(i, item)| (Value::from(i), item)).collect()
            }
            Value::Object(map) => {
                // Go walks maps in the order of their keys.
                let mut items: Vec<_> = map.into_iter().collect();
                items.sort_by(|a, b| a.0.cmp(&b.0));
                items.into_iter().map(|(key, item)| (Value::from(key), item)).collect()
            }
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", printed(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot, out);
        }
        for (key, item) in items {
            let inner = self.variables.len();
            match pipe.variables.as_slice() {
                [] => {}
                [one] => self.variables.push((one.clone(), item.clone())),
                [first, second, ..] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), item.clone()));
                }
            }
            self.nodes(body, &item, out)?;
            self.variables.truncate(inner);
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.unwrap_or(Value::Null);
        for name in &pipe.variables {
            self.variables.push((name.clone(), value.clone()));
        }
        Ok(value)
    }

    fn command(
        &mut self,
        operands: &[Operand],
        last: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let Some((first, rest)) = operands.split_first() else { return Ok(Value::Null) };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        match first {
            Operand::Function(name) => functions::call(name, arguments),
            Operand::Chain(Base::Dot, fields)
                if fields.len() == 1 && fields[0] == "Label" && self.data.labels.is_some() =>
            {
                let labels = self.data.labels.unwrap_or(&Value::Null);
                let key = arguments.first().and_then(Value::as_str).unwrap_or("");
                Ok(labels.get(key).cloned().unwrap_or_else(|| "".into()))
            }
            _ if arguments.is_empty() => self.operand(first, dot),
            Operand::Chain(_, fields) => {
                let name = fields.last().map_or("", String::as_str);
                Err(format!("{name} has arguments but cannot be invoked as function"))
            }
            Operand::Constant(value) => {
                Err(format!("can't give argument to non-function {}", printed(value)))
            }
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Constant(value) => Ok(value.clone()),
            Operand::Function(name) => functions::call(name, Vec::new()),
            Operand::Chain(base, fields) => match base {
                Base::Dot => walk(dot, fields).cloned(),
                Base::Variable(name) => {
                    let found = self.variables.iter().rev().find(|(known, _)| known == name);
                    let Some((_, value)) = found else {
                        return Err(format!("undefined variable \"${name}\""));
                    };
                    walk(value, fields).cloned()
                }
                Base::Group(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    walk(&value, fields).cloned()
                }
            },
        }
    }
}

/// The field that a pipeline is no more than.
fn field(pipe: &Pipe) -> Option<&str> {
    let [command] = pipe.commands.as_slice() else { return None };
    let [Operand::Chain(_, fields)] = command.as_slice() else { return None };
    fields.last().map(String::as_str)
}

/// Follows fields. In a struct a name that isn't there is an error unless it may be left out, in a
/// map it is no value.
fn walk<'v>(value: &'v Value, fields: &[String]) -> Result<&'v Value, String> {
    const NOTHING: &Value = &Value::Null;
    let mut value = value;
    for (depth, name) in fields.iter().enumerate() {
        value = match value {
            Value::Object(map) => match map.get(name) {
                Some(value) => value,
                None if is_struct(value)
                    && (depth + 1 < fields.len() || nil::printed(name).is_none()) =>
                {
                    let path = fields[..=depth].join(".");
                    return Err(format!(
                        "executing \"\" at <.{path}>: map has no entry for key {name:?}"
                    ));
                }
                None => NOTHING,
            },
            Value::Null => {
                let path = fields[..=depth].join(".");
                return Err(format!(
                    "executing \"\" at <.{path}>: nil data; no entry for key {name:?}"
                ));
            }
            other => {
                let path = fields[..=depth].join(".");
                return Err(format!(
                    "executing \"\" at <.{path}>: can't evaluate field {name} in type {}",
                    functions::kind(other)
                ));
            }
        };
    }
    Ok(value)
}

/// Go's truth: what is empty or zero is false.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
