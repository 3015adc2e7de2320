//! One call to a service: from an HTTP request to a gRPC request, and from its response back.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rpc::RawCodec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};
use transcode::{Plan, Route};

use crate::Upstream;
use crate::edge::Edge;
use crate::etag;
use crate::failure::Failure;
use crate::headers::{self, LAST_EVENT_ID};
use crate::stream::ResponseStream;
use crate::{accept, body, multipart, upload};

/// A request whose route is known.
pub struct Call<'r> {
    pub edge: Arc<Edge>,
    pub route: usize,
    pub parts: &'r Parts,
    pub segments: Vec<&'r str>,
    pub metadata: MetadataMap,
    /// The client's address.
    pub client: Option<IpAddr>,
}

impl Call<'_> {
    pub async fn run(self, body: Body) -> Result<Response, Failure> {
        match self.route() {
            // Boxed, so that the future of a unary call, which is moved several times, is small.
            route if route.client_streaming => Box::pin(self.upload(body)).await,
            route if route.server_streaming => Box::pin(self.stream(body)).await,
            _ => self.unary(body).await,
        }
    }

    fn route(&self) -> &Route {
        self.edge.plan.route(self.route)
    }

    fn plan(&self) -> &Plan {
        &self.edge.plan
    }

    fn deadline(&self, stream: bool) -> Duration {
        self.edge.config.deadline(headers::requested_timeout(&self.parts.headers), stream)
    }

    fn limit(&self) -> u64 {
        let config = &self.edge.config;
        let default = match self.route().upload {
            Some(_) => config.upload_bytes,
            None => config.body_bytes as u64,
        };
        config.body_bytes_of.get(&self.route().rpc).copied().unwrap_or(default)
    }

    async fn unary(mut self, body: Body) -> Result<Response, Failure> {
        if self.route().download.is_none() {
            accept::json(&self.parts.headers)?;
        }
        let message = self.message(body).await?;
        let _permit = permit(&self.edge.unary)?;
        let deadline = self.deadline(false);
        let request = self.request(message, deadline);
        let mut grpc = self.grpc().await?;
        let response = grpc.unary(request, self.path(), RawCodec);
        let response = within(deadline, response).await.map_err(with_headers)?;
        self.respond(response)
    }

    /// Reads the whole body and encodes the request message.
    async fn message(&self, body: Body) -> Result<Bytes, Failure> {
        let headers = &self.parts.headers;
        let content_type = match self.route().upload {
            Some(_) => accept::content_type(headers)?.unwrap_or_default().to_owned(),
            None => String::new(),
        };
        let body = body::read(headers, body, self.limit(), &self.edge.reading, self.client).await?;
        if self.route().upload.is_none() && !body.is_empty() {
            accept::json_body(headers)?;
        }
        self.bind(self.parts.uri.query().unwrap_or_default(), &body, &content_type)
    }

    fn bind(&self, query: &str, body: &[u8], content_type: &str) -> Result<Bytes, Failure> {
        let headers = &self.parts.headers;
        let etag = if self.is_read() { None } else { etag::if_match(headers)? };
        let parts = transcode::Parts {
            segments: &self.segments,
            query,
            body,
            content_type,
            idempotency_key: headers::idempotency_key(headers)?,
            etag: etag.as_deref(),
            last_event_id: headers::text(headers, &LAST_EVENT_ID)?,
        };
        Ok(self.plan().bind(self.route(), &parts)?.into())
    }

    fn is_read(&self) -> bool {
        self.parts.method == Method::GET || self.parts.method == Method::HEAD
    }

    fn request<T>(&mut self, message: T, deadline: Duration) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = std::mem::take(&mut self.metadata);
        request.set_timeout(deadline);
        request
    }

    fn path(&self) -> PathAndQuery {
        self.edge.targets[self.route].1.clone()
    }

    async fn grpc(&self) -> Result<Grpc<Upstream>, Failure> {
        let limit = self.edge.config.response_bytes;
        let mut grpc = Grpc::new(self.edge.upstream.clone()).max_decoding_message_size(limit);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        Ok(grpc)
    }

    fn respond(&self, response: tonic::Response<Bytes>) -> Result<Response, Failure> {
        let (metadata, message, _) = response.into_parts();
        let mut headers = headers::response_headers(metadata);
        if self.route().download.is_some() {
            let (content_type, data) = self.plan().download(self.route(), &message)?;
            return Ok(response_of(
                Body::from(message.slice_ref(data)),
                media(content_type),
                headers,
            ));
        }
        if let Some(tag) = self.plan().etag(self.route(), &message).and_then(etag::header) {
            headers.insert(ETAG, tag.clone());
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
            if self.is_read() && etag::not_modified(&self.parts.headers, &tag)? {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                *response.headers_mut() = headers;
                return Ok(response);
            }
        }
        let mut json = Vec::with_capacity(message.len() * 2);
        self.plan().reply(self.route(), &message, &mut json)?;
        Ok(response_of(Body::from(json), HeaderValue::from_static("application/json"), headers))
    }

    async fn stream(mut self, body: Body) -> Result<Response, Failure> {
        let form = match self.route().download {
            Some(_) => None,
            None => Some(accept::stream(&self.parts.headers)?),
        };
        let message = self.message(body).await?;
        let permit = permit(&self.edge.streams)?;
        let deadline = self.deadline(true);
        let request = self.request(message, deadline);
        let mut grpc = self.grpc().await?;
        let response = grpc.server_streaming(request, self.path(), RawCodec);
        let response = within(deadline, response).await.map_err(with_headers)?;
        let (metadata, mut messages, _) = response.into_parts();
        let headers = headers::response_headers(metadata);
        let heartbeat = Duration::from_secs(self.edge.config.heartbeat_seconds);
        let Some(form) = form else { return self.download(messages, permit, headers).await };
        let first = crate::stream::first(&mut messages).await?;
        let media = HeaderValue::from_static(form.media_type());
        let (plan, route) = (self.edge.plan.clone(), self.route);
        let stream =
            ResponseStream { plan, route, form, messages, first, heartbeat, _permit: permit };
        Ok(response_of(stream.body(), media, headers))
    }

    /// Streams the bytes of `google.api.HttpBody` messages; the first message has the media type.
    async fn download(
        self,
        mut messages: Streaming<Bytes>,
        permit: OwnedSemaphorePermit,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let (content_type, first) = match messages.message().await? {
            None => (media(""), None),
            Some(message) => {
                let (content_type, data) = self.plan().download(self.route(), &message)?;
                (media(content_type), Some(message.slice_ref(data)))
            }
        };
        let state = (self.edge.clone(), self.route, messages, first, permit);
        let pieces =
            stream::try_unfold(state, |(edge, route, mut messages, first, permit)| async move {
                let piece = match first {
                    Some(piece) => piece,
                    // An error aborts the transfer, so that the client detects the truncation.
                    None => match messages.message().await.map_err(std::io::Error::other)? {
                        None => return Ok::<_, std::io::Error>(None),
                        Some(message) => {
                            let of = edge.plan.route(route);
                            let found =
                                edge.plan.download(of, &message).map_err(std::io::Error::other)?;
                            message.slice_ref(found.1)
                        }
                    },
                };
                Ok(Some((piece, (edge, route, messages, None, permit))))
            });
        Ok(response_of(Body::from_stream(pieces), content_type, headers))
    }

    async fn upload(mut self, body: Body) -> Result<Response, Failure> {
        let headers = &self.parts.headers;
        accept::json(headers)?;
        body::check_identity(headers)?;
        let limit = self.limit();
        body::check_length(headers, limit)?;
        let content_type = accept::content_type(headers)?.unwrap_or_default();
        let mut query = self.parts.uri.query().unwrap_or_default().to_owned();
        let mut chunks = upload::chunks(body, limit, self.edge.config.pace());
        let mut media = content_type.to_owned();
        if let Some(boundary) = multipart::boundary(content_type) {
            let form = multipart::open(boundary, chunks).await?;
            if !query.is_empty() && !form.query.is_empty() {
                query.push('&');
            }
            query.push_str(&form.query);
            (media, chunks) = (form.content_type, form.file);
        } else if content_type.starts_with("multipart/") {
            return Err(accept::unsupported("the raw file or multipart/form-data"));
        }
        let first = self.bind(&query, b"", &media)?;
        let _permit = permit(&self.edge.streams)?;
        let (messages, failure) =
            upload::messages(self.edge.plan.clone(), self.route, first, chunks);
        let deadline = self.deadline(true);
        let request = self.request(messages, deadline);
        let mut grpc = self.grpc().await?;
        let response =
            pin!(within(deadline, grpc.client_streaming(request, self.path(), RawCodec)));
        tokio::select! {
            response = response => self.respond(response.map_err(with_headers)?),
            // Returning drops the call, which cancels it.
            Ok(failure) = failure => Err(failure),
        }
    }
}

/// Taken when the request is complete, so that a client that does not send it holds none. Fails at
/// once when no permit is free: a queue would only hide the overload.
pub fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    semaphore.clone().try_acquire_owned().map_err(|_| Failure::overloaded())
}

/// Fails 500 ms after the deadline, for services that do not enforce their deadline.
pub async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded("deadline exceeded");
    tokio::time::timeout(deadline + Duration::from_millis(500), call).await.map_err(late)?
}

pub fn with_headers(status: Status) -> Failure {
    let headers = headers::response_headers(status.metadata().clone());
    Failure::from(status).with_headers(headers)
}

fn media(content_type: &str) -> HeaderValue {
    let content_type =
        if content_type.is_empty() { "application/octet-stream" } else { content_type };
    HeaderValue::from_str(content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn response_of(body: Body, media: HeaderValue, headers: HeaderMap) -> Response {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}
