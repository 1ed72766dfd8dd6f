//! What the reader finds, and what it survives.

use crate::rules::fields::{Fields, Unreadable, check_json};
use crate::rules::pointer::Pointer;

fn check(payload: impl AsRef<[u8]>, pointers: &[&str], expected: &[&[&str]]) {
    let pointers: Vec<Pointer> = pointers
        .iter()
        .map(|pointer| pointer.parse().unwrap())
        .collect();
    let fields = Fields::new(&pointers);
    let found = fields.read(payload.as_ref()).unwrap();
    let found: Vec<Vec<&str>> = pointers
        .iter()
        .map(|pointer| found.all(pointer).collect())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn values_are_slices_of_the_payload() {
    check(
        r#"{"action": "opened", "issue": {"labels": [{"name":"a"}, {"name":"b"}], "n": 5}}"#,
        &[
            "/action",
            "/issue/labels/*/name",
            "/issue/labels/1/name",
            "/issue/n",
            "/absent",
            "/action/x",
        ],
        &[
            &[r#""opened""#],
            &[r#""a""#, r#""b""#],
            &[r#""b""#],
            &["5"],
            &[],
            &[],
        ],
    );
}

#[test]
fn a_pointer_may_end_where_another_goes_on() {
    check(
        r#"{"a": {"b": [1, 2]}}"#,
        &["", "/a", "/a/b", "/a/b/*", "/a/b/0"],
        &[
            &[r#"{"a": {"b": [1, 2]}}"#],
            &[r#"{"b": [1, 2]}"#],
            &["[1, 2]"],
            &["1", "2"],
            &["1"],
        ],
    );
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    check(r#"{"a": 1, "a": 2}"#, &["/a"], &[&["2"]]);
    check(
        r#"{"a": {"b": [1, 2]}, "c": 0, "a": {"b": [3]}, "a": {"b": [4]}}"#,
        &["/a/b/*", "/c"],
        &[&["4"], &["0"]],
    );
    check(r#"{"a": {"b": 1}, "a": {}}"#, &["/a/b"], &[&[]]);
    check(r#"{"a": 1, "\u0061": 2}"#, &["/a"], &[&["2"]]);
    check(r#"[{"a": 1}, {"a": 2, "a": 3}]"#, &["/*/a"], &[&["1", "3"]]);
}

#[test]
fn empty_and_numeric_keys_are_keys() {
    check(
        r#"{"": {"0": "x", "01": "y"}}"#,
        &["//0", "//01"],
        &[&[r#""x""#], &[r#""y""#]],
    );
    check(r#"["x"]"#, &["/0", "/00"], &[&[r#""x""#], &[]]);
}

#[test]
fn lone_surrogates_nul_and_huge_numbers_harm_nobody() {
    let payload = r#"{"\ud800": 1, "t": "\udfff\u0000", "n": 1e999999999999, "m": 123456789012345678901234567890123456789, "a": "x"}"#;
    check(
        payload,
        &["/a", "/n", "/t", "/t/x"],
        &[
            &[r#""x""#],
            &["1e999999999999"],
            &[r#""\udfff\u0000""#],
            &[],
        ],
    );
}

#[test]
fn deep_nesting_is_skipped_whether_a_pointer_leads_there_or_not() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    check(
        format!(r#"{{"deep": {deep}, "a": 1}}"#),
        &["/a", "/deep/0/0/x"],
        &[&["1"], &[]],
    );
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    check(
        deep,
        &[&"/a".repeat(32), "/b"],
        &[
            &[&format!(
                "{}1{}",
                r#"{"a":"#.repeat(99_968),
                "}".repeat(99_968)
            )],
            &[],
        ],
    );
}

#[test]
fn twenty_five_megabytes_are_read() {
    let item = r#"{"id": 7, "text": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}, "#;
    let payload = format!(
        r#"{{"items": [{}{{"id": 8}}], "last": true}}"#,
        item.repeat(25_000_000 / item.len())
    );
    let last: Pointer = "/last".parse().unwrap();
    let fields = Fields::new([&last]);
    assert_eq!(
        fields.read(payload.as_bytes()).unwrap().one(&last),
        Some("true")
    );
}

#[test]
fn what_is_not_json_is_told_apart_from_what_is_not_utf8() {
    assert!(matches!(
        check_json(b"{\"a\": \xff}"),
        Err(Unreadable::NotUtf8(6))
    ));
    for broken in [
        "",
        " ",
        "{",
        r#"{"a":}"#,
        "{}x",
        "nul",
        "[1,]",
        "'a'",
        "\u{feff}{}",
    ] {
        assert!(
            matches!(check_json(broken.as_bytes()), Err(Unreadable::NotJson(_))),
            "{broken:?}"
        );
    }
    let unclosed = "[".repeat(200_000);
    assert!(matches!(
        check_json(unclosed.as_bytes()),
        Err(Unreadable::NotJson(_))
    ));
}
