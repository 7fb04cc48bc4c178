//! A runtime broken on purpose: it stands in front of a real one and spoils one thing.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

const VARIABLE: &str = "HULL_CONFORMANCE_MUTANT";

/// What is spoilt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Break {
    /// A property of config.json is ignored.
    Drop(String),
    /// A property of config.json is taken for another value.
    Set(String, Value),
    /// A property of config.json is taken for one at another place.
    Move(String, String),
    /// A list of config.json is read backwards.
    Reverse(String),
    /// The configuration is taken for the suite's plain one: nothing wrong is noticed.
    Repair,
    /// A property of the file given to `exec --process` is taken for another value.
    Process(String, Value),
    /// `state` says something else, or nothing, about a property.
    State(String, Option<Value>),
    /// `features` says something else, or nothing, about a property.
    Features(String, Option<Value>),
    /// An operation does nothing and says it worked.
    Skip(String),
    /// An operation does nothing and fails.
    Refuse(String),
    /// An operation's failure is hidden.
    Pretend(String),
    /// An operation's success is told as a failure.
    Spoil(String),
    /// Nothing is written to standard error.
    Mute,
    /// A word of the command line is taken for another, or, when that is empty, left out.
    Word(String, String),
    /// An option of the command line and its value are left out.
    Option(String),
    /// A failing `create` leaves a state directory.
    Litter,
    /// The state directory is open to everyone.
    Expose,
    /// An inherited descriptor is handed on to the container.
    Leak,
    /// `create` writes outside the root.
    Touch,
    /// `create` never ends.
    Hang,
    /// An operation prints this instead.
    Print(String, String),
    /// Several at once.
    All(Vec<Break>),
}

/// A property ignored.
pub fn drops(pointer: &str) -> Break {
    Break::Drop(pointer.into())
}

/// A property taken for another value.
pub fn sets(pointer: &str, value: impl Into<Value>) -> Break {
    Break::Set(pointer.into(), value.into())
}

/// A property taken for one at another place.
pub fn moves(from: &str, to: &str) -> Break {
    Break::Move(from.into(), to.into())
}

/// A list read backwards.
pub fn reverses(pointer: &str) -> Break {
    Break::Reverse(pointer.into())
}

/// An operation that does nothing and says it worked.
pub fn skips(verb: &str) -> Break {
    Break::Skip(verb.into())
}

/// An operation whose failure is hidden.
pub fn pretends(verb: &str) -> Break {
    Break::Pretend(verb.into())
}

/// An operation that does nothing and fails.
pub fn refuses(verb: &str) -> Break {
    Break::Refuse(verb.into())
}

/// What tells the mutant its part.
pub fn environment(real: &Path, broken: &Break) -> (&'static str, String) {
    (VARIABLE, serde_json::json!([real, broken]).to_string())
}

/// Plays the broken runtime.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let part = std::env::var(VARIABLE).ok().and_then(|text| serde_json::from_str(&text).ok());
    let Some((real, broken)): Option<(PathBuf, Break)> = part else {
        eprintln!("mutant: ${VARIABLE} does not say what to break");
        return ExitCode::from(98);
    };
    let words = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match (Mutant { real, words, verb: verb(arguments) }).play(&broken) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("mutant: {error}");
            ExitCode::from(97)
        }
    }
}

/// The first word that is neither a global option nor its value.
fn verb(arguments: &[OsString]) -> String {
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match &*word {
            "--root" | "--log" | "--log-format" => drop(words.next()),
            option if option.starts_with('-') => {}
            found => return found.to_owned(),
        }
    }
    String::new()
}

struct Mutant {
    real: PathBuf,
    words: Vec<String>,
    verb: String,
}

impl Mutant {
    fn play(mut self, broken: &Break) -> std::io::Result<u8> {
        match broken {
            Break::Drop(_)
            | Break::Set(..)
            | Break::Move(..)
            | Break::Reverse(_)
            | Break::Repair
            | Break::All(_) => self.with_config(broken),
            Break::Process(pointer, value) => self.with_process(pointer, value),
            Break::State(pointer, value) => self.rewrite("state", pointer, value.as_ref()),
            Break::Features(pointer, value) => self.rewrite("features", pointer, value.as_ref()),
            Break::Skip(verb) if *verb == self.verb => Ok(0),
            Break::Refuse(verb) if *verb == self.verb => {
                eprintln!("mutant: {verb} is refused");
                Ok(1)
            }
            Break::Pretend(verb) if *verb == self.verb => self.call().map(|_| 0),
            Break::Spoil(verb) if *verb == self.verb => self.call().map(|_| 1),
            Break::Print(verb, text) if *verb == self.verb => {
                println!("{text}");
                Ok(0)
            }
            Break::Mute => self.mute(),
            Break::Word(from, to) => {
                self.replace(from, to);
                self.call()
            }
            Break::Option(name) => {
                self.leave_out(name);
                self.call()
            }
            Break::Litter if self.verb == "create" => self.litter(),
            Break::Leak => self.leak(),
            Break::Touch if self.verb == "create" => self.touch(),
            Break::Hang if self.verb == "create" => loop {
                std::thread::park();
            },
            Break::Expose if self.verb == "create" => self.expose(),
            _ => self.call(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.real);
        command.args(&self.words).env_remove(VARIABLE);
        command
    }

    fn call(&self) -> std::io::Result<u8> {
        Ok(code(self.command().status()?))
    }

    fn captured(&self) -> std::io::Result<Output> {
        self.command().stderr(Stdio::inherit()).output()
    }

    fn option(&self, names: &[&str]) -> Option<&str> {
        let at = self.words.iter().position(|word| names.contains(&word.as_str()))?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// Lets the real runtime read an edited config.json.
    fn with_config(&self, broken: &Break) -> std::io::Result<u8> {
        if !["create", "run"].contains(&self.verb.as_str()) {
            return self.call();
        }
        let bundle = PathBuf::from(self.option(&["--bundle", "-b"]).unwrap_or("."));
        let path = bundle.join("config.json");
        let Ok(original) = std::fs::read(&path) else { return self.call() };
        let good = std::fs::read(bundle.join("good.json"))?;
        std::fs::write(&path, edited(&original, &good, broken))?;
        let code = self.call();
        std::fs::write(&path, original)?;
        code
    }

    fn with_process(&self, pointer: &str, value: &Value) -> std::io::Result<u8> {
        let Some(path) = self.option(&["--process", "-p"]) else { return self.call() };
        let mut process: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        json::put(&mut process, pointer, value.clone());
        std::fs::write(path, process.to_string())?;
        self.call()
    }

    fn rewrite(&self, verb: &str, pointer: &str, value: Option<&Value>) -> std::io::Result<u8> {
        if self.verb != verb {
            return self.call();
        }
        let output = self.captured()?;
        let mut document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match value {
            Some(value) => json::put(&mut document, pointer, value.clone()),
            None => drop(json::remove(&mut document, pointer)),
        }
        println!("{document}");
        Ok(code(output.status))
    }

    fn mute(&self) -> std::io::Result<u8> {
        Ok(code(self.command().stderr(Stdio::null()).status()?))
    }

    fn replace(&mut self, from: &str, to: &str) {
        for word in &mut self.words {
            if word == from {
                to.clone_into(word);
            }
        }
        self.words.retain(|word| !word.is_empty() || from.is_empty());
    }

    fn leave_out(&mut self, name: &str) {
        if let Some(at) = self.words.iter().position(|word| word == name) {
            self.words.drain(at..(at + 2).min(self.words.len()));
        }
    }

    /// A descriptor of the host as one that was asked for.
    fn leak(&mut self) -> std::io::Result<u8> {
        if ["create", "run", "exec"].contains(&self.verb.as_str()) {
            let given = std::fs::File::open("/dev/null")?;
            // Without close-on-exec, unlike what std opens.
            let keep = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
            nix::fcntl::fcntl(&given, keep)?;
            let at = self.words.iter().position(|word| *word == self.verb);
            let at = at.map_or(0, |at| at + 1);
            let count = (given.as_raw_fd() - 2).to_string();
            self.words.splice(at..at, ["--preserve-fds".to_owned(), count]);
            return self.call();
        }
        self.call()
    }

    fn touch(&self) -> std::io::Result<u8> {
        std::fs::write("outside/made", "")?;
        self.call()
    }

    fn expose(&self) -> std::io::Result<u8> {
        let code = self.call()?;
        if let Some(root) = self.option(&["--root"]) {
            std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777))?;
        }
        Ok(code)
    }

    fn litter(&self) -> std::io::Result<u8> {
        let code = self.call()?;
        if let (Some(root), Some(id)) = (self.option(&["--root"]), self.words.last()) {
            std::fs::create_dir_all(Path::new(root).join(id))?;
        }
        std::io::stdout().flush()?;
        Ok(code)
    }
}

/// The configuration as the broken runtime takes it.
fn edited(original: &[u8], good: &[u8], broken: &Break) -> Vec<u8> {
    let mut config = match (broken, serde_json::from_slice::<Value>(original)) {
        (Break::Repair, _) | (_, Err(_)) => return good.to_vec(),
        (_, Ok(config)) => config,
    };
    edit(&mut config, broken);
    config.to_string().into_bytes()
}

fn edit(config: &mut Value, broken: &Break) {
    match broken {
        Break::Drop(pointer) => drop(json::remove(config, pointer)),
        Break::Set(pointer, value) => json::put(config, pointer, value.clone()),
        Break::Move(from, to) => {
            if let Some(value) = json::remove(config, from) {
                json::put(config, to, value);
            }
        }
        Break::Reverse(pointer) => {
            if let Some(Value::Array(items)) = config.pointer_mut(pointer) {
                items.reverse();
            }
        }
        Break::All(breaks) => breaks.iter().for_each(|each| edit(config, each)),
        _ => {}
    }
}

/// The status to leave with: a signal's as shells tell it.
fn code(status: std::process::ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_verb_stands_after_global_options() {
        let words = ["--root", "/r", "--debug", "create", "--bundle", "b", "x"];
        assert_eq!(verb(&words.map(OsString::from)), "create");
    }

    #[test]
    fn configurations_are_spoilt() {
        let broken = [drops("/a"), sets("/b", 2), moves("/l", "/c/d"), reverses("/c/d")];
        let broken = Break::All(broken.to_vec());
        let bytes = edited(br#"{"a":1,"b":1,"l":[1,2]}"#, b"{}", &broken);
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({"b": 2, "c": {"d": [2, 1]}})
        );
        assert_eq!(edited(b"no json", b"{}", &broken), b"{}");
        assert_eq!(edited(b"{\"a\":1}", b"{}", &Break::Repair), b"{}");
    }
}
