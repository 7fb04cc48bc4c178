//! How a shim is started, before and after containerd 2.3, and answers each in its own kind.
//!
//! Up to 2.2 containerd writes an `Any` of the runtime's options to standard input (1.5 and
//! earlier: nothing) and reads back an address; from 2.3 on both are messages of their own
//! (`api/runtime/bootstrap/v1`). A plain address means version 2 of the Task service over ttrpc
//! to every containerd, so that is what the older ones get.

use crate::args::Args;
use crate::error::{Error, Result};
use crate::proto::Any;
use crate::proto::bootstrap::{BootstrapParams, BootstrapResult};
use crate::proto::options::{OPTIONS, RUNTIME_OPTIONS};
use prost::Message;
use std::path::PathBuf;

/// Where sockets are made when containerd names no directory.
const SOCKET_DIR: &str = "/run/containerd/s";

/// How the caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A plain address, for containerd up to 2.2.
    Plain,
    /// `BootstrapResult`, from 2.3 on.
    Message,
}

/// What the caller told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// How it spoke, and wants to be answered.
    pub form: Form,
    /// The runtime's options.
    pub options: Option<Any>,
    /// The directory for the socket.
    pub socket_dir: PathBuf,
    /// Where events go.
    pub ttrpc_address: String,
    /// containerd's gRPC socket; part of the socket's name.
    pub grpc_address: String,
    /// Whether to log more.
    pub debug: bool,
}

impl Bootstrap {
    /// Reads standard input; `ttrpc_address` is that of the environment.
    ///
    /// # Errors
    /// Bytes that are neither form.
    pub fn parse(input: &[u8], args: &Args, ttrpc_address: &str) -> Result<Self> {
        if let Some(params) = params(input, args) {
            return Ok(Self::from_params(params, args, ttrpc_address));
        }
        let options = if input.is_empty() {
            None
        } else {
            let any = Any::decode(input)
                .map_err(|error| Error::invalid(format!("standard input of start: {error}")))?;
            Some(any)
        };
        Ok(Self {
            form: Form::Plain,
            options,
            socket_dir: SOCKET_DIR.into(),
            ttrpc_address: ttrpc_address.to_owned(),
            grpc_address: args.address.clone(),
            debug: args.debug,
        })
    }

    fn from_params(params: BootstrapParams, args: &Args, ttrpc_address: &str) -> Self {
        let or = |value: String, other: &str| {
            if value.is_empty() { other.to_owned() } else { value }
        };
        let options = params
            .extensions
            .into_iter()
            .filter_map(|extension| extension.value)
            .find(|any| any.is(OPTIONS) || any.is(RUNTIME_OPTIONS));
        Self {
            form: Form::Message,
            options,
            socket_dir: or(params.socket_dir.unwrap_or_default(), SOCKET_DIR).into(),
            ttrpc_address: or(params.containerd_ttrpc_address, ttrpc_address),
            grpc_address: or(params.containerd_grpc_address, &args.address),
            debug: args.debug || params.log_level < 0,
        }
    }

    /// What `start` prints for a shim that listens at `address`.
    pub fn answer(&self, address: &str) -> Vec<u8> {
        match self.form {
            Form::Plain => address.as_bytes().to_vec(),
            Form::Message => BootstrapResult {
                // Version 3: containers of a pod connect to its shim without another `start`.
                version: 3,
                address: address.to_owned(),
                protocol: "ttrpc".to_owned(),
                ..BootstrapResult::default()
            }
            .encode_to_vec(),
        }
    }
}

/// The newer form, and only if it speaks of the container of the command line: an `Any` could
/// pass for one by chance, since both begin with a string.
fn params(input: &[u8], args: &Args) -> Option<BootstrapParams> {
    BootstrapParams::decode(input)
        .ok()
        .filter(|params| params.instance_id == args.id && params.namespace == args.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bootstrap::Extension;
    use crate::proto::options::Options;
    use std::path::Path;

    fn args() -> Args {
        Args::parse(
            ["-namespace", "ns", "-id", "c1", "-address", "/c.sock", "start"].map(str::to_owned),
        )
        .unwrap()
    }

    #[test]
    fn an_old_containerd_is_read_and_answered_plainly() {
        let options = Any::pack(OPTIONS, &Options { root: "/r".to_owned(), ..Options::default() });
        let bootstrap = Bootstrap::parse(&options.encode_to_vec(), &args(), "/t.sock").unwrap();
        assert_eq!(bootstrap.form, Form::Plain);
        assert_eq!(bootstrap.options, Some(options));
        assert_eq!(
            (bootstrap.ttrpc_address.as_str(), bootstrap.grpc_address.as_str()),
            ("/t.sock", "/c.sock")
        );
        assert_eq!(bootstrap.answer("unix:///s"), b"unix:///s");
    }

    #[test]
    fn an_empty_input_is_an_old_containerd_without_options() {
        let bootstrap = Bootstrap::parse(b"", &args(), "").unwrap();
        assert_eq!((bootstrap.form, bootstrap.options), (Form::Plain, None));
        assert_eq!(bootstrap.socket_dir, Path::new(SOCKET_DIR));
    }

    #[test]
    fn a_new_containerd_is_read_and_answered_with_a_message() {
        let options = Any::pack(OPTIONS, &Options::default());
        let other = Any { type_url: "x.Y".to_owned(), value: vec![1] };
        let params = BootstrapParams {
            instance_id: "c1".to_owned(),
            namespace: "ns".to_owned(),
            log_level: -4,
            containerd_ttrpc_address: "/new.ttrpc".to_owned(),
            containerd_grpc_address: "/new.sock".to_owned(),
            extensions: [other, options.clone()].map(|any| Extension { value: Some(any) }).to_vec(),
            socket_dir: Some("/run/s".to_owned()),
            ..BootstrapParams::default()
        };
        let bootstrap = Bootstrap::parse(&params.encode_to_vec(), &args(), "/env").unwrap();
        assert_eq!(bootstrap.options, Some(options));
        assert_eq!(bootstrap.ttrpc_address, "/new.ttrpc");
        assert_eq!(bootstrap.socket_dir, Path::new("/run/s"));
        assert!(bootstrap.debug);
        let answer = BootstrapResult::decode(bootstrap.answer("unix:///s").as_slice()).unwrap();
        assert_eq!((answer.version, answer.protocol.as_str()), (3, "ttrpc"));
    }

    #[test]
    fn neither_form_is_an_error() {
        assert!(Bootstrap::parse(&[0xff, 0xff, 0xff], &args(), "").is_err());
    }
}
