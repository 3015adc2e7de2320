//! What makes a plan, and what does not.

use transcode::{Body, Plan, PlanError};

use crate::fixture::plan;

fn compile(rules: &str) -> Result<Plan, PlanError> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let source = format!(
        "syntax = \"proto3\"; package t; import \"google/api/annotations.proto\";
         message M {{ string a = 1; string b = 2; M m = 3; repeated string r = 4; map<string, string> p = 5; }}
         service S {{ {rules} }}"
    );
    let mut resolver = protox::file::ChainFileResolver::new();
    resolver.add(protox::file::GoogleFileResolver::new());
    resolver.add(protox::file::IncludeFileResolver::new(folder));
    resolver.add(Only(source));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("t.proto").unwrap();
    Plan::new(&compiler.encode_file_descriptor_set())
}

struct Only(String);

impl protox::file::FileResolver for Only {
    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        if name == "t.proto" {
            return protox::file::File::from_source(name, &self.0);
        }
        Err(protox::Error::file_not_found(name))
    }
}

#[track_caller]
fn refused(rules: &str, because: &str) {
    let error = compile(rules).map(|plan| plan.routes().len()).unwrap_err().to_string();
    assert!(error.contains(because), "{rules}: {error}");
}

fn rpc(name: &str, rule: &str) -> String {
    format!("rpc {name}(M) returns (M) {{ option (google.api.http) = {{ {rule} }}; }}")
}

#[test]
fn mistakes_are_found_at_start_up() {
    refused(&rpc("A", r#"get: "/v1//x""#), "t.S.A");
    refused(&rpc("A", r#"get: "/v1/{a}/{a}""#), "twice");
    refused(&rpc("A", r#"get: "/v1/{a={b}}""#), "template");
    refused(&rpc("A", r#"get: "/v1/{c}""#), "no field `c`");
    refused(&rpc("A", r#"get: "/v1/{a.b}""#), "not a field");
    refused(&rpc("A", r#"get: "/v1/{m}""#), "is a message");
    refused(&rpc("A", r#"get: "/v1/{r}""#), "not a single value");
    refused(&rpc("A", r#"get: "/v1/{p}""#), "not a single value");
    refused(&rpc("A", r#"post: "/v1" body: "c""#), "no field `c`");
    refused(&rpc("A", r#"get: "/v1" response_body: "c""#), "no field `c`");
    refused(&rpc("A", r#"get: "/v1" body: "*""#), "has no body");
    refused(&rpc("A", r#"body: "*""#), "template");
    let two = [rpc("A", r#"get: "/v1/{a}""#), rpc("B", r#"get: "/v1/{b}""#)].concat();
    refused(&two, "t.S.A and t.S.B both answer GET /v1/{b}");
    let additional = rpc("A", r#"get: "/v1/{a}" additional_bindings { get: "/v1/{b}" }"#);
    refused(&additional, "both answer");
    refused(
        "rpc A(stream M) returns (M) { option (google.api.http) = { post: \"/v1\" body: \"*\" }; }",
        "HttpBody",
    );
    assert!(matches!(Plan::new(b"\xff"), Err(PlanError::Descriptors(_))));
}

#[test]
fn custom_methods_and_nested_bodies() {
    let plan =
        compile(&rpc("A", r#"custom { kind: "PURGE" path: "/v1/{m.m.a}" } body: "m""#)).unwrap();
    let route = plan.route(0);
    assert_eq!((route.method.as_str(), route.body), ("PURGE", Body::Field(2)));
    assert_eq!(route.rpc_path, "/t.S/A");
    assert_eq!(compile("").unwrap().routes().len(), 0);
}

#[test]
fn the_list_of_routes() {
    let routes = transcode::routes(plan());
    let lines: Vec<&str> = routes.lines().collect();
    assert_eq!(lines[0], "GET /v1/books - - agon.test.v1.LibraryService.ListBooks");
    assert!(lines.contains(
        &"PATCH /v1/books/{book.book_id} book book agon.test.v1.LibraryService.UpdateBook"
    ));
    assert!(
        lines.contains(&"GET /v1/{name=shelves/*/books/*} - - agon.test.v1.LibraryService.GetBook")
    );
    assert_eq!(lines.len(), plan().routes().len());
}
