//! The gateway's own pages: the start page, the OpenAPI document, Swagger UI and README.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    LOCATION, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use transcode::Plan;
use utoipa_swagger_ui::{Config, SwaggerFile};

const START: &str = include_str!("start.html");
const START_POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const README: &str = include_str!("../../README.md");

/// The files of Swagger UI that its page loads.
const DOCS: [&str; 8] = [
    "",
    "favicon-16x16.png",
    "favicon-32x32.png",
    "index.css",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];
/// Its style sheets have images in data URLs.
const DOCS_POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self' data:; \
    script-src 'self'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'";

/// The pages by path.
#[derive(Debug)]
pub struct Pages(HashMap<String, Page>);

#[derive(Debug)]
struct Page {
    body: Bytes,
    /// Whether `body` is compressed with gzip.
    gzip: bool,
    headers: HeaderMap,
}

impl Pages {
    /// `readiness` is the URL where an operator on this machine can query the readiness.
    pub fn new(plan: &Plan, readiness: Option<&str>) -> Pages {
        let openapi = transcode::openapi(plan).to_string();
        let start = START.replace("{readiness}", &link(readiness));
        let mut pages = HashMap::from([
            ("/".to_owned(), Page::html(start.into(), START_POLICY)),
            ("/openapi.json".to_owned(), Page::new(openapi.into(), "application/json")),
            ("/readme".to_owned(), Page::new(README.into(), "text/plain; charset=utf-8")),
            ("/docs".to_owned(), Page::redirect("docs/")),
        ]);
        // Relative, so that it also works behind a proxy that adds a prefix.
        let config = Config::new(["../openapi.json"]).validator_url("none").use_base_layout();
        let config = Arc::new(config);
        for name in DOCS {
            // It fails only for a configuration that is not JSON, and for a file that is not UTF-8.
            if let Ok(Some(file)) = utoipa_swagger_ui::serve(name, config.clone()) {
                pages.insert(format!("/docs/{name}"), Page::docs(file));
            }
        }
        Pages(pages)
    }

    /// Whether the path is one of these pages and not a route of a service.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The page, in an encoding that the client accepts.
    pub fn page(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let page = self.0.get(path)?;
        let compressed = page.gzip && accepts_gzip(headers);
        let body = if page.gzip && !compressed { inflate(&page.body) } else { page.body.clone() };
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = page.headers.clone();
        if page.gzip {
            response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if compressed {
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(CONTENT_ENCODING, gzip);
        }
        if page.headers.contains_key(LOCATION) {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        }
        Some(response)
    }
}

impl Page {
    fn new(body: Bytes, content_type: &str) -> Page {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        if let Ok(value) = HeaderValue::from_str(&format!("\"{:016x}\"", hash(&body))) {
            headers.insert(ETAG, value);
        }
        Page { body, gzip: false, headers }
    }

    fn html(body: Bytes, policy: &'static str) -> Page {
        let mut page = Page::new(body, "text/html; charset=utf-8");
        page.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        page
    }

    fn redirect(location: &'static str) -> Page {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        Page { body: Bytes::new(), gzip: false, headers }
    }

    fn docs(file: SwaggerFile<'static>) -> Page {
        let body = match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let page = if file.content_type == "text/html" {
            Page::html(body, DOCS_POLICY)
        } else {
            Page::new(body, &file.content_type)
        };
        Page { gzip: file.gzpipped, ..page }
    }
}

fn link(readiness: Option<&str>) -> String {
    match readiness {
        Some(url) => format!("<a href=\"{url}\">{url}</a>, from this machine"),
        None => "<code>/readyz</code> of the admin listener".into(),
    }
}

/// FNV-1a: collision resistance is not needed, the tag only detects changes.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn inflate(gzip: &[u8]) -> Bytes {
    let mut whole = Vec::new();
    // The file was compressed at build time.
    let _ = GzDecoder::new(gzip).read_to_end(&mut whole);
    whole.into()
}
