//! Responses, errors and the OpenAPI document.

use prost::Message as _;
use serde_json::{Value, json};
use transcode::{Defaults, Found, openapi, problem_json, status_json};

use crate::fixture::plan;

fn respond(line: &str, response: &str, message: &Value) -> String {
    let (method, path) = line.split_once(' ').unwrap();
    let Found::Route(route, _) = plan().find(method, path) else { panic!("{line}") };
    let wire = plan().json_to_wire(response, message.to_string().as_bytes()).unwrap();
    let mut out = Vec::new();
    plan().reply(plan().route(route), &wire, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn response_bodies_have_defaults() {
    let lend = |names: Value| {
        respond("POST /v1/books/b:lend", "agon.test.v1.LendBookResponse", &json!({"names": names}))
    };
    assert_eq!(lend(json!(["a", "b"])), r#"["a","b"]"#);
    assert_eq!(lend(json!([])), "[]");
    let count = |n: Value| respond("GET /v1/books:count", "agon.test.v1.CountBooksResponse", &n);
    assert_eq!(count(json!({"bookCount": "7"})), r#""7""#);
    assert_eq!(count(json!({})), r#""0""#);
    assert_eq!(
        respond("GET /v1/books/b", "agon.test.v1.GetBookResponse", &json!({})),
        r#"{"bookId":"","title":"","labels":{},"tags":[],"etag":"","pageCount":"0"}"#
    );
}

#[test]
fn repeated_and_unordered_fields_are_merged() {
    // page_count, then two halves of an author around a title, then another page_count.
    let wire = [
        &[0x48, 1][..],
        &[0x1a, 3, 0x0a, 1, b'A'],
        &[0x12, 1, b'T'],
        &[0x1a, 3, 0x12, 1, b'X'],
        &[0x48, 2],
    ]
    .concat();
    let json = plan().wire_to_json("agon.test.v1.Book", &wire, Defaults::Omit).unwrap();
    let expected = r#"{"title":"T","author":{"name":"A","country":"X"},"pageCount":"2"}"#;
    assert_eq!(String::from_utf8(json).unwrap(), expected);
    // Two fields of a oneof (the last one wins), packed and unpacked values, an unknown field.
    let wire = [
        &[0xf8, 0x06, 1][..],
        &[0x8a, 0x07, 1, b'z'],
        &[0xf8, 0x01, 1],
        &[0xfa, 0x01, 2, 2, 3],
        &[0xf8, 0x7f, 1],
    ]
    .concat();
    let json = plan().wire_to_json("agon.test.v1.AllTypes", &wire, Defaults::Omit).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"repeatedInt32":[1,2,3],"oneofString":"z"}"#);
    let deep = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut outer = vec![0xda, 0x01];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    });
    assert!(plan().wire_to_json("agon.test.v1.AllTypes", &deep, Defaults::Omit).is_err());
}

#[test]
fn unknown_error_details_are_kept_as_base64() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<prost_types::Any>,
    }
    let any = |name: &str, value: &[u8]| prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: value.to_vec(),
    };
    let info = [&[0x0a, 3][..], b"WHY", &[0x12, 4], b"agon"].concat();
    let details = vec![
        any("google.rpc.ErrorInfo", &info),
        any("google.rpc.RetryInfo", &[0x0a, 2, 0x08, 3]),
        any("unknown.Type", &[1, 2, 3]),
        any("google.rpc.ErrorInfo", &[0xff]),
    ];
    let encoded = Status { code: 9, message: "m".into(), details }.encode_to_vec();
    let expected = json!([
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "WHY", "domain": "agon", "metadata": {}},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},
        {"@type": "type.googleapis.com/unknown.Type", "value": "AQID"},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "value": "/w=="},
    ]);
    let json = status_json(plan(), 9, "m", &encoded);
    assert_eq!(
        json,
        json!({"code": 9, "message": "m", "status": "FAILED_PRECONDITION", "details": expected})
    );
    let problem = problem_json(plan(), 400, 9, "m", &encoded);
    assert_eq!(problem["title"], "WHY");
    assert_eq!(problem["status"], 400);
    assert_eq!(status_json(plan(), 99, "m", b"\xff")["details"], json!([]));
}

#[test]
fn grpc_codes_map_to_http_statuses() {
    let expected =
        [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, http) in (0..).zip(expected) {
        assert_eq!(transcode::http_status(code), http, "{}", transcode::code_name(code));
    }
    assert_eq!(transcode::http_status(17), 500);
    assert_eq!(transcode::code_name(-1), "UNKNOWN");
}

fn refs(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get("$ref") {
                all.push(target.clone());
            }
            object.values().for_each(|value| refs(value, all));
        }
        Value::Array(list) => list.iter().for_each(|value| refs(value, all)),
        _ => {}
    }
}

#[test]
fn openapi_document_describes_all_routes() {
    let document = openapi(plan());
    let mut all = Vec::new();
    refs(&document, &mut all);
    assert!(all.len() > 20);
    for target in all {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
    let get = &document["paths"]["/v1/books/{book_id}"]["get"];
    assert_eq!(get["summary"], "Gets a book");
    assert_eq!(get["operationId"], "LibraryService_GetBook");
    assert_eq!(get["security"][0], json!({}));
    let update = &document["paths"]["/v1/books/{book_id}"]["patch"];
    assert_eq!(names(&update["parameters"]), ["book_id", "updateMask", "If-Match"]);
    assert_eq!(
        document["components"]["schemas"]["agon.test.v1.Book"]["required"],
        json!(["title"])
    );
    assert_eq!(
        document["components"]["schemas"]["agon.test.v1.Book"]["properties"]["createTime"]["readOnly"],
        true
    );
    assert!(document["paths"]["/v1/books:watch"]["get"]["responses"]["200"]["content"]["text/event-stream"].is_object());
    assert!(document["paths"]["/v1/books/{book_id}/text"]["post"]["requestBody"]["content"]["multipart/form-data"].is_object());
    let ids: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| &operation["operationId"])
        .collect();
    let unique: std::collections::HashSet<String> = ids.iter().map(|id| id.to_string()).collect();
    assert_eq!(unique.len(), ids.len());
}

fn names(parameters: &Value) -> Vec<&str> {
    parameters.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect()
}

#[test]
fn templates_of_the_same_shape_are_one_path() {
    let document = openapi(plan());
    let paths = document["paths"].as_object().unwrap();
    let methods: Vec<&String> = paths["/v1/books/{book_id}"].as_object().unwrap().keys().collect();
    assert_eq!(methods, ["delete", "get", "patch"]);
    let mut shapes = std::collections::HashSet::new();
    for (path, item) in paths {
        let shape: Vec<&str> = path.split(['{', '}']).step_by(2).collect();
        assert!(shapes.insert(shape.join("{}")), "{path}");
        for operation in item.as_object().unwrap().values() {
            let all = names(&operation["parameters"]);
            let in_path = all.iter().filter(|name| path.contains(&format!("{{{name}}}"))).count();
            assert_eq!(in_path, path.matches('{').count(), "{path} {all:?}");
        }
    }
    let shelf = &paths["/v1/shelves/{name}/books/{name_4}"]["get"]["parameters"];
    assert_eq!(names(shelf)[..2], ["name", "name_4"]);
}

#[test]
fn request_bodies_exclude_fields_of_the_path() {
    let document = openapi(plan());
    let body = |method: &str, path: &str| document["paths"][path][method]["requestBody"].clone();
    let schema = |body: &Value| body["content"]["application/json"]["schema"].clone();

    let lend = body("post", "/v1/books/{book_id}:lend");
    assert_eq!(lend["required"], false);
    let properties = schema(&lend)["properties"].clone();
    assert_eq!(
        properties.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["borrower", "requestId"]
    );

    // A PATCH may omit required fields.
    let update = schema(&body("patch", "/v1/books/{book_id}"));
    assert_eq!(update["required"], Value::Null);
    assert!(update["properties"]["title"].is_object() && update["properties"]["bookId"].is_null());

    let create = body("post", "/v1/books");
    assert_eq!(create["required"], true);
    assert_eq!(schema(&create)["$ref"], "#/components/schemas/agon.test.v1.Book");
    assert_eq!(body("post", "/v1/echo")["required"], false);
}

#[test]
fn errors_match_their_schema() {
    let document = openapi(plan());
    let schemas = &document["components"]["schemas"];
    let info = [&[0x0a, 3][..], b"WHY", &[0x12, 4], b"agon"].concat();
    let types = [
        ("google.rpc.ErrorInfo", info),
        ("google.rpc.RetryInfo", vec![0x0a, 2, 0x08, 3]),
        ("google.rpc.BadRequest", vec![0x0a, 6, 0x0a, 1, b'f', 0x12, 1, b'd']),
        ("unknown.Type", vec![1, 2, 3]),
    ];
    let mut encoded = Vec::new();
    for (name, value) in types {
        let any = prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value };
        prost::encoding::message::encode(3, &any, &mut encoded);
    }
    let error = status_json(plan(), 9, "m", &encoded);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&error), keys(&schemas["Error"]["properties"]));
    assert_eq!(error["details"].as_array().unwrap().len(), 4);
    for detail in error["details"].as_array().unwrap() {
        for key in keys(detail) {
            assert!(schemas["ErrorDetail"]["properties"][&key].is_object(), "{detail}");
        }
    }
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let target = &operation["responses"]["default"]["$ref"];
            assert_eq!(target, "#/components/responses/Error");
        }
    }
}
