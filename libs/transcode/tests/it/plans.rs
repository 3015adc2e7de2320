//! Building plans, and the errors of invalid rules.

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
    resolver.add(SingleFile(source));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("t.proto").unwrap();
    Plan::new(&compiler.encode_file_descriptor_set())
}

struct SingleFile(String);

impl protox::file::FileResolver for SingleFile {
    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        if name == "t.proto" {
            return protox::file::File::from_source(name, &self.0);
        }
        Err(protox::Error::file_not_found(name))
    }
}

#[track_caller]
fn refuse(rules: &str, reason: &str) {
    let error = compile(rules).map(|plan| plan.routes().len()).unwrap_err().to_string();
    assert!(error.contains(reason), "{rules}: {error}");
}

fn rpc(name: &str, rule: &str) -> String {
    format!("rpc {name}(M) returns (M) {{ option (google.api.http) = {{ {rule} }}; }}")
}

#[test]
fn invalid_rules_are_refused() {
    refuse(&rpc("A", r#"get: "/v1//x""#), "t.S.A");
    refuse(&rpc("A", r#"get: "/v1/{a}/{a}""#), "repeated");
    refuse(&rpc("A", r#"get: "/v1/{a={b}}""#), "template");
    refuse(&rpc("A", r#"get: "/v1/{c}""#), "no field `c`");
    refuse(&rpc("A", r#"get: "/v1/{a.b}""#), "no field `a.b`");
    refuse(&rpc("A", r#"get: "/v1/{m}""#), "must not be a message");
    refuse(&rpc("A", r#"get: "/v1/{r}""#), "must not be repeated or a map");
    refuse(&rpc("A", r#"get: "/v1/{p}""#), "must not be repeated or a map");
    refuse(&rpc("A", r#"post: "/v1" body: "c""#), "no field `c`");
    refuse(&rpc("A", r#"get: "/v1" response_body: "c""#), "no field `c`");
    refuse(&rpc("A", r#"get: "/v1" body: "*""#), "must not have a body");
    refuse(&rpc("A", r#"body: "*""#), "template");
    let two = [rpc("A", r#"get: "/v1/{a}""#), rpc("B", r#"get: "/v1/{b}""#)].concat();
    refuse(&two, "t.S.A and t.S.B both match GET /v1/{b}");
    let additional = rpc("A", r#"get: "/v1/{a}" additional_bindings { get: "/v1/{b}" }"#);
    refuse(&additional, "both match");
    refuse(
        "rpc A(stream M) returns (M) { option (google.api.http) = { post: \"/v1\" body: \"*\" }; }",
        "HttpBody",
    );
    assert!(matches!(Plan::new(b"\xff"), Err(PlanError::Descriptors(_))));
}

#[test]
fn custom_methods_are_supported() {
    let plan =
        compile(&rpc("A", r#"custom { kind: "PURGE" path: "/v1/{m.m.a}" } body: "m""#)).unwrap();
    let route = plan.route(0);
    assert_eq!((route.method.as_str(), route.body), ("PURGE", Body::Field(2)));
    assert_eq!(route.rpc_path, "/t.S/A");
    assert_eq!(compile("").unwrap().routes().len(), 0);
}

#[test]
fn routes_are_listed() {
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
