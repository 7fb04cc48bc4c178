//! From an image's configuration and the wishes of a create request to a bundle's config.json; pure.
