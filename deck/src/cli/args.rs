//! The commands and the options before them.

use super::commands::{container, host, image, network, system, volume};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Images, containers, networks and volumes in Docker's way, without a daemon.
#[derive(Parser)]
#[command(
    name = "deck",
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    args_override_self = true,
    after_help = "Example: deck run --rm -it debian bash"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options before the command.
#[derive(Args)]
pub struct Global {
    /// Directory of config.json and certificates [default: $DOCKER_CONFIG or ~/.docker]
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Directory of deck.toml [default: $DECK_CONFIG_ROOT or /etc/deck]
    #[arg(long, value_name = "DIR")]
    pub config_root: Option<PathBuf>,
    /// Engine to speak to: unix://PATH or tcp://HOST:PORT; "local" is the one in this process
    /// [default: $DECK_HOST, $DOCKER_HOST or local]
    #[arg(short = 'H', long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Use TLS without verifying the server
    #[arg(long)]
    pub tls: bool,
    /// Authority that signs the server's certificate
    #[arg(long, value_name = "FILE")]
    pub tlscacert: Option<PathBuf>,
    /// Certificate to show the server
    #[arg(long, value_name = "FILE")]
    pub tlscert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, value_name = "FILE")]
    pub tlskey: Option<PathBuf>,
    /// Use TLS and verify the server
    #[arg(long)]
    pub tlsverify: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help, global = true)]
    pub help: Option<bool>,
    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub version: Option<bool>,
}

/// Every command.
#[derive(Subcommand)]
pub enum Command {
    #[command(flatten)]
    Container(container::Common),
    #[command(flatten)]
    Image(image::Common),
    #[command(flatten)]
    System(system::Common),
    #[command(flatten)]
    Host(host::Command),
    /// Show details of containers, images, networks and volumes
    #[command(after_help = "Example: deck inspect --format '{{.State.Pid}}' web")]
    Inspect(system::inspect::Inspect),
    /// List images
    #[command(after_help = "Example: deck images --filter dangling=true -q")]
    Images(image::ls::Ls),
    /// Remove images
    #[command(after_help = "Example: deck rmi debian:bookworm")]
    Rmi(image::rm::Rm),
    /// Manage containers
    #[command(subcommand, name = "container", after_help = "Example: deck container prune -f")]
    Containers(container::Command),
    /// Manage images
    #[command(
        subcommand,
        name = "image",
        after_help = "Example: deck image ls --filter dangling=true"
    )]
    ImageGroup(image::Command),
    /// Manage networks
    #[command(subcommand, after_help = "Example: deck network create back")]
    Network(network::Command),
    /// Manage the whole of deck
    #[command(subcommand, name = "system", after_help = "Example: deck system df -v")]
    SystemGroup(system::Command),
    /// Manage volumes
    #[command(subcommand, after_help = "Example: deck volume ls --filter dangling=true")]
    Volume(volume::Command),
}
