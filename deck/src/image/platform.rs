//! Platforms: `linux/arm64/v8` (image-spec image-index.md), and the choice in an index.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// GOARCH.
    #[serde(default)]
    pub architecture: String,
    /// GOOS.
    #[serde(default)]
    pub os: String,
    /// `v7`, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        normalised("linux", std::env::consts::ARCH, None)
    }

    /// How well an image for `other` serves who wants this: `None` for not at all, else the higher
    /// the better. An ARM machine runs images of older variants.
    pub fn rank(&self, other: &Self) -> Option<u8> {
        let other = normalised(&other.os, &other.architecture, other.variant.as_deref());
        if self.os != other.os {
            return None;
        }
        if self.architecture == "arm64" && other.architecture == "arm" && self.variant.is_none() {
            return other.version().or(Some(7)).filter(|version| *version <= 8);
        }
        if self.architecture != other.architecture {
            return None;
        }
        match (self.version(), other.version()) {
            (Some(wanted), Some(offered)) if offered > wanted => None,
            (Some(_), Some(offered)) => Some(100 + offered),
            (None, Some(offered)) => Some(100 - offered.min(99)),
            (_, None) => Some(100),
        }
    }

    fn version(&self) -> Option<u8> {
        self.variant.as_deref()?.strip_prefix('v')?.parse().ok()
    }
}

/// Spells architectures as Go does and drops variants that say nothing.
fn normalised(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
    let os = os.to_ascii_lowercase();
    let variant = variant.map(str::to_ascii_lowercase).filter(|variant| !variant.is_empty());
    let (architecture, variant) = match architecture.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" | "amd64" => ("amd64".to_owned(), variant.filter(|v| v != "v1")),
        "aarch64" | "arm64" => ("arm64".to_owned(), variant.filter(|v| v != "v8" && v != "8")),
        "armhf" => ("arm".to_owned(), Some("v7".to_owned())),
        "armel" => ("arm".to_owned(), Some("v6".to_owned())),
        "arm" => {
            let variant = variant.unwrap_or_else(|| "v7".to_owned());
            let digits = variant.starts_with(|c: char| c.is_ascii_digit());
            ("arm".to_owned(), Some(if digits { format!("v{variant}") } else { variant }))
        }
        "i386" | "x86" | "386" => ("386".to_owned(), None),
        "powerpc64le" | "ppc64le" => ("ppc64le".to_owned(), None),
        "loongarch64" | "loong64" => ("loong64".to_owned(), None),
        other => (other.to_owned(), variant),
    };
    Platform { architecture, os, variant }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `os/arch[/variant]`, or an architecture or `linux` alone.
    fn from_str(text: &str) -> Result<Self> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty() || !part.chars().all(word)) {
            return Err(Error::invalid(format!("platform {text:?}: want os/architecture/variant")));
        }
        match parts[..] {
            ["linux"] => Ok(Self::host()),
            [architecture] => Ok(normalised("linux", architecture, None)),
            [os, architecture] => Ok(normalised(os, architecture, None)),
            [os, architecture, variant] => Ok(normalised(os, architecture, Some(variant))),
            _ => Err(Error::invalid(format!("platform {text:?}: want os/architecture/variant"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(wanted: &str, offered: &str) -> Option<u8> {
        wanted.parse::<Platform>().unwrap().rank(&offered.parse().unwrap())
    }

    #[test]
    fn the_fitting_and_newest_variant_wins() {
        assert_eq!("x86_64".parse::<Platform>().unwrap().to_string(), "linux/amd64");
        assert_eq!("linux/arm64/v8".parse::<Platform>().unwrap().to_string(), "linux/arm64");
        assert!(rank("linux/amd64", "linux/amd64").is_some());
        assert!(rank("linux/amd64", "linux/arm64").is_none());
        assert!(rank("linux/amd64", "windows/amd64").is_none());
        assert!(rank("linux/amd64", "linux/amd64") > rank("linux/amd64", "linux/amd64/v3"));
        assert!(rank("linux/arm/v7", "linux/arm/v7") > rank("linux/arm/v7", "linux/arm/v6"));
        assert!(rank("linux/arm/v6", "linux/arm/v7").is_none());
        assert!(rank("linux/arm64", "linux/arm64") > rank("linux/arm64", "linux/arm/v7"));
        for bad in ["", "/", "a/b/c/d", "linux/", "li nux"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
