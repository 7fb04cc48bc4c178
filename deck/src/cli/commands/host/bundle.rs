//! `bundle`: an image as a bundle for those who drive hull themselves.

use crate::bundle::wishes::Wishes;
use crate::bundle::write::{Rootfs, write};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::line;
use crate::cli::parse::{env, size};
use crate::config::Config;
use crate::image::Images;
use clap::Args;
use std::path::{Path, PathBuf};

/// Options of `bundle`.
#[derive(Args)]
pub struct Bundle {
    /// Capability to add
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Capability to drop
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Replace the image's entrypoint
    #[arg(long)]
    entrypoint: Option<String>,
    /// Environment variable: NAME=VALUE, or NAME to pass on the caller's
    #[arg(short, long, value_name = "VARIABLE")]
    env: Vec<String>,
    /// Host name
    #[arg(long)]
    hostname: Option<String>,
    /// Limit of memory
    #[arg(short, long, value_parser = size::bytes, value_name = "BYTES")]
    memory: Option<i64>,
    /// Mount the image's layers as an overlay instead of copying them
    #[arg(long)]
    overlay: bool,
    /// Nearly all that the host's root may do
    #[arg(long)]
    privileged: bool,
    /// Mount the root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// User or UID, and group or GID: USER[:GROUP]
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Image: it must be here already (deck pull)
    image: String,
    /// Directory of the bundle: missing or empty
    directory: PathBuf,
    /// Command and arguments instead of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs `bundle`.
pub async fn bundle(config_root: &Path, args: Bundle) -> Outcome {
    let config = Config::load(config_root)?;
    let images = Images::open(&config)?;
    let image = images.resolve(&args.image)?;
    let rootfs = if args.overlay { Rootfs::Overlay } else { Rootfs::Copy };
    let wishes = wishes(&args).map_err(Failure::new)?;
    write(&images, &image, &args.directory, &wishes, rootfs).await?;
    line(args.directory.display().to_string())
}

fn wishes(args: &Bundle) -> Result<Wishes, String> {
    let variable = |text: &String| env::variable(text, |name| std::env::var(name).ok());
    let mut wishes = Wishes {
        entrypoint: args.entrypoint.clone().map(|entrypoint| vec![entrypoint]),
        cmd: (!args.command.is_empty()).then(|| args.command.clone()),
        env: args.env.iter().map(variable).collect::<Result<_, _>>()?,
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        tty: args.tty,
        hostname: args.hostname.clone().unwrap_or_default(),
        read_only: args.read_only,
        ..Wishes::default()
    };
    wishes.security.privileged = args.privileged;
    wishes.security.cap_add.clone_from(&args.cap_add);
    wishes.security.cap_drop.clone_from(&args.cap_drop);
    wishes.resources.memory = args.memory.unwrap_or(0);
    Ok(wishes)
}
