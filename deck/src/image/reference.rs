//! Names of images: Docker's grammar and normalisation (`nginx` is docker.io/library/nginx:latest).

use crate::error::{Error, Result};
use crate::image::digest::Digest;
use std::fmt;
use std::str::FromStr;

/// The registry of names without a host.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// Longest repository path (distribution-spec), without the registry.
const MAX_NAME: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// A full name: registry, repository, and a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `docker.io`, `localhost:5000`, …
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    /// `latest`.
    pub tag: Option<String>,
    /// What the content has to be.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The same name with `latest` where neither tag nor digest was given.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// Registry and repository: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name as users write it: `nginx`, `ghcr.io/a/b`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        let short = self.repository.strip_prefix("library/").unwrap_or(&self.repository);
        // `docker.io/example.com/a` is not what `example.com/a` means, and 64 digits are an id.
        let means = short.parse::<Self>();
        if means.is_ok_and(|meant| meant.name() == self.name()) {
            short.into()
        } else {
            self.name()
        }
    }

    /// The whole reference as users write it: `nginx:latest`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        if let Some(tag) = &self.tag {
            text = format!("{text}:{tag}");
        }
        if let Some(digest) = &self.digest {
            text = format!("{text}@{digest}");
        }
        text
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub fn target(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// The tag is malformed.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        if !valid_tag(tag) {
            return Err(Error::invalid(format!("invalid tag {tag:?}")));
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository at a digest.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid =
            |why: &str| Error::invalid(format!("invalid reference format: {text:?}: {why}"));
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid("64 hex digits are an image id, not a name"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to the registry's port.
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].find(':') {
            Some(at) => (&rest[..slash + at], Some(&rest[slash + at + 1..])),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !valid_tag(tag)
        {
            return Err(invalid("a tag has 1 to 128 letters, digits, '_', '.' and '-'"));
        }
        let (registry, repository) = split_registry(name);
        if !valid_registry(&registry) {
            return Err(invalid("the registry is not a host name"));
        }
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid("repository name must be lowercase"));
        }
        if !repository.split('/').all(valid_component) || repository.len() > MAX_NAME {
            return Err(invalid("the repository is malformed"));
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
    }
}

/// Splits the registry off: a first component with a dot, a colon or capitals, or `localhost`.
fn split_registry(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
    if registry == DEFAULT_REGISTRY && !repository.contains('/') {
        return (registry.to_owned(), format!("library/{repository}"));
    }
    (registry.to_owned(), repository.to_owned())
}

/// A host name, an IPv4 or a bracketed IPv6 address, with an optional port.
pub fn valid_registry(registry: &str) -> bool {
    let (host, port) = if let Some(rest) = registry.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        ("ipv6", port.strip_prefix(':').or((!port.is_empty()).then_some("bad")))
    } else {
        match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        }
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec, pulling manifests).
fn valid_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .filter(|separator| !separator.is_empty())
        .all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn valid_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, full: &str, familiar: &str) {
        let reference = text.parse::<Reference>().unwrap().or_latest();
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
    }

    #[test]
    fn names_are_normalised_as_docker_does() {
        check("nginx", "docker.io/library/nginx:latest", "nginx:latest");
        check("a/b:1.2", "docker.io/a/b:1.2", "a/b:1.2");
        check("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest");
        check("index.docker.io/library/x", "docker.io/library/x:latest", "x:latest");
        check("localhost/x", "localhost/x:latest", "localhost/x:latest");
        check("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest");
        check("[::1]:5000/a/b__c", "[::1]:5000/a/b__c:latest", "[::1]:5000/a/b__c:latest");
        // Short, each would be another one's name.
        for name in
            ["docker.io/example.com/x", "docker.io/library/localhost/x", "docker.io/library/a/b"]
        {
            check(name, &format!("{name}:latest"), &format!("{name}:latest"));
        }
        let digits = format!("docker.io/library/{}", "a".repeat(64));
        assert_eq!(digits.parse::<Reference>().unwrap().familiar(), digits);
        let long = "a".repeat(255 - "library/".len());
        assert!(long.parse::<Reference>().unwrap().to_string().parse::<Reference>().is_ok());
        let digest = Digest::of(b"x");
        let pinned = format!("a@{digest}");
        check(&pinned, &format!("docker.io/library/{pinned}"), &pinned);
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in [
            "",
            "A",
            "a:",
            ":a",
            "a/",
            "/a",
            "a//b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "a:b:c",
            "a@b",
            "a b",
            "../a",
            "a/../b",
            "x.y:99999/a",
            "x.y:/a",
            "[::1/a",
            "a:-b",
            "a.b/C",
            "a\n",
            &"a".repeat(64),
            &format!("a:{}", "t".repeat(129)),
            &"b/".repeat(200),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,80}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn what_is_accepted_reads_back_the_same(text in "[a-z.:/@0-9_-]{1,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
            }
        }
    }
}
