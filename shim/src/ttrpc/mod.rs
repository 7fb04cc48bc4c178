//! ttrpc: containerd's small RPC protocol over a unix socket.
//!
//! A frame is a header of ten bytes and a protobuf message; a call and its answer share a stream
//! number (<https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md>). Only unary calls exist
//! in the Task service, and only they are spoken here.

mod client;
mod frame;

pub use client::Client;
pub use frame::{Frame, HEADER_LENGTH, Kind, MAX_LENGTH, Reader, encode};

use crate::error::{Code, Error};
use crate::proto::rpc::{Request, Response, RpcStatus};

/// The metadata key the namespace travels under.
pub const NAMESPACE_KEY: &str = "containerd-namespace-ttrpc";

/// A request's frame.
pub fn request(stream: u32, request: &Request) -> Vec<u8> {
    encode(stream, Kind::Request, request)
}

/// A response's frame: the payload, or the error as a status.
pub fn response(stream: u32, outcome: Result<Vec<u8>, Error>) -> Vec<u8> {
    let response = match outcome {
        Ok(payload) => Response { status: None, payload },
        Err(error) => Response {
            status: Some(RpcStatus {
                code: error.code() as i32,
                message: error.message().to_owned(),
                details: Vec::new(),
            }),
            payload: Vec::new(),
        },
    };
    encode(stream, Kind::Response, &response)
}

/// What a response says: its payload, or the error its status tells.
///
/// # Errors
/// The status, if its code is not 0.
pub fn outcome(response: Response) -> Result<Vec<u8>, Error> {
    match response.status {
        Some(status) if status.code != 0 => {
            Err(Error::new(Code::from_wire(status.code), status.message))
        }
        _ => Ok(response.payload),
    }
}
