//! The service behind the gateway. The request selects its behaviour.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use rpc::RawCodec;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

pub fn descriptors() -> &'static [u8] {
    static SET: OnceLock<Vec<u8>> = OnceLock::new();
    SET.get_or_init(|| {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let includes = [here.join("../libs/transcode/tests/proto"), here.join("../proto")];
        let mut compiler = protox::Compiler::new(includes).unwrap();
        compiler.include_imports(true).include_source_info(true);
        compiler.open_file("agon/test/v1/library.proto").unwrap();
        compiler.encode_file_descriptor_set()
    })
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Book {
    #[prost(string, tag = "1")]
    pub book_id: String,
    #[prost(string, tag = "2")]
    pub title: String,
    #[prost(string, repeated, tag = "5")]
    pub tags: Vec<String>,
    #[prost(string, tag = "6")]
    pub etag: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetBookRequest {
    #[prost(string, tag = "1")]
    pub book_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HasBook {
    #[prost(message, optional, tag = "1")]
    pub book: Option<Book>,
    #[prost(string, tag = "2")]
    pub text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateBookRequest {
    #[prost(message, optional, tag = "1")]
    pub book: Option<Book>,
    #[prost(message, optional, tag = "2")]
    pub update_mask: Option<prost_types::FieldMask>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WatchBooksRequest {
    #[prost(string, tag = "1")]
    pub cursor: String,
    #[prost(int32, tag = "2")]
    pub count: i32,
    #[prost(string, tag = "3")]
    pub then: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpBody {
    #[prost(string, tag = "1")]
    pub content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UploadTextRequest {
    #[prost(string, tag = "1")]
    pub book_id: String,
    #[prost(bool, tag = "2")]
    pub publish: bool,
    #[prost(string, tag = "3")]
    pub request_id: String,
    #[prost(message, optional, tag = "4")]
    pub content: Option<HttpBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UploadTextResponse {
    #[prost(string, tag = "1")]
    pub book_id: String,
    #[prost(bool, tag = "2")]
    pub publish: bool,
    #[prost(string, tag = "3")]
    pub content_type: String,
    #[prost(int64, tag = "4")]
    pub byte_count: i64,
    #[prost(int64, tag = "5")]
    pub piece_count: i64,
    #[prost(string, tag = "6")]
    pub digest: String,
}

/// What the service has received.
#[derive(Default)]
pub struct Seen {
    pub metadata: Mutex<HashMap<String, String>>,
    pub running: tokio::sync::watch::Sender<i32>,
    /// The sizes of finished uploads in bytes.
    pub finished_uploads: Mutex<Vec<i64>>,
}

/// Counts a call as running until it is dropped.
struct Running(Arc<Seen>);

impl Running {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.running.send_modify(|running| *running += 1);
        Running(seen.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

#[derive(Clone)]
pub struct Library(pub Arc<Seen>);

impl Service<http::Request<Body>> for Library {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let seen = self.0.clone();
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or("?").to_owned())
        };
        *seen.metadata.lock().unwrap() = request.headers().iter().map(text).collect();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            let seen = &seen;
            Ok(match method.as_str() {
                "GetBook" => prost().unary(service_fn(|it| get(seen, it)), request).await,
                "CreateBook" => prost().unary(service_fn(|it| create(seen, it)), request).await,
                "UpdateBook" => prost().unary(service_fn(update), request).await,
                "GetCover" => prost().unary(service_fn(cover), request).await,
                "Echo" => Grpc::new(RawCodec).unary(service_fn(echo), request).await,
                "WatchBooks" => {
                    prost().server_streaming(service_fn(|it| watch(seen, it)), request).await
                }
                "DownloadText" => prost().server_streaming(service_fn(download), request).await,
                "UploadText" => {
                    prost().client_streaming(service_fn(|it| upload(seen, it)), request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

fn prost<T, U>() -> Grpc<ProstCodec<T, U>>
where
    T: prost::Message + 'static,
    U: prost::Message + Default + 'static,
{
    Grpc::new(ProstCodec::default())
}

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Fails, hangs or panics if the name requests it.
async fn behave_as(seen: &Arc<Seen>, name: &str) -> Result<(), Status> {
    let _running = Running::new(seen);
    match name {
        "hang" => std::future::pending().await,
        "panic" => panic!("requested panic"),
        "retry" => {
            let after = Duration::from_millis(2500);
            Err(rpc::status::retry(Code::ResourceExhausted, "SLOW_DOWN", "later", after))
        }
        "reused" => Err(rpc::status::error(Code::InvalidArgument, "REQUEST_ID_REUSED", "used")),
        "changed" => Err(rpc::status::error(Code::Aborted, "ETAG_MISMATCH", "changed")),
        name => match name.strip_prefix("code-").and_then(|code| code.parse::<i32>().ok()) {
            Some(code) => Err(rpc::status::error(Code::from(code), "REQUESTED", "requested error")),
            None => Ok(()),
        },
    }
}

fn book(id: &str) -> Book {
    Book { book_id: id.into(), title: format!("About {id}"), tags: vec![], etag: format!("e-{id}") }
}

async fn get(seen: &Arc<Seen>, request: Request<GetBookRequest>) -> Answer<HasBook> {
    let id = request.into_inner().book_id;
    behave_as(seen, &id).await?;
    let mut message = HasBook { book: Some(book(&id)), text: String::new() };
    if id == "large" {
        message.book.as_mut().unwrap().title = "large ".repeat(10_000);
    }
    let mut response = Response::new(message);
    response.metadata_mut().insert("ratelimit-remaining", "7".parse().unwrap());
    response.metadata_mut().insert("x-internal", "secret".parse().unwrap());
    Ok(response)
}

async fn create(seen: &Arc<Seen>, request: Request<HasBook>) -> Answer<Book> {
    // Field 2 of the request is the request_id.
    let request = request.into_inner();
    behave_as(seen, &request.text).await?;
    Ok(Response::new(Book { etag: request.text, ..request.book.unwrap_or_default() }))
}

async fn update(request: Request<UpdateBookRequest>) -> Answer<HasBook> {
    let request = request.into_inner();
    let mut book = request.book.unwrap_or_default();
    if !book.etag.is_empty() && book.etag != "current" {
        return Err(rpc::status::error(Code::Aborted, "ETAG_MISMATCH", "changed"));
    }
    book.tags = request.update_mask.unwrap_or_default().paths;
    Ok(Response::new(HasBook { book: Some(book), text: String::new() }))
}

async fn cover(_: Request<GetBookRequest>) -> Answer<HttpBody> {
    let data = Bytes::from_static(b"\x89PNG\0");
    Ok(Response::new(HttpBody { content_type: "image/png".into(), data }))
}

async fn echo(request: Request<Bytes>) -> Answer<Bytes> {
    Ok(Response::new(request.into_inner()))
}

async fn watch(seen: &Arc<Seen>, request: Request<WatchBooksRequest>) -> Answer<Messages<HasBook>> {
    let request = request.into_inner();
    if request.then == "refuse" {
        return Err(Status::permission_denied("no"));
    }
    let running = Running::new(seen);
    let start: i32 = request.cursor.parse().unwrap_or(0);
    let books = (start + 1..=start + request.count)
        .map(|n| Ok(HasBook { book: Some(book(&n.to_string())), text: n.to_string() }));
    let end: Messages<HasBook> = match request.then.as_str() {
        "fail" => Box::pin(stream::iter([Err(Status::data_loss("lost"))])),
        "hang" => Box::pin(stream::pending()),
        _ => Box::pin(stream::empty()),
    };
    let all = stream::iter(books).chain(end).map(move |item| {
        let _ = &running;
        item
    });
    let all: Messages<HasBook> = Box::pin(all);
    Ok(Response::new(all))
}

async fn download(request: Request<GetBookRequest>) -> Answer<Messages<HttpBody>> {
    let id = request.into_inner().book_id;
    if id == "none" {
        return Err(rpc::status::not_found("TEXT_NOT_FOUND", "there is no text"));
    }
    let piece = |content_type: &str, data: &'static [u8]| {
        Ok(HttpBody { content_type: content_type.into(), data: Bytes::from_static(data) })
    };
    let mut pieces = vec![piece("text/html", b"one "), piece("", b"two "), piece("", b"three")];
    if id == "broken" {
        pieces.push(Err(Status::data_loss("lost")));
    }
    let pieces: Messages<HttpBody> = Box::pin(stream::iter(pieces));
    let mut response = Response::new(pieces);
    let name = "attachment; filename=\"t.html\"".parse().unwrap();
    response.metadata_mut().insert("content-disposition", name);
    Ok(response)
}

async fn upload(
    seen: &Arc<Seen>,
    request: Request<Streaming<UploadTextRequest>>,
) -> Answer<UploadTextResponse> {
    let _running = Running::new(seen);
    let mut messages = request.into_inner();
    let mut result = UploadTextResponse::default();
    let mut hash = 0_u64;
    while let Some(message) = messages.message().await? {
        if result.piece_count == 0 {
            if message.book_id == "early" {
                return Err(rpc::status::permission_denied("REFUSED", "not here"));
            }
            result.book_id = message.book_id;
            result.publish = message.publish;
            result.digest = message.request_id;
        }
        let content = message.content.unwrap_or_default();
        result.content_type.push_str(&content.content_type);
        result.piece_count += 1;
        result.byte_count += content.data.len() as i64;
        let add = |hash: u64, byte: &u8| hash.wrapping_mul(31).wrapping_add(u64::from(*byte));
        hash = content.data.iter().fold(hash, add);
    }
    result.digest.push_str(&format!("/{hash:x}"));
    seen.finished_uploads.lock().unwrap().push(result.byte_count);
    Ok(Response::new(result))
}
