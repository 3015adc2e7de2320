//! Methods, paths, content negotiation, headers and errors.

use serde_json::{Value, json};

use crate::fixture::Edge;

#[tokio::test]
async fn unary_calls_return_json() {
    let edge = Edge::start().await;
    let response = edge.get("/v1/books/b1").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(response.json()["title"], "About b1");
    assert_eq!(response.header("ratelimit-remaining"), "7");
    assert!(!response.headers.contains_key("x-internal"));
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    assert!(response.header("content-security-policy").contains("frame-ancestors 'none'"));
    let echo = json!({"optionalInt64": "5", "mapStringString": {"a": "b"}, "optionalTimestamp": "2026-01-01T00:00:00.500Z"});
    let response = edge.post("/v1/echo", &echo.to_string()).await.json();
    for (key, value) in echo.as_object().unwrap() {
        assert_eq!(&response[key], value);
    }
    assert_eq!(edge.post("/v1/echo", "").await.status, 200);
    assert_eq!(edge.get("/v1/books/b1/cover").await.header("content-type"), "image/png");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let edge = Edge::start().await;
    let response = edge.get("/v1/nothing").await;
    assert_eq!((response.status.as_u16(), response.reason()), (404, "ROUTE_NOT_FOUND".into()));
    let response = edge.send("DELETE /v1/books", &[], "").await;
    assert_eq!(response.status, 405);
    assert_eq!(response.header("allow"), "GET, HEAD, OPTIONS, POST");
    assert_eq!(edge.send("POST /openapi.json", &[], "").await.status, 405);
    assert_eq!(edge.send("TRACE /v1/books", &[], "").await.status, 405);
    for path in ["/v1/books/%", "/v1/books/%zz", "/v1/books/%ff", "/v1/books/b?x=%f"] {
        assert_eq!(edge.get(path).await.status, 400, "{path}");
    }
    for path in [
        "/v1/books/",
        "/v1//books",
        "/v1/books/b1/",
        "/docs/x",
        "/agon.test.v1.LibraryService/Internal",
    ] {
        assert_eq!(edge.get(path).await.status, 404, "{path}");
    }
    // Method overrides are not supported.
    let headers = [("x-http-method-override", "DELETE")];
    assert_eq!(edge.send("GET /v1/books/b1", &headers, "").await.status, 200);
}

#[tokio::test]
async fn unsupported_media_types_are_refused() {
    let edge = Edge::start().await;
    let get = async |accept| {
        edge.send("GET /v1/books/b1", &[("accept", accept)], "").await.status.as_u16()
    };
    assert_eq!(get("text/html").await, 406);
    assert_eq!(get("application/*;q=0.1").await, 200);
    let post = async |media: &str| {
        edge.send("POST /v1/echo", &[("content-type", media)], "{}").await.status.as_u16()
    };
    assert_eq!(post("application/json; charset=utf-8").await, 200);
    assert_eq!(post("text/plain").await, 415);
    assert_eq!(post("application/x-www-form-urlencoded").await, 415);
    assert_eq!(post("application/grpc").await, 415);
    assert_eq!(edge.send("POST /v1/echo", &[], "{}").await.status, 200);
    assert_eq!(edge.send("GET /v1/books/b1", &[], "{}").await.status, 400);
}

#[tokio::test]
async fn errors_name_the_field() {
    let edge = Edge::start().await;
    for (json, field) in [
        (r#"{"optionalInt32": "x"}"#, "optional_int32"),
        (r#"{"nope": 1}"#, "nope"),
        (r#"{"optionalInt32":1,"optional_int32":1}"#, "optional_int32"),
        (r#"{"oneofUint32":1,"oneofString":""}"#, "oneof_string"),
    ] {
        let response = edge.post("/v1/echo", json).await;
        assert_eq!(response.status, 400, "{json}");
        let details = response.json()["details"].clone();
        let found = |detail: &Value| detail["fieldViolations"][0]["field"] == field;
        assert!(details.as_array().unwrap().iter().any(found), "{details}");
    }
    for body in [&b"{\"optionalString\":\"\xff\"}"[..], b"\xff\xfe", b"{} x", b"[1]", b"{"] {
        let headers = [("content-type", "application/json")];
        assert_eq!(edge.send("POST /v1/echo", &headers, body.to_vec()).await.status, 400);
    }
    let deep = format!("{}{}", "{\"recursiveMessage\":".repeat(5000), "}".repeat(5000));
    assert_eq!(edge.post("/v1/echo", &deep).await.status, 400);
    let response = edge.get("/v1/books?nope=1").await;
    assert!(response.status == 400 && response.text().contains("nope"));
}

#[tokio::test]
async fn grpc_codes_map_to_http_errors() {
    let edge = Edge::start().await;
    let expected = [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, http) in (1..).zip(expected) {
        let response = edge.get(&format!("/v1/books/code-{code}")).await;
        assert_eq!(response.status.as_u16(), http, "{code}");
        assert_eq!(response.json()["code"], code);
        assert_eq!(response.reason(), "REQUESTED");
    }
    assert_eq!(edge.get("/v1/books/code-16").await.header("www-authenticate"), "Bearer");
    let headers = [("authorization", "Bearer x")];
    let response = edge.send("GET /v1/books/code-16", &headers, "").await;
    assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    let response = edge.get("/v1/books/retry").await;
    assert_eq!((response.status.as_u16(), response.header("retry-after")), (429, "3"));
    assert_eq!(edge.get("/v1/books/reused").await.status, 422);
    assert_eq!(edge.get("/v1/books/changed").await.status, 412);

    let headers = [("accept", "application/problem+json")];
    let response = edge.send("GET /v1/books/code-5", &headers, "").await;
    assert_eq!(response.header("content-type"), "application/problem+json");
    assert_eq!(response.json()["title"], "REQUESTED");
    assert_eq!(response.json()["status"], 404);
    let response = edge.send("GET /v1/books/b1", &headers, "").await;
    assert_eq!(response.header("content-type"), "application/json");
}

#[tokio::test]
async fn panic_becomes_500() {
    let edge = Edge::start().await;
    let response = edge.get("/v1/books/panic").await;
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("requested panic"));
    assert_eq!(edge.get("/v1/books/b1").await.status, 200);
}

#[tokio::test]
async fn only_listed_headers_reach_the_service() {
    let edge =
        Edge::with(|config| config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("authorization", "Bearer t"),
        ("traceparent", trace),
        ("accept-language", "de"),
        ("x-request-id", "r-1"),
        ("grpc-metadata-authorization", "Bearer evil"),
        ("x-agon-client-address", "6.6.6.6"),
        ("agon-on-behalf-of", "evil"),
        ("agon-edge-authorization", "evil"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "6.6.6.6, 9.9.9.9"),
    ];
    let response = edge.send("GET /v1/books/b1", &headers, "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-request-id"), "r-1");
    assert_eq!(edge.metadata("authorization").unwrap(), "Bearer t");
    assert_eq!(edge.metadata("x-request-id").unwrap(), "r-1");
    assert_eq!(edge.metadata("accept-language").unwrap(), "de");
    assert_eq!(edge.metadata("x-agon-client-address").unwrap(), "9.9.9.9");
    assert!(edge.metadata("traceparent").unwrap().contains("4bf92f3577b34da6a3ce929d0e0e4736"));
    for name in [
        "grpc-metadata-authorization",
        "agon-on-behalf-of",
        "agon-edge-authorization",
        "cookie",
        "x-forwarded-for",
    ] {
        assert_eq!(edge.metadata(name), None, "{name}");
    }
    assert_eq!(edge.metadata("grpc-timeout").unwrap(), "15000000u");

    let hostile = [("x-request-id", "a b\u{e9}"), ("grpc-timeout", "99H")];
    let response = edge.send("GET /v1/books/b1", &hostile, "").await;
    assert_eq!(response.status, 200);
    assert_ne!(response.header("x-request-id"), "a b\u{e9}");
    assert_eq!(edge.metadata("grpc-timeout").unwrap(), "60000000u");
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(edge.send("GET /v1/books/b1", &twice, "").await.status, 400);
}

#[tokio::test]
async fn forwarded_address_of_an_untrusted_peer_is_ignored() {
    let edge = Edge::start().await;
    edge.send("GET /v1/books/b1", &[("x-forwarded-for", "6.6.6.6")], "").await;
    assert_eq!(edge.metadata("x-agon-client-address").unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn head_and_options_are_derived() {
    let edge = Edge::with(|config| config.cors_origins = vec!["https://a.example".into()]).await;
    let head = edge.send("HEAD /v1/books/b1", &[], "").await;
    let get = edge.get("/v1/books/b1").await;
    assert_eq!((head.status, head.body.len()), (get.status, 0));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    assert_eq!(head.header("etag"), get.header("etag"));

    let options = edge.send("OPTIONS /v1/books/b1", &[], "").await;
    assert_eq!(
        (options.status.as_u16(), options.header("allow")),
        (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
    );
    assert_eq!(edge.send("OPTIONS /v2", &[], "").await.status, 404);
    let preflight = |origin| [("origin", origin), ("access-control-request-method", "PATCH")];
    let allowed = edge.send("OPTIONS /v1/books/b1", &preflight("https://a.example"), "").await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://a.example");
    assert!(allowed.header("access-control-allow-methods").contains("PATCH"));
    assert!(allowed.header("access-control-allow-headers").contains("authorization"));
    let other = edge.send("OPTIONS /v1/books/b1", &preflight("https://b.example"), "").await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));
    let read = edge.send("GET /v1/books/b1", &[("origin", "https://a.example")], "").await;
    assert_eq!(read.header("access-control-allow-origin"), "https://a.example");
    assert!(read.header("access-control-expose-headers").contains("etag"));
    assert!(!read.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn own_pages_are_served() {
    let edge = Edge::start().await;
    let document = edge.get("/openapi.json").await;
    assert_eq!(document.json()["openapi"], "3.1.0");
    let known = [("if-none-match", document.header("etag"))];
    assert_eq!(edge.send("GET /openapi.json", &known, "").await.status, 304);
    for page in ["/", "/readme", "/docs/"] {
        assert_eq!(edge.get(page).await.status, 200, "{page}");
        assert_eq!(edge.send(&format!("POST {page}"), &[], "").await.status, 405, "{page}");
    }
    assert!(edge.get("/readme").await.text().starts_with("# Agon"));
    let start = edge.get("/").await;
    for target in links(start.text()) {
        assert_eq!(edge.get(&format!("/{target}")).await.status, 200, "{target}");
    }
    assert!(start.text().contains("readyz"));
}

/// The values of `href` and `src` in a page.
fn links(html: &str) -> Vec<&str> {
    let after = |attribute| html.split(attribute).skip(1);
    let all = after("href=\"").chain(after("src=\""));
    all.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn swagger_ui_is_embedded() {
    let edge = Edge::start().await;
    let docs = edge.get("/docs").await;
    assert_eq!((docs.status.as_u16(), docs.header("location")), (308, "docs/"));
    let docs = edge.get("/docs/").await;
    assert_eq!(docs.header("content-type"), "text/html; charset=utf-8");
    let policy = docs.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!docs.text().contains("<script>") && !docs.text().contains("<style"));
    let files = links(docs.text());
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        let plain = edge.get(&path).await;
        assert_eq!(plain.status, 200, "{path}");
        assert!(!plain.headers.contains_key("content-encoding"), "{path}");
        let gzip = [("accept-encoding", "br;q=0, gzip")];
        let packed = edge.send(&format!("GET {path}"), &gzip, "").await;
        let is_gzip = packed.headers.contains_key("content-encoding");
        assert_eq!(is_gzip, !path.ends_with("initializer.js"), "{path}");
    }
    let script = edge.get("/docs/swagger-initializer.js").await;
    assert!(script.header("content-type").starts_with("text/javascript"));
    assert!(script.text().contains("../openapi.json"), "{}", script.text());
    let refused = [("accept-encoding", "gzip;q=0")];
    let bundle = edge.send("GET /docs/swagger-ui-bundle.js", &refused, "").await;
    assert!(bundle.body.len() > 1_000_000 && bundle.text().contains("SwaggerUIBundle"));
}
