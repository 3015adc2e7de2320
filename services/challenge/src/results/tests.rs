//! Each format, with names that need escaping.

use super::*;
use crate::awards::honours;
use crate::format::Score;

fn file(format: Format, provisional: bool) -> String {
    let line = |number: u128, standing, rank, points| Line {
        participant: Uuid::from_u128(number),
        standing,
        rank,
        score: Score { points, penalty: 45, last: 25 },
    };
    let lines = [
        line(1, Standing::Ranked, Some(1), 2),
        line(2, Standing::Unofficial, None, 1),
        line(3, Standing::Ranked, Some(2), 0),
        line(4, Standing::Disqualified, None, 3),
    ];
    let names = ["=a<b>\"&'", "bob", "-cy", "di"];
    let head = Head {
        contest_id: Uuid::from_u128(9),
        title: "R&D <finals>".into(),
        provisional,
        firsts: vec![("A".into(), Uuid::from_u128(1), "=a<b>".into())],
    };
    let mut file = format.head(&head);
    let honours = honours(&lines, 0);
    for (index, line) in lines.into_iter().enumerate() {
        let row = Row { line, honour: honours[index], name: names[index] };
        file.push_str(&format.row(&head, &row, index == 0));
    }
    file + &format.tail(&head)
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[test]
fn tsv_has_participants_with_a_rank() {
    let rows =
        format!("{}\t1\tGold Medal\t2\t45\t25\t\n{}\t\tHonorable\t0\t45\t25\t\n", id(1), id(3));
    assert_eq!(file(Format::Tsv, false), format!("results\t1\n{rows}"));
    assert_eq!(file(Format::Tsv, true), format!("results\t1\tPROVISIONAL\n{rows}"));
}

#[test]
fn csv_quotes_names_and_disarms_formulas() {
    let csv = file(Format::Csv, false);
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(rows.len(), 6, "{csv}");
    let first = format!("1,{},\"'=a<b>\"\"&'\",official,Gold Medal,2,45,25,final", id(1));
    assert_eq!(rows[1], first);
    assert_eq!(rows[2], format!(",{},\"bob\",unofficial,,1,45,25,final", id(2)));
    assert_eq!(rows[3], format!("2,{},\"'-cy\",official,Honorable,0,45,25,final", id(3)));
    assert_eq!(rows[4], format!(",{},\"di\",disqualified,,3,45,25,final", id(4)));
    assert!(file(Format::Csv, true).contains("25,provisional\r\n"));
}

#[test]
fn json_is_valid() {
    let json: serde_json::Value = serde_json::from_str(&file(Format::Json, true)).unwrap();
    assert_eq!(json["status"], "provisional");
    assert_eq!(json["title"], "R&D <finals>");
    assert_eq!(json["firstToSolve"][0]["label"], "A");
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!(results[0]["name"], "=a<b>\"&'");
    assert_eq!((&results[0]["rank"], &results[1]["rank"]), (&json!(1), &json!(null)));
    let head = Head { contest_id: id(1), title: String::new(), provisional: false, firsts: vec![] };
    let empty = Format::Json.head(&head) + &Format::Json.tail(&head);
    serde_json::from_str::<serde_json::Value>(&empty).unwrap();
}

#[test]
fn html_escapes_every_text() {
    let html = file(Format::Html, true);
    assert!(html.contains("<h1>R&amp;D &lt;finals&gt;</h1>"), "{html}");
    assert!(html.contains("<td>=a&lt;b&gt;&quot;&amp;&#39;</td>"), "{html}");
    assert!(html.contains("Provisional: these results are not final."), "{html}");
    assert!(!file(Format::Html, false).contains("Provisional"));
    assert!(html.contains("<td>disqualified</td>"), "{html}");
}
