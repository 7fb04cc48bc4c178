//! A blocking client: one call at a time over a unix socket.

use super::frame::{Kind, Reader};
use super::{NAMESPACE_KEY, outcome, request};
use crate::error::{At, Code, Error, Result};
use crate::proto::rpc::{KeyValue, Request, Response};
use prost::Message;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A connection to a ttrpc server.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    reader: Reader,
    namespace: String,
    next: u32,
}

impl Client {
    /// Connects to the socket at `path`; calls are made in `namespace`.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(path: &Path, namespace: &str) -> Result<Self> {
        let stream = UnixStream::connect(path)
            .at(|| format!("connect to {}", path.display()))
            .map_err(|error| Error::new(Code::Unavailable, error.message()))?;
        Ok(Self::new(stream, namespace))
    }

    /// Speaks over a connected socket.
    pub fn new(stream: UnixStream, namespace: &str) -> Self {
        Self { stream, reader: Reader::default(), namespace: namespace.to_owned(), next: 1 }
    }

    /// Calls a method and waits for its answer, for ever without a `limit`.
    ///
    /// After an error of the connection (`Unavailable`, `DeadlineExceeded`) the client is of no
    /// more use.
    ///
    /// # Errors
    /// What the server answers; `Unavailable` if it is gone, `DeadlineExceeded` after `limit`.
    pub fn call<A: Message, B: Message + Default>(
        &mut self,
        service: &str,
        method: &str,
        argument: &A,
        limit: Option<Duration>,
    ) -> Result<B> {
        let stream = self.next;
        // Streams of clients are odd.
        self.next = self.next.wrapping_add(2);
        let timeout = limit.map_or(0, |limit| i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX));
        let frame = request(
            stream,
            &Request {
                service: service.to_owned(),
                method: method.to_owned(),
                payload: argument.encode_to_vec(),
                timeout_nano: timeout,
                metadata: vec![KeyValue {
                    key: NAMESPACE_KEY.to_owned(),
                    value: self.namespace.clone(),
                }],
            },
        );
        self.stream.write_all(&frame).map_err(|error| lost(method, &error))?;
        let payload = outcome(self.answer(stream, method, limit)?)?;
        B::decode(payload.as_slice())
            .map_err(|error| Error::unknown(format!("answer to {method}: {error}")))
    }

    /// Waits for the answer to the call on `stream`; answers to calls given up are passed over.
    fn answer(&mut self, stream: u32, method: &str, limit: Option<Duration>) -> Result<Response> {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut piece = [0; 4096];
        loop {
            while let Some(frame) = self.reader.next_frame() {
                if frame.stream != stream || frame.kind != Kind::Response {
                    continue;
                }
                let Some(payload) = frame.payload else {
                    let message = format!("answer to {method}: longer than 4 MiB");
                    return Err(Error::new(Code::ResourceExhausted, message));
                };
                return Response::decode(payload.as_slice())
                    .map_err(|error| Error::unknown(format!("answer to {method}: {error}")));
            }
            self.limit(until, method)?;
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    let message = format!("{method}: the connection was closed");
                    return Err(Error::new(Code::Unavailable, message));
                }
                Ok(length) => self.reader.push(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(method, &error)),
            }
        }
    }

    fn limit(&self, until: Option<Instant>, method: &str) -> Result<()> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let message = format!("{method}: no answer in time");
            return Err(Error::new(Code::DeadlineExceeded, message));
        }
        self.stream.set_read_timeout(left).at(|| "set a time limit".to_owned())
    }
}

fn lost(method: &str, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Code::DeadlineExceeded,
        _ => Code::Unavailable,
    };
    Error::new(code, format!("{method}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::task::{SERVICE_V2, StateRequest, StateResponse};
    use crate::ttrpc::response;
    use std::thread;

    /// A server that reads one request and answers with `answer`'s bytes.
    fn serve(answer: impl FnOnce(u32, Request) -> Vec<u8> + Send + 'static) -> Client {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut reader = Reader::default();
            let mut piece = [0; 512];
            let frame = loop {
                let length = theirs.read(&mut piece).unwrap();
                reader.push(&piece[..length]);
                if let Some(frame) = reader.next_frame() {
                    break frame;
                }
            };
            let request = Request::decode(frame.payload.unwrap().as_slice()).unwrap();
            theirs.write_all(&answer(frame.stream, request)).unwrap();
        });
        Client::new(ours, "space")
    }

    fn call(client: &mut Client) -> Result<StateResponse> {
        let request = StateRequest { id: "c1".to_owned(), exec_id: String::new() };
        client.call(SERVICE_V2, "State", &request, Some(Duration::from_secs(5)))
    }

    #[test]
    fn a_call_is_answered() {
        let mut client = serve(|stream, request| {
            assert_eq!((request.service.as_str(), request.method.as_str()), (SERVICE_V2, "State"));
            assert_eq!(request.metadata[0].value, "space");
            let state = StateResponse { pid: 42, ..StateResponse::default() };
            response(stream, Ok(state.encode_to_vec()))
        });
        assert_eq!(call(&mut client).unwrap().pid, 42);
    }

    #[test]
    fn an_error_keeps_its_code_and_text() {
        let mut client =
            serve(|stream, _| response(stream, Err(Error::new(Code::NotFound, "no such thing"))));
        assert_eq!(call(&mut client), Err(Error::new(Code::NotFound, "no such thing")));
    }

    #[test]
    fn a_closed_connection_is_said() {
        let mut client = serve(|_, _| Vec::new());
        assert_eq!(call(&mut client).unwrap_err().code(), Code::Unavailable);
    }
}
