//! Frames on the socket: length, request header, body; and answers in the version that was asked in.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Error, Result};

/// Room reserved before the rest of a frame has arrived, so that a false length costs little.
const FIRST_READ_BYTES: usize = 1 << 20;

/// A request whose header has been read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) client_id: String,
    correlation_id: i32,
    body: Bytes,
}

/// Reads one frame; `None` when the client hung up between two.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(stream: &mut R, max_bytes: usize) -> Result<Option<Bytes>> {
    let mut prefix = [0; 4];
    if stream.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[1..]).await?;
    let length = usize::try_from(i32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > max_bytes {
        let detail = format!("frame of {length} bytes, expected at most {max_bytes}");
        return Err(Error::Protocol(detail));
    }
    let mut frame = BytesMut::with_capacity(length.min(FIRST_READ_BYTES));
    let mut rest = stream.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(Error::Protocol("connection ended inside a frame".to_owned()));
        }
    }
    Ok(Some(frame.freeze()))
}

// === impl Request ===

impl Request {
    /// Reads the header. The caller checks that the version is one that it speaks.
    pub(crate) fn parse(mut frame: Bytes) -> Result<Self> {
        if frame.len() < 8 {
            return Err(Error::Protocol(format!("frame of {} bytes", frame.len())));
        }
        let mut start = &frame[..4];
        let (number, version) = (start.get_i16(), start.get_i16());
        let key = ApiKey::try_from(number).map_err(|()| Error::Protocol(format!("unknown request {number}")))?;
        let header = RequestHeader::decode(&mut frame, key.request_header_version(version))
            .map_err(|e| Error::Protocol(format!("header of {key:?} version {version}: {e}")))?;
        Ok(Self {
            key,
            version,
            client_id: header.client_id.map(|id| id.to_string()).unwrap_or_default(),
            correlation_id: header.correlation_id,
            body: frame,
        })
    }

    pub(crate) fn body<T: Decodable>(&self) -> Result<T> {
        T::decode(&mut self.body.clone(), self.version).map_err(|e| self.fault("body", &e))
    }

    /// Encodes an answer in the version of the request.
    pub(crate) fn answer<T: Encodable + HeaderVersion>(&self, answer: &T) -> Result<Option<Bytes>> {
        self.answer_in(self.version, answer)
    }

    /// Encodes an answer in another version: for a client that asked in one unknown here.
    pub(crate) fn answer_in<T: Encodable + HeaderVersion>(&self, version: i16, answer: &T) -> Result<Option<Bytes>> {
        let size = answer.compute_size(version).map_err(|e| self.fault("answer", &e))?;
        let mut out = BytesMut::with_capacity(size + 16);
        out.put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        header
            .encode(&mut out, T::header_version(version))
            .and_then(|()| answer.encode(&mut out, version))
            .map_err(|e| self.fault("answer", &e))?;
        let length = i32::try_from(out.len() - 4).map_err(|e| self.fault("answer", &e))?;
        out[..4].copy_from_slice(&length.to_be_bytes());
        Ok(Some(out.freeze()))
    }

    fn fault(&self, part: &str, found: &dyn std::fmt::Display) -> Error {
        let Self { key, version, .. } = self;
        Error::Protocol(format!("{part} of {key:?} version {version}: {found}"))
    }
}
