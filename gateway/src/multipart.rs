//! `multipart/form-data` uploads: the fields before the file become query parameters, the file is
//! streamed through. Browsers send forms this way; only what they need is understood.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::StatusCode;

use crate::failure::Failure;

/// Bytes of a request body as they arrive.
pub type Chunks = BoxStream<'static, Result<Bytes, Failure>>;

/// The most that part headers and the fields before the file may take.
const MAX_FIELDS: usize = 64 * 1024;

/// A form up to its file.
pub struct Form {
    /// The fields before the file, as a query.
    pub query: String,
    /// The file's media type.
    pub content_type: String,
    /// The file's bytes; fails when the form does not end properly.
    pub file: Chunks,
}

/// The boundary of a `multipart/form-data` content type.
pub fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parts.find_map(|part| parameter(part, "boundary"))?;
    ((1..=70).contains(&boundary.len())).then_some(boundary)
}

/// Reads a form up to the content of its first file.
pub async fn open(boundary: &str, chunks: Chunks) -> Result<Form, Failure> {
    let mut reader = Reader { chunks, buffer: BytesMut::from("\r\n"), taken: 0 };
    let delimiter = format!("\r\n--{boundary}");
    let mut query = String::new();
    reader.until(delimiter.as_bytes()).await?;
    loop {
        if reader.line().await?.starts_with(b"--") {
            return Err(malformed("the form holds no file"));
        }
        let part = reader.part().await?;
        if part.is_file {
            let content_type = part.content_type;
            return Ok(Form { query, content_type, file: reader.file(delimiter.into_bytes()) });
        }
        let value = reader.until(delimiter.as_bytes()).await?;
        let value = std::str::from_utf8(&value)
            .map_err(|_| malformed(&format!("the field {} is not UTF-8", part.name)))?;
        if !query.is_empty() {
            query.push('&');
        }
        encode(&part.name, &mut query);
        query.push('=');
        encode(value, &mut query);
    }
}

fn malformed(message: &str) -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, "FORM_MALFORMED", message)
}

struct Part {
    name: String,
    content_type: String,
    is_file: bool,
}

struct Reader {
    chunks: Chunks,
    buffer: BytesMut,
    taken: usize,
}

impl Reader {
    async fn fill(&mut self) -> Result<(), Failure> {
        match self.chunks.next().await {
            Some(chunk) => self.buffer.extend_from_slice(&chunk?),
            None => return Err(malformed("the form ends too early")),
        }
        Ok(())
    }

    /// What stands before the delimiter, which is consumed.
    async fn until(&mut self, delimiter: &[u8]) -> Result<BytesMut, Failure> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer[searched..], delimiter) {
                let before = self.buffer.split_to(searched + at);
                let _ = self.buffer.split_to(delimiter.len());
                self.taken += before.len() + delimiter.len();
                return Ok(before);
            }
            searched = self.buffer.len().saturating_sub(delimiter.len() - 1);
            if self.taken + self.buffer.len() > MAX_FIELDS + delimiter.len()
                && searched > MAX_FIELDS
            {
                return Err(malformed("the form's fields are too large"));
            }
            if self.taken > MAX_FIELDS {
                return Err(malformed("the form's fields are too large"));
            }
            self.fill().await?;
        }
    }

    async fn line(&mut self) -> Result<BytesMut, Failure> {
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            return Ok(self.buffer.split_to(2));
        }
        self.until(b"\r\n").await
    }

    /// The headers of a part.
    async fn part(&mut self) -> Result<Part, Failure> {
        let mut part = Part { name: String::new(), content_type: String::new(), is_file: false };
        loop {
            let line = self.until(b"\r\n").await?;
            if line.is_empty() {
                break;
            }
            let line = std::str::from_utf8(&line)
                .map_err(|_| malformed("a part's header is not UTF-8"))?;
            let Some((name, value)) = line.split_once(':') else {
                return Err(malformed("a part's header has no colon"));
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-disposition") {
                let find =
                    |wanted| value.split(';').find_map(|text| parameter(text.trim(), wanted));
                part.name = find("name").unwrap_or_default();
                part.is_file = find("filename").is_some() || value.contains("filename*=");
            } else if name.eq_ignore_ascii_case("content-type") {
                part.content_type = value.to_owned();
            }
        }
        if part.name.is_empty() {
            return Err(malformed("a part has no name"));
        }
        Ok(part)
    }

    fn file(self, delimiter: Vec<u8>) -> Chunks {
        let state = Some((self, delimiter));
        Box::pin(futures_util::stream::unfold(state, |state| async move {
            let (mut reader, delimiter) = state?;
            match reader.piece(&delimiter).await {
                Ok(Some(piece)) => Some((Ok(piece), Some((reader, delimiter)))),
                Ok(None) => None,
                Err(failure) => Some((Err(failure), None)),
            }
        }))
    }

    /// The next piece of the file, holding back what may be the start of a delimiter.
    async fn piece(&mut self, delimiter: &[u8]) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(at) = find(&self.buffer, delimiter) {
                if at > 0 {
                    return Ok(Some(self.buffer.split_to(at).freeze()));
                }
                let _ = self.buffer.split_to(delimiter.len());
                return self.rest().await;
            }
            let certain = self.buffer.len().saturating_sub(delimiter.len() - 1);
            if certain > 0 {
                return Ok(Some(self.buffer.split_to(certain).freeze()));
            }
            self.fill().await?;
        }
    }

    /// After the file the form must end: what came later could not change the request any more.
    async fn rest(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if !self.buffer.starts_with(b"--") {
            return Err(malformed("the file must be the form's last part"));
        }
        Ok(None)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    while let Some(step) = haystack[at..].iter().position(|byte| *byte == first) {
        at += step;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The value of `name=value` or `name="value"`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let (name, value) = text.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case(wanted) {
        return None;
    }
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    Some(value.to_owned())
}

fn encode(text: &str, query: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            query.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &str, size: usize) -> Chunks {
        let pieces: Vec<_> =
            text.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(futures_util::stream::iter(pieces))
    }

    async fn read(text: &str, size: usize) -> Result<(String, String, Vec<u8>), Failure> {
        let mut form = open("XX", chunks(text, size)).await?;
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
    async fn any_chunking_gives_the_same() {
        for size in [1, 2, 3, 7, 64, 4096] {
            let (query, content_type, file) = read(FORM, size).await.unwrap();
            assert_eq!(query, "publish=true", "{size}");
            assert_eq!(content_type, "application/zip");
            assert_eq!(file, b"PK\r\n--X\r\n-data", "{size}");
        }
    }

    #[tokio::test]
    async fn broken_forms() {
        let long = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{}",
            "x".repeat(1 << 20)
        );
        for text in [
            "",
            "--XX--\r\n",
            "nothing",
            &FORM[..FORM.len() - 8],
            &FORM[..20],
            &long,
            "--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--",
            "--XX\r\nno colon\r\n\r\nx\r\n--XX--",
            &FORM.replace(
                "--XX--",
                "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--XX--",
            ),
        ] {
            assert!(read(text, 50).await.is_err(), "{text:.60}");
        }
    }

    #[test]
    fn boundaries() {
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(boundary("Multipart/Form-Data;boundary=x; charset=utf-8").as_deref(), Some("x"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("application/zip; boundary=x"), None);
    }
}
