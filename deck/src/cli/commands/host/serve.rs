//! `serve`: the Engine API for others.

use crate::api::server::{self, Options, Tls};
use crate::cli::args::Global;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::session::config_root;
use crate::config::{Config, File};
use clap::Args;
use std::path::PathBuf;

/// Options of `serve`.
#[derive(Args)]
pub struct Serve {
    /// Where to listen: unix://PATH, tcp://HOST:PORT, fd:// [default: deck.toml's, or
    /// unix:///run/deck/deck.sock]
    #[arg(short = 'H', long, value_name = "HOST")]
    host: Vec<String>,
    /// Group that may use the unix sockets
    #[arg(short = 'G', long)]
    group: Option<String>,
    /// Authority that signs the clients' certificates
    #[arg(long, value_name = "FILE")]
    tlscacert: Option<PathBuf>,
    /// This server's certificate
    #[arg(long, value_name = "FILE")]
    tlscert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, value_name = "FILE")]
    tlskey: Option<PathBuf>,
}

/// Runs `serve`.
pub fn serve(global: &Global, args: Serve) -> Outcome {
    let config_root = config_root(global);
    let file = File::read(&config_root)?;
    let hosts = [args.host, global.host.clone()].concat();
    let pick = |own: Option<PathBuf>, shared: &Option<PathBuf>, file: &Option<PathBuf>| {
        own.or_else(|| shared.clone()).or_else(|| file.clone())
    };
    let tls = match (
        pick(args.tlscacert, &global.tlscacert, &file.tlscacert),
        pick(args.tlscert, &global.tlscert, &file.tlscert),
        pick(args.tlskey, &global.tlskey, &file.tlskey),
    ) {
        (None, None, None) => None,
        (Some(client_ca), Some(cert), Some(key)) => Some(Tls { cert, key, client_ca }),
        _ => {
            return Err(Failure::new(
                "TLS needs all of --tlscacert, --tlscert and --tlskey: without the authority anybody \
                 would be let in",
            ));
        }
    };
    let options = Options {
        config: Config::from_file(&config_root, &file),
        hosts: if hosts.is_empty() { file.hosts } else { hosts },
        group: args.group,
        tls,
    };
    Ok(server::run(&options)?)
}
