//! Binding of path, query, body and headers to the request message.

use serde_json::json;

use crate::fixture::{check, refuse, request};

#[test]
fn path_variables_are_bound() {
    check("GET /v1/books/b1", "", json!({"bookId": "b1"}));
    check("GET /v1/books/a%2Fb%20c", "", json!({"bookId": "a/b c"}));
    check("GET /v1/shelves/s%2F1/books/b%201", "", json!({"name": "shelves/s%2F1/books/b 1"}));
    check("POST /v1/books/b1:lend", "", json!({"bookId": "b1"}));
    check("GET /v1/books/b1:other", "", json!({"bookId": "b1:other"}));
}

#[test]
fn query_parameters_are_bound() {
    check(
        "GET /v1/books?pageSize=5&page_token=x+y%2B",
        "",
        json!({"pageSize": 5, "pageToken": "x y+"}),
    );
    check("GET /v1/books?tags=b&tags=a&tags=", "", json!({"tags": ["b", "a", ""]}));
    check(
        "GET /v1/books?colors=COLOR_RED&colors=-7&colors=9",
        "",
        json!({"colors": ["COLOR_RED", "COLOR_BLUE", 9]}),
    );
    check(
        "GET /v1/books?author.name=Ada&author.country=GB",
        "",
        json!({"author": {"name": "Ada", "country": "GB"}}),
    );
    check(
        "GET /v1/books?limits[a]=1&limits[b.c]=2&limits%5Bd%5D=3",
        "",
        json!({"limits": {"a": 1, "b.c": 2, "d": 3}}),
    );
    check(
        "GET /v1/books?since=2026-01-02T03:04:05%2B01:00",
        "",
        json!({"since": "2026-01-02T02:04:05Z"}),
    );
    check("GET /v1/books?readMask=title,readingTime", "", json!({"readMask": "title,readingTime"}));
    check(
        "GET /v1/books?read_mask=reading_time.seconds",
        "",
        json!({"readMask": "readingTime.seconds"}),
    );
    check("GET /v1/books?deleted=true&blob=-_8", "", json!({"deleted": true, "blob": "+/8="}));
    check(
        "GET /v1/books?all.optionalInt64Wrapper=7&all.optionalDuration=1.5s",
        "",
        json!({"all": {"optionalInt64Wrapper": "7", "optionalDuration": "1.500s"}}),
    );
    check("GET /v1/books?&&pageSize=0", "", json!({}));
    check(
        "GET /v1/books?all.optionalNestedMessage.child.a=3&all.optionalFloat=NaN",
        "",
        json!({"all": {"optionalFloat": "NaN", "optionalNestedMessage": {"child": {"a": 3}}}}),
    );
    check(
        "POST /v1/books?shelf=s&color=COLOR_CRIMSON",
        "{}",
        json!({"book": {}, "shelf": "s", "color": "COLOR_RED"}),
    );
}

#[test]
fn errors_about_queries_name_the_parameter() {
    for (query, field) in [
        ("nope=1", "nope"),
        ("pageSize=1&pageSize=1", "pageSize"),
        ("pageSize=1&page_size=1", "page_size"),
        ("pageSize=x", "pageSize"),
        ("pageSize=2147483648", "pageSize"),
        ("pageSize=", "pageSize"),
        ("deleted=1", "deleted"),
        ("deleted=TRUE", "deleted"),
        ("colors=PINK", "colors"),
        ("author=Ada", "author"),
        ("author.nope=1", "author.nope"),
        ("tags.x=1", "tags.x"),
        ("authors.name=1", "authors.name"),
        ("limits=1", "limits"),
        ("limits[a]=x", "limits[a]"),
        ("limits[a=1", "limits[a"),
        ("limits[a]=1&limits[a]=2", "limits[a]"),
        ("tags[0]=a", "tags[0]"),
        ("since=yesterday", "since"),
        ("orderBy=a&random=true", "random"),
        ("readMask=a,,b", "readMask"),
        ("blob=%25", "blob"),
        ("author..name=1", "author..name"),
        ("=1", ""),
        ("author.=1", "author."),
        ("since.seconds=1", "since.seconds"),
    ] {
        refuse(&format!("GET /v1/books?{query}"), "", field);
    }
    refuse("GET /v1/books?tags=%ff", "", "tags");
    refuse("GET /v1/books?%zz=1", "", "%zz");
    refuse("POST /v1/books/b1:lend?borrower=x", "{}", "borrower");
    refuse("POST /v1/books?book.title=x", "{}", "book.title");
    let deep = format!("GET /v1/books?all.{}optionalInt32=1", "recursiveMessage.".repeat(200));
    assert!(request(&deep, "").bind().is_err());
}

#[test]
fn bodies_are_bound() {
    check(
        "POST /v1/books",
        r#"{"title": "T", "page_count": "12"}"#,
        json!({"book": {"title": "T", "pageCount": "12"}}),
    );
    check(
        "POST /v1/books/b1:lend",
        r#"{"borrower": "x", "bookId": "b1"}"#,
        json!({"bookId": "b1", "borrower": "x"}),
    );
    check("POST /v1/books/b1:lend", r#"{"bookId": ""}"#, json!({"bookId": "b1"}));
    refuse("POST /v1/books/b1:lend", r#"{"bookId": "other"}"#, "book_id");
    refuse("GET /v1/books/b1", "{}", "");
    refuse("GET /v1/books/b1?bookId=b2", "", "book_id");
    check("GET /v1/books/b1?bookId=b1", "", json!({"bookId": "b1"}));
    refuse("POST /v1/books", r#"{"title": 1}"#, "book.title");
    refuse("POST /v1/books", r#"{"author": {"nme": 1}}"#, "book.author.nme");
    refuse("POST /v1/books", r#"{"tags": ["a", 1]}"#, "book.tags[1]");
    refuse("POST /v1/books", r#"{"labels": {"k": 1}}"#, "book.labels.k");
    refuse("POST /v1/books", r#"{"title": "a"} x"#, "book");
    refuse("POST /v1/books/b1:lend", r#"{"borrower": "a"}{}"#, "");
}

#[test]
fn patch_without_mask_gets_the_mask_of_its_fields() {
    check(
        "PATCH /v1/books/b1",
        r#"{"title": "", "author": {"name": "x"}, "labels": {}, "tags": [], "readingTime": null}"#,
        json!({
            "book": {"bookId": "b1", "author": {"name": "x"}},
            "updateMask": "title,author.name,labels,tags,readingTime",
        }),
    );
    check(
        "PATCH /v1/books/b1",
        r#"{"bookId": "b1", "etag": "e", "createTime": "2026-01-01T00:00:00Z", "author": {}}"#,
        json!({
            "book": {"bookId": "b1", "etag": "e", "createTime": "2026-01-01T00:00:00Z", "author": {}},
            "updateMask": "author",
        }),
    );
    check("PATCH /v1/books/b1", "{}", json!({"book": {"bookId": "b1"}, "updateMask": ""}));
    check(
        "PATCH /v1/books/b1?updateMask=title",
        r#"{"tags": ["a"]}"#,
        json!({"book": {"bookId": "b1", "tags": ["a"]}, "updateMask": "title"}),
    );
    check(
        "PATCH /v1/books/b1?updateMask=*",
        "{}",
        json!({"book": {"bookId": "b1"}, "updateMask": "*"}),
    );
    refuse("PATCH /v1/books/b1", r#"{"bookId": "b2"}"#, "book.book_id");
}

#[test]
fn headers_are_bound_to_fields() {
    let mut it = request("POST /v1/books", r#"{"title": "T"}"#);
    it.idempotency_key = Some("k1");
    assert_eq!(it.bind().unwrap(), json!({"book": {"title": "T"}, "requestId": "k1"}));
    let mut it = request("POST /v1/books?requestId=k2", "{}");
    it.idempotency_key = Some("k1");
    assert!(it.bind().unwrap_err().starts_with("request_id: "));

    let mut it = request("PATCH /v1/books/b1", r#"{"title": "T"}"#);
    it.etag = Some("e1");
    assert_eq!(it.bind().unwrap()["book"]["etag"], "e1");
    let mut it = request("PATCH /v1/books/b1", r#"{"etag": "e2"}"#);
    it.etag = Some("e1");
    assert!(it.bind().unwrap_err().starts_with("etag: "));
    let mut it = request("DELETE /v1/books/b1", "");
    it.etag = Some("e1");
    assert_eq!(it.bind().unwrap(), json!({"bookId": "b1", "etag": "e1"}));

    let mut it = request("GET /v1/books:watch?cursor=old", "");
    it.last_event_id = Some("new");
    assert_eq!(it.bind().unwrap(), json!({"cursor": "new"}));
    let mut it = request("GET /v1/books", "");
    it.last_event_id = Some("new");
    assert_eq!(it.bind().unwrap(), json!({}));
}

#[test]
fn raw_bodies_are_bound() {
    check(
        "POST /v1/books/b1/text?publish=true",
        "abc",
        json!({"bookId": "b1", "publish": true, "content": {"contentType": "text/plain", "data": "YWJj"}}),
    );
    refuse("POST /v1/books/b1/text?content.data=YQ", "abc", "content.data");
}
