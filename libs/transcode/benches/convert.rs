//! Proto JSON conversion in both directions, compared with prost-reflect messages.

use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use transcode::Defaults;

const LIST: &str = "agon.test.v1.ListBooksResponse";

#[path = "../tests/it/fixture.rs"]
#[expect(dead_code, reason = "only the tests use everything")]
mod fixture;

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
    let plan = fixture::plan();
    let descriptor = fixture::pool().get_message_by_name(LIST).unwrap();
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
