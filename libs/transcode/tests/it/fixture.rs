//! The plan of the test protos, and requests against it.

use std::path::Path;
use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, DynamicMessage};
use transcode::{Found, Parts, Plan};

pub fn descriptors() -> &'static [u8] {
    static SET: OnceLock<Vec<u8>> = OnceLock::new();
    SET.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let includes = [here.join("tests/proto"), here.join("../../proto")];
        let mut compiler = protox::Compiler::new(includes).unwrap();
        compiler.include_imports(true).include_source_info(true);
        compiler.open_file("agon/test/v1/library.proto").unwrap();
        compiler.encode_file_descriptor_set()
    })
}

pub fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| Plan::new(descriptors()).unwrap())
}

/// Shared, because messages of different pools are never equal.
pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(descriptors()).unwrap())
}

/// A request: `METHOD /path?query`, a body, and the values of headers.
pub struct TestRequest<'a> {
    pub line: &'a str,
    pub body: &'a str,
    pub idempotency_key: Option<&'a str>,
    pub etag: Option<&'a str>,
    pub last_event_id: Option<&'a str>,
}

pub fn request<'a>(line: &'a str, body: &'a str) -> TestRequest<'a> {
    TestRequest { line, body, idempotency_key: None, etag: None, last_event_id: None }
}

impl TestRequest<'_> {
    /// The request message as JSON without defaults, or `field: message` of the error.
    pub fn bind(&self) -> Result<serde_json::Value, String> {
        let (method, target) = self.line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Found::Route(route, segments) = plan().find(method, path) else {
            panic!("no route for {}", self.line)
        };
        let route = plan().route(route);
        let parts = Parts {
            segments: &segments,
            query,
            body: self.body.as_bytes(),
            content_type: "text/plain",
            idempotency_key: self.idempotency_key,
            etag: self.etag,
            last_event_id: self.last_event_id,
        };
        let wire = plan().bind(route, &parts).map_err(|error| error.to_string())?;
        let name = &plan().shapes().message(route.input).name;
        // Decode with prost-reflect, which is independent of the code under test.
        let message = pool().get_message_by_name(name).unwrap();
        let message = DynamicMessage::decode(message, &wire[..]).unwrap();
        Ok(serde_json::to_value(&message).unwrap())
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "callers pass json!() directly")]
pub fn check(line: &str, body: &str, expected: serde_json::Value) {
    match request(line, body).bind() {
        Ok(found) => assert_eq!(found, expected, "{line} {body}"),
        Err(error) => panic!("{line} {body}: {error}"),
    }
}

/// Checks that the request is refused with an error about `field`.
#[track_caller]
pub fn refuse(line: &str, body: &str, field: &str) {
    match request(line, body).bind() {
        Ok(found) => panic!("{line} {body} was accepted: {found}"),
        Err(error) => {
            let found = error.split_once(": ").unwrap().0;
            assert_eq!(found, field, "{line} {body}: {error}");
        }
    }
}
