//! Property tests that compare the conversion with prost-reflect.

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use transcode::Defaults;

use crate::fixture::{plan, pool};

const TYPE: &str = "agon.test.v1.AllTypes";

/// A JSON member that is valid for AllTypes.
fn member() -> impl Strategy<Value = (&'static str, serde_json::Value)> {
    let text = any::<String>();
    prop_oneof![
        any::<i32>().prop_map(|v| ("optionalInt32", v.into())),
        any::<i64>().prop_map(|v| ("optionalInt64", v.to_string().into())),
        any::<u64>().prop_map(|v| ("optionalFixed64", v.to_string().into())),
        any::<i32>().prop_map(|v| ("optionalSint32", v.into())),
        any::<i64>().prop_map(|v| ("optionalSint64", v.to_string().into())),
        any::<f64>()
            .prop_filter("prost-reflect treats -0 as the default", |v| v.is_finite()
                && (*v != 0.0 || v.is_sign_positive()))
            .prop_map(|v| ("optionalDouble", v.into())),
        (-1e30f32..1e30).prop_map(|v| ("optionalFloat", v.into())),
        any::<bool>().prop_map(|v| ("optionalBool", v.into())),
        text.prop_map(|v| ("optionalString", v.into())),
        any::<i32>().prop_map(|v| ("presentInt32", v.into())),
        prop::collection::vec(any::<i32>(), 0..40).prop_map(|v| ("repeatedInt32", v.into())),
        prop::collection::vec(any::<String>(), 0..5).prop_map(|v| ("repeatedString", v.into())),
        prop::collection::hash_map(any::<String>(), any::<i32>(), 0..4).prop_map(|v| {
            (
                "mapStringNested",
                v.into_iter().map(|(k, a)| (k, serde_json::json!({"a": a}))).collect(),
            )
        }),
        any::<i32>().prop_map(|v| ("optionalColor", serde_json::json!(v))),
        (-62_135_596_800i64..253_402_300_799, 0..1_000_000_000i32).prop_map(|(seconds, nanos)| {
            let time = prost_types::Timestamp { seconds, nanos };
            ("optionalTimestamp", time.to_string().into())
        }),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let flat = prop::collection::vec(member(), 0..8)
        .prop_map(|members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    flat.prop_recursive(3, 20, 2, |inner| {
        (prop::collection::vec(member(), 0..4), inner).prop_map(|(members, inner)| {
            let mut all: serde_json::Map<String, serde_json::Value> =
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            all.insert("recursiveMessage".into(), inner);
            all.into()
        })
    })
}

fn oracle(wire: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(pool().get_message_by_name(TYPE).unwrap(), wire).unwrap()
}

proptest! {
    #[test]
    fn conversion_matches_prost_reflect(json in json()) {
        let wire = plan().json_to_wire(TYPE, json.to_string().as_bytes()).unwrap();
        let message = pool().get_message_by_name(TYPE).unwrap();
        // Encoding drops explicit defaults of fields without presence.
        let read = oracle(&DynamicMessage::deserialize(message, &json).unwrap().encode_to_vec());
        let converted = oracle(&wire);
        prop_assert!(converted == read, "{}", json);

        let expected = serde_json::to_value(&read).unwrap();
        let written = plan().wire_to_json(TYPE, &read.encode_to_vec(), Defaults::Omit).unwrap();
        let again = plan().json_to_wire(TYPE, &written).unwrap();
        prop_assert!(oracle(&again) == read, "{}", json);
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(keys(&written), keys(&expected));

        // A default of the last field in front of the others: the same message, out of order.
        let ordered = read.encode_to_vec();
        let unordered = [&[0xe8, 0x19, 0][..], &ordered].concat();
        let write = |wire: &[u8]| plan().wire_to_json(TYPE, wire, Defaults::Emit).unwrap();
        prop_assert_eq!(String::from_utf8(write(&unordered)), String::from_utf8(write(&ordered)));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = plan().json_to_wire(TYPE, &bytes);
        if let Ok(json) = plan().wire_to_json(TYPE, &bytes, Defaults::Emit) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
            let unordered = [&[0xe8, 0x19, 0][..], &bytes].concat();
            prop_assert_eq!(plan().wire_to_json(TYPE, &unordered, Defaults::Emit), Ok(json));
        }
    }

    #[test]
    fn truncated_json_is_refused(json in json(), cut in any::<prop::sample::Index>()) {
        let text = json.to_string();
        let mut cut = cut.index(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        prop_assert!(plan().json_to_wire(TYPE, &text.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn arbitrary_paths_and_queries_do_not_panic(path in "[/a-z{}*:%0-9]{0,40}", query in "[a-zA-Z.\\[\\]=&%+0-9]{0,60}") {
        let _ = plan().find("GET", &path);
        let transcode::Found::Route(route, segments) = plan().find("GET", "/v1/books") else { panic!() };
        let parts = transcode::Parts { segments: &segments, query: &query, ..Default::default() };
        let _ = plan().bind(plan().route(route), &parts);
    }

    #[test]
    fn path_values_round_trip(value in any::<String>().prop_filter("a segment must not be empty", |v| !v.is_empty())) {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/v1/books/{encoded}");
        let transcode::Found::Route(route, segments) = plan().find("GET", &path) else { panic!() };
        let parts = transcode::Parts { segments: &segments, ..Default::default() };
        let wire = plan().bind(plan().route(route), &parts).unwrap();
        let message = pool().get_message_by_name("agon.test.v1.GetBookRequest").unwrap();
        let message = DynamicMessage::decode(message, &wire[..]).unwrap();
        let id = message.get_field_by_name("book_id").unwrap();
        prop_assert_eq!(id.as_str(), Some(value.as_str()));
    }
}

/// The paths of all keys of an object.
fn keys(value: &serde_json::Value) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(object) = value.as_object() {
        for (key, value) in object {
            all.extend(keys(value).into_iter().map(|below| format!("{key}.{below}")));
            all.push(key.clone());
        }
    }
    all.sort();
    all
}
