//! Cases of the protobuf conformance tests for proto JSON, without the lenient ones.

use prost_reflect::DynamicMessage;
use transcode::Defaults;

use crate::fixture::{plan, pool};

const TYPE: &str = "agon.test.v1.AllTypes";

/// Reads `json` and writes it back without defaults.
fn round_trip(json: &str) -> Result<String, String> {
    let wire = plan().json_to_wire(TYPE, json.as_bytes()).map_err(|error| error.to_string())?;
    let message = pool().get_message_by_name(TYPE).unwrap();
    DynamicMessage::decode(message, &wire[..]).expect("valid protobuf");
    let json =
        plan().wire_to_json(TYPE, &wire, Defaults::Omit).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(json).unwrap())
}

#[track_caller]
fn check(json: &str, expected: &str) {
    assert_eq!(round_trip(json).as_deref(), Ok(expected), "{json}");
}

#[track_caller]
fn same(json: &str) {
    check(json, json);
}

#[track_caller]
fn refuse(json: &str) {
    if let Ok(found) = round_trip(json) {
        panic!("{json} was accepted: {found}");
    }
}

#[track_caller]
fn refuse_values(field: &str, values: &[&str]) {
    for value in values {
        refuse(&format!(r#"{{"{field}":{value}}}"#));
    }
}

#[track_caller]
fn refuse_texts(field: &str, texts: &[&str]) {
    for text in texts {
        refuse(&format!(r#"{{"{field}":"{text}"}}"#));
    }
}

#[test]
fn field_names_are_strict() {
    same(r#"{"fieldname1":1,"fieldName2":2,"FieldName3":3,"fieldName4":4}"#);
    check(
        r#"{"field_name2":2,"_field_name3":3,"field__name4_":4}"#,
        r#"{"fieldName2":2,"FieldName3":3,"fieldName4":4}"#,
    );
    same(r#"{"field0name5":5,"field0Name6":6}"#);
    same(r#"{"FieldName8":8,"FieldName13":13}"#);
    check(r#"{"fieldn\u0061me1":1}"#, r#"{"fieldname1":1}"#);
    for json in [
        r#"{"fieldName2":1,"field_name2":2}"#,
        r#"{"fieldname1":1,"fieldname1":1}"#,
        r#"{"optionalNestedMessage":{"a":1},"optionalNestedMessage":{}}"#,
        r#"{"Fieldname1":1}"#,
        r#"{"unknown":1}"#,
        r#"{"agon.test.v1.x":1}"#,
        r#"{"":1}"#,
        r#"{"1":1}"#,
    ] {
        refuse(json);
    }
}

#[test]
fn integers_are_range_checked() {
    same(r#"{"optionalInt32":2147483647}"#);
    same(r#"{"optionalInt32":-2147483648}"#);
    same(r#"{"optionalUint32":4294967295}"#);
    same(r#"{"optionalInt64":"9223372036854775807"}"#);
    same(r#"{"optionalInt64":"-9223372036854775808"}"#);
    same(r#"{"optionalUint64":"18446744073709551615"}"#);
    check(r#"{"optionalInt64":9223372036854775807}"#, r#"{"optionalInt64":"9223372036854775807"}"#);
    check(
        r#"{"optionalUint64":18446744073709551615}"#,
        r#"{"optionalUint64":"18446744073709551615"}"#,
    );
    check(
        r#"{"optionalInt32":"12345","optionalUint32":"1e5"}"#,
        r#"{"optionalInt32":12345,"optionalUint32":100000}"#,
    );
    check(r#"{"optionalInt32":1e5}"#, r#"{"optionalInt32":100000}"#);
    check(r#"{"optionalInt32":100000.000}"#, r#"{"optionalInt32":100000}"#);
    check(r#"{"optionalInt32":2.147483647e9}"#, r#"{"optionalInt32":2147483647}"#);
    check(r#"{"optionalInt32":"2\u003147483647"}"#, r#"{"optionalInt32":2147483647}"#);
    same(
        r#"{"optionalSint32":-5,"optionalSint64":"-5","optionalFixed32":5,"optionalFixed64":"5","optionalSfixed32":-5,"optionalSfixed64":"-5"}"#,
    );
    check(r#"{"optionalUint32":"4294967295.0"}"#, r#"{"optionalUint32":4294967295}"#);
    same(r#"{"optionalSint64":"-9223372036854775808"}"#);
    let malformed = [
        "0.5", "1.5", "1e-1", "01", "-01", "+1", "1.", ".5", "1e", "-", "--1", "", " ", "0x10",
        "1_000", "12abc", "1e99999", "NaN", "Infinity",
    ];
    refuse_values("optionalInt32", &malformed);
    refuse_texts("optionalInt32", &malformed);
    refuse_texts("optionalInt32", &[" 1", "1 ", "1e99999999999999999999"]);
    refuse_values("optionalInt32", &["true", "[]", "{}", "1e400000000"]);
    refuse_values("optionalInt32", &["2147483648", "-2147483649"]);
    refuse_values("optionalUint32", &["-1"]);
    refuse_texts("optionalInt32", &["2147483648", "-2147483649"]);
    refuse_texts("optionalSfixed32", &["2147483648"]);
    refuse_texts("optionalUint32", &["-1", "4294967296"]);
    refuse_texts("optionalFixed32", &["-1"]);
    refuse_texts("optionalInt64", &["9223372036854775808"]);
    refuse_texts("optionalUint64", &["18446744073709551616"]);
}

#[test]
fn floats_are_range_checked() {
    same(r#"{"optionalFloat":0.1,"optionalDouble":0.1}"#);
    same(r#"{"optionalFloat":3.4028235e+38}"#);
    same(r#"{"optionalFloat":"NaN","optionalDouble":"-Infinity"}"#);
    same(r#"{"optionalFloat":"Infinity","optionalDouble":"NaN"}"#);
    check(
        r#"{"optionalFloat":"1.5","optionalDouble":"2.22507e-308"}"#,
        r#"{"optionalFloat":1.5,"optionalDouble":2.22507e-308}"#,
    );
    check(r#"{"optionalDouble":-0.0}"#, r#"{"optionalDouble":-0}"#);
    same(r#"{"optionalDouble":5}"#);
    let raw = ["NaN", "Infinity", "-Infinity", "true", "1.89769e+308", "-1.89769e+308"];
    refuse_values("optionalDouble", &raw);
    refuse_texts("optionalDouble", &["inf", "nan", "+Infinity", "", "1.5x"]);
    refuse_values("optionalFloat", &["3.502823e+38", "-3.502823e+38", "\"\""]);
}

#[test]
fn booleans_strings_and_bytes_are_strict() {
    same(r#"{"optionalBool":true}"#);
    refuse_values("optionalBool", &["0", "1", "\"true\"", "True", "FALSE", "\"\""]);
    check(
        r#"{"optionalString":"\u8C37\u6b4c \ud83d\ude01 \b\f\n\r\t\\\"\/"}"#,
        "{\"optionalString\":\"谷歌 😁 \\b\\f\\n\\r\\t\\\\\\\"/\"}",
    );
    same(r#"{"optionalString":"\u0000"}"#);
    refuse_values("optionalString", &["1", "true", "[]", "'a'"]);
    refuse_texts("optionalString", &[r"\ud83d", r"\ude01\ud83d", r"\x41", r"\u00", "a\nb"]);
    assert!(plan().json_to_wire(TYPE, b"{\"optionalString\":\"\xff\"}").is_err());
    for (text, expected) in [
        ("AQI", "AQI="),
        ("-_", "+w=="),
        ("+/8=", "+/8="),
        ("+/8", "+/8="),
        ("-_8=", "+/8="),
        ("-_8", "+/8="),
    ] {
        let expected = format!(r#"{{"optionalBytes":"{expected}"}}"#);
        check(&format!(r#"{{"optionalBytes":"{text}"}}"#), &expected);
    }
    refuse(r#"{"optionalBytes":1}"#);
    let malformed = ["!!!!", "!", "A", "a===", "AQI=x", "A Q", "a b=", "YQ==YQ=="];
    refuse_texts("optionalBytes", &malformed);
}

#[test]
fn enums_accept_names_and_numbers() {
    same(r#"{"optionalColor":"COLOR_RED"}"#);
    check(r#"{"optionalColor":"COLOR_CRIMSON"}"#, r#"{"optionalColor":"COLOR_RED"}"#);
    check(r#"{"optionalColor":-7}"#, r#"{"optionalColor":"COLOR_BLUE"}"#);
    check(r#"{"optionalColor":1.0}"#, r#"{"optionalColor":"COLOR_RED"}"#);
    check(r#"{"optionalColor":0}"#, "{}");
    same(r#"{"optionalColor":123}"#);
    refuse_values("optionalColor", &["COLOR_RED", "true", "0.5", "2147483648"]);
    refuse_texts("optionalColor", &["color_red", "", "1"]);
    same(r#"{"repeatedColor":["COLOR_RED",5]}"#);
}

#[test]
fn null_means_absent() {
    check(
        r#"{"optionalInt32":null,"optionalString":null,"optionalNestedMessage":null,"repeatedInt32":null,"mapInt32Int32":null,"optionalTimestamp":null,"optionalAny":null,"optionalInt32Wrapper":null,"optionalColor":null}"#,
        "{}",
    );
    check(r#"{"optionalNullValue":null}"#, "{}");
    same(r#"{"oneofNullValue":null}"#);
    check(r#"{"oneofUint32":null,"oneofString":"a"}"#, r#"{"oneofString":"a"}"#);
    check(r#"{"oneofString":"a","oneofUint32":null}"#, r#"{"oneofString":"a"}"#);
    for json in [
        "null",
        r#"{"repeatedInt32":[1,null]}"#,
        r#"{"repeatedNestedMessage":[null]}"#,
        r#"{"mapInt32Int32":{"1":null}}"#,
        r#"{"mapStringNested":{"a":null}}"#,
        r#"{"repeatedTimestamp":[null]}"#,
    ] {
        refuse(json);
    }
    same(r#"{"repeatedValue":[null,1]}"#);
    check(r#"{"repeatedColor":null}"#, "{}");
}

#[test]
fn lists_and_maps_round_trip() {
    same(
        r#"{"repeatedInt32":[1,-2],"repeatedFloat":[0.5],"repeatedString":["a",""],"repeatedNestedMessage":[{"a":1},{}]}"#,
    );
    same(r#"{"mapInt32Int32":{"1":2,"-3":0}}"#);
    same(r#"{"mapUint64String":{"18446744073709551615":"x"},"mapBoolBool":{"true":false}}"#);
    same(r#"{"mapStringNested":{"":{"a":1},"b":{}},"mapStringColor":{"c":"COLOR_RED"}}"#);
    check(r#"{"mapBoolBool":{"tr\u0075e":true}}"#, r#"{"mapBoolBool":{"true":true}}"#);
    for json in [
        r#"{"repeatedInt32":1}"#,
        r#"{"repeatedInt32":[1,"x"]}"#,
        r#"{"repeatedInt32":[1,]}"#,
        r#"{"repeatedInt32":{}}"#,
        r#"{"mapInt32Int32":{"1":1,"1":2}}"#,
        r#"{"mapInt32Int32":{"1":1,"1.0":2}}"#,
        r#"{"mapInt32Int32":{"x":1}}"#,
        r#"{"mapInt32Int32":{1:1}}"#,
        r#"{"mapBoolBool":{"True":true}}"#,
        r#"{"mapInt32Int32":[]}"#,
        r#"{"mapStringString":{"a":1}}"#,
    ] {
        refuse(json);
    }
}

#[test]
fn presence_is_kept() {
    same(r#"{"oneofUint32":0}"#);
    same(r#"{"oneofString":""}"#);
    same(r#"{"oneofNestedMessage":{}}"#);
    same(r#"{"oneofColor":"COLOR_UNSPECIFIED"}"#);
    refuse(r#"{"oneofUint32":1,"oneofString":"test"}"#);
    same(r#"{"presentInt32":0,"presentString":""}"#);
    check(r#"{"optionalInt32":0,"optionalString":"","repeatedInt32":[]}"#, "{}");
}

#[test]
fn wrappers_round_trip() {
    same(
        r#"{"optionalBoolWrapper":false,"optionalInt32Wrapper":0,"optionalInt64Wrapper":"0","optionalUint64Wrapper":"0","optionalFloatWrapper":0,"optionalDoubleWrapper":0,"optionalStringWrapper":"","optionalBytesWrapper":""}"#,
    );
    same(r#"{"repeatedInt64Wrapper":["1","0"]}"#);
    refuse(r#"{"optionalInt32Wrapper":{"value":1}}"#);
    refuse(r#"{"repeatedInt64Wrapper":[null]}"#);
}

#[test]
fn times_and_field_masks_round_trip() {
    check(r#"{"optionalDuration":"1.5s"}"#, r#"{"optionalDuration":"1.500s"}"#);
    check(
        r#"{"optionalTimestamp":"1970-01-01T08:00:01.010+08:00"}"#,
        r#"{"optionalTimestamp":"1970-01-01T00:00:01.010Z"}"#,
    );
    same(r#"{"repeatedTimestamp":["1970-01-01T00:00:00Z"]}"#);
    refuse_values("optionalDuration", &["\"1\"", "1", "{}"]);
    refuse_values("optionalTimestamp", &["\"1970-01-01T00:00:00\"", "0", "\"\""]);
    same(r#"{"optionalFieldMask":"foo,barBaz.quX"}"#);
    same(r#"{"optionalFieldMask":""}"#);
    refuse(r#"{"optionalFieldMask":"foo,bar_bar"}"#);
}

#[test]
fn structs_and_values_round_trip() {
    same(
        r#"{"optionalStruct":{"nullValue":null,"intValue":1234,"boolValue":true,"doubleValue":1234.5678,"stringValue":"Hello world!","listValue":[1234,"5678"],"objectValue":{"value":0}}}"#,
    );
    same(r#"{"optionalStruct":{}}"#);
    same(r#"{"optionalValue":null}"#);
    same(r#"{"optionalValue":[{"a":[]},"b",false]}"#);
    same(r#"{"optionalListValue":[1,[2]]}"#);
    same(r#"{"repeatedListValue":[["a"],[]]}"#);
    refuse(r#"{"optionalStruct":{"a":1,"a":2}}"#);
    refuse(r#"{"optionalStruct":[]}"#);
    refuse(r#"{"optionalListValue":{}}"#);
    refuse(r#"{"optionalValue":1e400}"#);
    same(r#"{"optionalEmpty":{}}"#);
    refuse(r#"{"optionalEmpty":{"a":1}}"#);
}

#[test]
fn any_round_trips() {
    same(r#"{"optionalAny":{"@type":"type.googleapis.com/agon.test.v1.Nested","a":12345}}"#);
    check(
        r#"{"optionalAny":{"a":12345,"@type":"type.googleapis.com/agon.test.v1.Nested"}}"#,
        r#"{"optionalAny":{"@type":"type.googleapis.com/agon.test.v1.Nested","a":12345}}"#,
    );
    same(
        r#"{"optionalAny":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"}}"#,
    );
    same(r#"{"optionalAny":{"@type":"type.googleapis.com/google.protobuf.Int32Value","value":5}}"#);
    same(
        r#"{"optionalAny":{"@type":"type.googleapis.com/google.protobuf.Value","value":{"a":1}}}"#,
    );
    same(
        r#"{"optionalAny":{"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"type.googleapis.com/agon.test.v1.Nested","a":1}}}"#,
    );
    check(
        r#"{"optionalAny":{"@type":"x/google.protobuf.Empty"}}"#,
        r#"{"optionalAny":{"@type":"x/google.protobuf.Empty","value":{}}}"#,
    );
    same(r#"{"optionalAny":{"@type":"x/agon.test.v1.Nested"}}"#);
    same(r#"{"optionalAny":{}}"#);
    refuse_values(
        "optionalAny",
        &[
            r#"{"a":1}"#,
            r#"{"@type":""}"#,
            r#"{"@type":"","value":""}"#,
            r#"{"@type":1}"#,
            r#"{"@type":"agon.test.v1.Nested"}"#,
            r#"{"@type":"x/unknown.Type","a":1}"#,
            r#"{"@type":"x/agon.test.v1.Nested","@type":"x/agon.test.v1.Nested"}"#,
            r#"{"@type":"x/google.protobuf.Duration"}"#,
            r#"{"@type":"x/google.protobuf.Duration","value":"1s","b":1}"#,
            r#"{"@type":"x/google.protobuf.Duration","value":"1s","value":"1s"}"#,
            r#"{"@type":"x/agon.test.v1.Nested","value":{"a":1}}"#,
            "[]",
            "\"x\"",
        ],
    );
}

#[test]
fn invalid_json_is_refused() {
    // The tests of the lexer have more cases.
    for json in ["", "[]", "1", "{", "{} {}", "{/**/}", r#"{"optionalInt32":1,}"#] {
        refuse(json);
    }
    check(" \t\r\n{ \"optionalInt32\" : 1 } \n", r#"{"optionalInt32":1}"#);
}

#[test]
fn sizes_are_limited() {
    let lists = format!(r#"{{"optionalValue":{}{}}}"#, "[".repeat(60), "]".repeat(60));
    refuse(&lists);
    same(&format!(r#"{{"optionalValue":{}{}}}"#, "[".repeat(30), "]".repeat(30)));
    refuse(&format!(r#"{{"optionalValue":{}"#, "[".repeat(500_000)));
    let nested = |depth: usize| {
        format!("{}{}", r#"{"recursiveMessage":"#.repeat(depth) + "{}", "}".repeat(depth))
    };
    same(&nested(99));
    refuse(&nested(100));
    refuse(&nested(100_000));
    let any = r#"{"@type":"x/google.protobuf.Any","value":"#;
    refuse(&format!(r#"{{"optionalAny":{}{{}}{}}}"#, any.repeat(5000), "}".repeat(5000)));
    refuse(&format!(r#"{{"repeatedInt32":[{}1]}}"#, "1,".repeat(300_000)));
    refuse(&format!(r#"{{"{}":1}}"#, "x".repeat(1_000_000)));
    refuse(&format!(r#"{{"optionalInt32":1e{}}}"#, "9".repeat(100_000)));
    refuse(&format!(r#"{{"optionalInt32":{}}}"#, "9".repeat(100_000)));
}

#[test]
fn errors_name_the_field() {
    for (json, field) in [
        (r#"{"optionalNestedMessage":{"child":{"a":"x"}}}"#, "optional_nested_message.child.a"),
        (r#"{"repeatedNestedMessage":[{},{"a":true}]}"#, "repeated_nested_message[1].a"),
        (r#"{"mapStringNested":{"k":{"b":1}}}"#, "map_string_nested.k.b"),
        (r#"{"optionalStruct":{"a":[1,1e999]}}"#, "optional_struct.a[1]"),
        (r#"{"optionalAny":{"@type":"x/agon.test.v1.Nested","a":[]}}"#, "optional_any.a"),
        (r#"{"oneofString":"a","oneofUint32":1}"#, "oneof_uint32"),
        ("[]", ""),
    ] {
        let error = plan().json_to_wire(TYPE, json.as_bytes()).unwrap_err();
        assert_eq!(error.field, field, "{json}: {error}");
    }
}
