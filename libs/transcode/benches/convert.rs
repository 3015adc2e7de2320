//! Proto JSON conversion in both directions, compared with prost-reflect messages.

use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use transcode::{Defaults, Plan};

const LIST: &str = "agon.test.v1.ListBooksResponse";

fn descriptors() -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let includes = [here.join("tests/proto"), here.join("../../proto")];
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler.include_imports(true).open_file("agon/test/v1/library.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

/// A page of fifty books.
fn page() -> String {
    let book = |n: usize| {
        serde_json::json!({
            "bookId": format!("book-{n}"),
            "title": format!("A book about {n} things"),
            "author": {"name": "Ada", "country": "GB"},
            "labels": {"shelf": "a", "row": "b"},
            "tags": ["one", "two", "three"],
            "etag": "abcdef",
            "createTime": "2026-01-31T09:30:00.250Z",
            "pageCount": "321",
        })
    };
    serde_json::json!({"books": (0..50).map(book).collect::<Vec<_>>()}).to_string()
}

fn convert(criterion: &mut Criterion) {
    let set = descriptors();
    let plan = Plan::new(&set).unwrap();
    let pool = DescriptorPool::decode(&set[..]).unwrap();
    let descriptor = pool.get_message_by_name(LIST).unwrap();
    let json = page();
    let wire = plan.json_to_wire(LIST, json.as_bytes()).unwrap();

    let mut group = criterion.benchmark_group("page of 50");
    group.bench_function("read", |b| b.iter(|| plan.json_to_wire(LIST, json.as_bytes()).unwrap()));
    group.bench_function("read, prost-reflect", |b| {
        b.iter(|| {
            let mut text = serde_json::Deserializer::from_str(&json);
            DynamicMessage::deserialize(descriptor.clone(), &mut text).unwrap().encode_to_vec()
        });
    });
    group.bench_function("write", |b| {
        b.iter(|| plan.wire_to_json(LIST, &wire, Defaults::Emit).unwrap());
    });
    group.bench_function("write, prost-reflect", |b| {
        b.iter(|| {
            let message = DynamicMessage::decode(descriptor.clone(), &wire[..]).unwrap();
            serde_json::to_vec(&message).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, convert);
criterion_main!(benches);
