//! `login` and `logout`.

use crate::cli::auth;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::output::{line, note, print};
use crate::cli::session::Session;
use crate::cli::settings::Settings;
use crate::cli::term;
use clap::Args;
use serde_json::json;
use std::io::Read as _;

/// Options of `login`.
#[derive(Args)]
pub struct Login {
    /// Password; seen by everyone on this host who lists processes: better --password-stdin
    #[arg(short, long)]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// User name
    #[arg(short, long)]
    username: Option<String>,
    /// Registry; Docker Hub without one
    server: Option<String>,
}

/// Options of `logout`.
#[derive(Args)]
pub struct Logout {
    /// Registry; Docker Hub without one
    server: Option<String>,
}

/// Runs `login`.
pub async fn login(session: &Session, args: Login) -> Outcome {
    let registry = auth::registry_key(args.server.as_deref().unwrap_or(""));
    let (user, password) = credentials(session, &args, &registry)?;
    let mut auth = json!({"username": user, "password": password, "serveraddress": registry});
    let answer = session.client.json(Call::post("/auth").json(&auth)).await?;
    let token = answer.text("IdentityToken");
    if !token.is_empty() {
        auth["password"] = "".into();
        auth["identitytoken"] = token.into();
    }
    let mut settings = Settings::read(session.settings.directory.clone())?;
    if auth::store(&mut settings, &registry, &auth)? {
        note(format!(
            "WARNING! Your credentials are stored unencrypted in '{}'.",
            settings.directory.join("config.json").display()
        ));
    }
    let status = answer.text("Status");
    line(if status.is_empty() { "Login Succeeded" } else { status })
}

fn credentials(session: &Session, args: &Login, registry: &str) -> Outcome<(String, String)> {
    if args.password_stdin {
        if args.password.is_some() {
            return Err(Failure::new(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        let Some(user) = args.username.clone().filter(|user| !user.is_empty()) else {
            return Err(Failure::new("the --password-stdin option requires --username to be set"));
        };
        let mut password = String::new();
        std::io::stdin().read_to_string(&mut password)?;
        return Ok((user, password.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if args.password.is_some() {
        note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if let (Some(user), Some(password)) = (&args.username, &args.password) {
        return Ok((user.clone(), password.clone()));
    }
    if args.username.is_none()
        && args.password.is_none()
        && let Some(known) = auth::find(&session.settings, registry)?
        && !known.text("password").is_empty()
    {
        note("Authenticating with existing credentials...");
        return Ok((known.text("username").to_owned(), known.text("password").to_owned()));
    }
    if !term::stdin_is() {
        return Err(Failure::new(
            "cannot perform an interactive login from a non TTY device: give --username and \
             --password-stdin",
        ));
    }
    let user = if let Some(user) = &args.username {
        user.clone()
    } else {
        print("Username: ")?;
        read_line()?
    };
    let password = if let Some(password) = &args.password {
        password.clone()
    } else {
        print("Password: ")?;
        let hidden = term::Hidden::new()?;
        let password = read_line()?;
        drop(hidden);
        line("")?;
        password
    };
    if user.is_empty() || password.is_empty() {
        return Err(Failure::new("username and password are required"));
    }
    Ok((user, password))
}

fn read_line() -> Outcome<String> {
    let mut text = String::new();
    std::io::stdin().read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Runs `logout`.
pub fn logout(session: &Session, args: &Logout) -> Outcome {
    let registry = auth::registry_key(args.server.as_deref().unwrap_or(""));
    let mut settings = Settings::read(session.settings.directory.clone())?;
    if auth::erase(&mut settings, &registry)? {
        line(format!("Removing login credentials for {registry}"))
    } else {
        line(format!("Not logged in to {registry}"))
    }
}
