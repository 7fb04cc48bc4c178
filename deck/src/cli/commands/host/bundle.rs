//! `bundle`: an image as a bundle for those who drive hull themselves.

use crate::bundle::write::{Rootfs, remove, write};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::options::bundle::Alone;
use crate::cli::output::line;
use crate::config::Config;
use crate::engine::bundle::wishes;
use crate::image::Images;
use clap::Args;
use std::path::{Path, PathBuf};

/// Options of `bundle`.
#[derive(Args)]
pub struct Bundle {
    /// Mount the image's layers as an overlay instead of copying them
    #[arg(long)]
    overlay: bool,
    /// Remove the bundle DIRECTORY, with its overlay
    #[arg(long, conflicts_with = "overlay", value_name = "DIRECTORY")]
    remove: Option<PathBuf>,
    #[command(flatten)]
    alone: Alone,
    /// Image (it must be here already: deck pull), directory of the bundle (missing or empty), then
    /// a command and its arguments instead of the image's
    #[arg(
        required_unless_present = "remove",
        trailing_var_arg = true,
        value_name = "IMAGE DIRECTORY [COMMAND] [ARG]"
    )]
    words: Vec<String>,
}

/// Runs `bundle`.
pub async fn bundle(config_root: &Path, args: Bundle) -> Outcome {
    let config = Config::load(config_root)?;
    let images = Images::open(&config)?;
    if let Some(directory) = &args.remove {
        if !args.words.is_empty() {
            return Err(Failure::new("--remove takes one directory and nothing else"));
        }
        remove(&images, directory).await?;
        return line(directory.display().to_string());
    }
    let [image, directory, command @ ..] = &args.words[..] else {
        return Err(Failure::new("want an image and a directory; see 'deck bundle --help'"));
    };
    let directory = Path::new(directory);
    let image = images.resolve(image)?;
    let rootfs = if args.overlay { Rootfs::Overlay } else { Rootfs::Copy };
    let body = args.alone.body(command).map_err(Failure::new)?;
    let request =
        serde_json::from_value(body).map_err(|error| Failure::new(format!("bundle: {error}")))?;
    let wishes = wishes(request, &image.config.config, directory)?;
    write(&images, &image, directory, &wishes, rootfs).await?;
    line(directory.display().to_string())
}
