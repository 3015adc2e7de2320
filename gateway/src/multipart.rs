//! `multipart/form-data` uploads: the fields before the file become query parameters, the file is
//! streamed. `multer` parses the form; this file limits how much it buffers.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use multer::{Error, Field, Multipart};

use crate::failure::Failure;

/// Bytes of a request body as they arrive.
pub type Chunks = BoxStream<'static, Result<Bytes, Failure>>;

/// Maximum number of bytes of the form before the content of the file.
const MAX_FIELD_BYTES: usize = 64 * 1024;

/// A form, read up to the content of its file.
pub struct Form {
    /// The fields before the file, as a query string.
    pub query: String,
    /// The file's media type; empty if the form has none.
    pub content_type: String,
    /// The file's bytes. Fails if the form is cut off or has parts after the file.
    pub file: Chunks,
}

/// The boundary of a `multipart/form-data` content type.
pub fn boundary(content_type: &str) -> Option<String> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// Reads a form up to the content of its first file.
pub async fn open(boundary: String, chunks: Chunks) -> Result<Form, Failure> {
    let gate = Arc::new(Gate::default());
    let multipart = Multipart::new(gate.clone().limit(chunks), boundary);
    let mut form = Parser { multipart, gate };
    let mut query = String::new();
    while let Some(mut part) = form.next_part().await? {
        let name = part.name().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(malformed("a part has no name"));
        }
        if is_file(&part) {
            let content_type =
                part.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or_default().to_owned();
            return Ok(Form { query, content_type, file: form.file(part) });
        }
        let mut value = Vec::new();
        while let Some(chunk) = form.gate.next_chunk(&mut part).await? {
            value.extend_from_slice(&chunk);
        }
        let value = std::str::from_utf8(&value)
            .map_err(|_| malformed(format!("the value of the part `{name}` is not UTF-8")))?;
        if !query.is_empty() {
            query.push('&');
        }
        percent_encode(&name, &mut query);
        query.push('=');
        percent_encode(value, &mut query);
    }
    Err(malformed("the form has no file"))
}

/// `multer` does not recognize the extended form of the parameter.
fn is_file(part: &Field<'_>) -> bool {
    let disposition = part.headers().get(CONTENT_DISPOSITION);
    let text = disposition.and_then(|value| value.to_str().ok()).unwrap_or_default();
    part.file_name().is_some() || text.contains("filename*=")
}

struct Parser {
    multipart: Multipart<'static>,
    gate: Arc<Gate>,
}

impl Parser {
    /// The previous part must be dropped and read to its end.
    async fn next_part(&mut self) -> Result<Option<Field<'static>>, Failure> {
        let Parser { multipart, gate } = self;
        poll_fn(|cx| gate.poll(cx, |cx| multipart.poll_next_field(cx))).await.map_err(failure)
    }

    fn file(self, part: Field<'static>) -> Chunks {
        self.gate.in_file.store(true, Ordering::Relaxed);
        let chunks = stream::try_unfold((self, part), |(mut form, mut part)| async move {
            if let Some(chunk) = form.gate.next_chunk(&mut part).await? {
                return Ok(Some((chunk, (form, part))));
            }
            drop(part);
            // The service already has the request message, so a later field could not change it.
            match form.next_part().await? {
                None => Ok(None),
                Some(_) => Err(malformed("the file must be the last part of the form")),
            }
        });
        chunks.boxed()
    }
}

/// Passes one chunk at a time to the parser, which would otherwise buffer all that are ready.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    /// Lifts the limit on the fields; the size of the file is limited elsewhere.
    in_file: AtomicBool,
}

impl Gate {
    fn limit(
        self: Arc<Self>,
        mut chunks: Chunks,
    ) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
        let mut received = 0;
        stream::poll_fn(move |cx| {
            if !self.open.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            if received > MAX_FIELD_BYTES && !self.in_file.load(Ordering::Relaxed) {
                let message = format!("the form has more than {MAX_FIELD_BYTES} bytes of fields");
                return Poll::Ready(Some(Err(malformed(message))));
            }
            let next = ready!(chunks.poll_next_unpin(cx));
            self.open.store(false, Ordering::Relaxed);
            if let Some(Ok(chunk)) = &next {
                received += chunk.len();
            }
            Poll::Ready(next)
        })
    }

    /// Polls the parser, and opens the gate only when the parser needs more input.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        loop {
            if let Poll::Ready(value) = poll(cx) {
                return Poll::Ready(value);
            }
            // A gate that is still open means that the body is pending and holds the waker.
            if self.open.swap(true, Ordering::Relaxed) {
                return Poll::Pending;
            }
        }
    }

    async fn next_chunk(&self, part: &mut Field<'static>) -> Result<Option<Bytes>, Failure> {
        let chunk = poll_fn(|cx| self.poll(cx, |cx| part.poll_next_unpin(cx))).await;
        chunk.transpose().map_err(failure)
    }
}

fn malformed(message: impl Into<String>) -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, "FORM_MALFORMED", message)
}

fn failure(error: Error) -> Failure {
    match error {
        Error::StreamReadFailed(error) => match error.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(error) => malformed(error.to_string()),
        },
        Error::IncompleteFieldData { field_name } => {
            let name = field_name.unwrap_or_default();
            malformed(format!("the form ends inside the part `{name}`"))
        }
        Error::IncompleteStream => malformed("the form ends before its closing boundary"),
        Error::ReadHeaderFailed(error) => malformed(format!("a part has invalid headers: {error}")),
        other => malformed(other.to_string()),
    }
}

fn percent_encode(text: &str, query: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            write!(query, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Each chunk is pending first, as it is on a network.
    fn chunks(text: &str, size: usize) -> Chunks {
        let pieces: Vec<_> =
            text.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let later = async |piece| {
            tokio::task::yield_now().await;
            piece
        };
        stream::iter(pieces).then(later).boxed()
    }

    async fn read(chunks: Chunks) -> Result<(String, String, Vec<u8>), Failure> {
        let mut form = open("XX".into(), chunks).await?;
        let mut file = Vec::new();
        while let Some(piece) = form.file.next().await {
            file.extend_from_slice(&piece?);
        }
        Ok((form.query, form.content_type, file))
    }

    const FORM: &str = "--XX\r\nContent-Disposition: form-data; name=\"publish\"\r\n\r\ntrue\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.zip\"\r\n\
        Content-Type: application/zip\r\n\r\nPK\r\n--X\r\n-data\r\n--XX--\r\n";

    #[tokio::test]
    async fn chunk_sizes_do_not_matter() {
        for size in [1, 2, 3, 7, 64, 4096] {
            let (query, content_type, file) = read(chunks(FORM, size)).await.unwrap();
            assert_eq!(query, "publish=true", "{size}");
            assert_eq!(content_type, "application/zip");
            assert_eq!(file, b"PK\r\n--X\r\n-data", "{size}");
        }
        let extended = FORM.replace("filename=\"a b.zip\"", "filename*=UTF-8''a%20b.zip");
        assert_eq!(read(chunks(&extended, 5)).await.unwrap().2, b"PK\r\n--X\r\n-data");
        let special = FORM.replace("true", "a&b=ü");
        assert_eq!(read(chunks(&special, 5)).await.unwrap().0, "publish=a%26b%3D%C3%BC");
    }

    #[tokio::test]
    async fn malformed_forms_are_refused() {
        let field = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n";
        let long = format!("{field}\r\n{}", "x".repeat(1 << 20));
        let after_file = FORM.replace("--XX--", &format!("{field}\r\nb\r\n--XX--"));
        for (text, message) in [
            ("", "closing boundary"),
            ("--XX--\r\n", "no file"),
            ("nothing", "closing boundary"),
            (&FORM[..FORM.len() - 8], "inside the part `file`"),
            (&FORM[..FORM.len() - 4], "closing boundary"),
            (&FORM[..60], "inside the part `publish`"),
            (&FORM[..20], "closing boundary"),
            (&long, "more than 65536 bytes of fields"),
            (&"x".repeat(1 << 20), "more than 65536 bytes of fields"),
            (&format!("{field}x-long: {}", "x".repeat(1 << 20)), "more than 65536 bytes"),
            ("--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--", "no name"),
            ("--XX\r\nno colon\r\n\r\nx\r\n--XX--", "invalid headers"),
            (&after_file, "last part"),
        ] {
            // Single bytes would make the search for a boundary in a large form slow.
            for size in [if text.len() < 1000 { 1 } else { 1 << 16 }, 50] {
                let failure = read(chunks(text, size)).await.unwrap_err();
                let error = failure.to_string();
                assert!(error.contains(message), "{text:.60} in pieces of {size}: {error}");
            }
        }
        let (before, after) = FORM.split_once("true").unwrap();
        let form = [before.as_bytes(), b"\xff", after.as_bytes()].concat();
        let failure = read(stream::iter([Ok(form.into())]).boxed()).await.unwrap_err();
        assert!(failure.to_string().contains("the part `publish` is not UTF-8"), "{failure}");
    }

    #[tokio::test]
    async fn failures_of_the_body_are_kept() {
        let body = chunks(FORM, 10).take(12).chain(stream::iter([Err(Failure::too_large(7))]));
        let failure = read(body.boxed()).await.unwrap_err();
        assert!(failure.to_string().contains("larger than 7 bytes"), "{failure}");
    }

    #[tokio::test]
    async fn memory_is_bounded_when_the_body_is_always_ready() {
        const CHUNK: usize = 10_000;
        let pulled = Arc::new(AtomicUsize::new(0));
        let head = FORM[..FORM.find("PK").unwrap()].to_owned();
        let endless = stream::repeat_with({
            let pulled = pulled.clone();
            move || {
                pulled.fetch_add(CHUNK, Ordering::Relaxed);
                Ok(Bytes::from_static(&[b'\r'; CHUNK]))
            }
        });
        let body = stream::iter([Ok(head.into())]).chain(endless);
        let mut form = open("XX".into(), body.boxed()).await.unwrap();
        assert_eq!(pulled.load(Ordering::Relaxed), 0);
        let mut read = 0;
        while read < 100 * CHUNK {
            read += form.file.next().await.unwrap().unwrap().len();
            assert!(pulled.load(Ordering::Relaxed) <= read + CHUNK);
        }
    }

    #[test]
    fn boundaries_are_parsed() {
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(boundary("Multipart/Form-Data;boundary=x; charset=utf-8").as_deref(), Some("x"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("application/zip; boundary=x"), None);
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }
}
