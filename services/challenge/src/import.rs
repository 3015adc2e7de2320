//! Files of participants: tables with tabs or commas between the columns, and those of the ICPC tools. Pure.

mod icpc;

use std::collections::{HashMap, HashSet};

use rpc::Violations;

use crate::contest::origin::Origin;
use crate::request;

/// Participants of one file.
const MAX_LINES: usize = 1000;
/// Mistakes in one response.
const MAX_VIOLATIONS: usize = 50;
/// The longest id, in characters.
const MAX_ID: usize = 100;
/// The longest name, in characters.
const MAX_NAME: usize = 100;

const COLUMNS: [&str; 8] =
    ["id", "username", "name", "organization", "country", "group", "unofficial", "hidden"];

/// A participant of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1, with the line of the names of the columns.
    pub number: usize,
    pub external_id: String,
    pub username: String,
    pub name: String,
    pub origin: Origin,
    pub unofficial: bool,
    pub hidden: bool,
}

/// The first mistakes of a file.
#[derive(Default)]
pub struct Mistakes {
    violations: Violations,
    count: usize,
}

impl Mistakes {
    pub fn add(&mut self, line: usize, column: &str, what: impl Into<String>) {
        if self.count < MAX_VIOLATIONS {
            self.violations.add(format!("lines[{line}].{column}"), what);
            self.count += 1;
        }
    }

    pub fn into_result(self) -> Result<(), tonic::Status> {
        self.violations.into_result()
    }
}

/// The values of a file by line; the error of a line says what is wrong.
struct Table {
    columns: Vec<&'static str>,
    rows: Vec<(usize, Result<Vec<String>, String>)>,
}

/// The participants of a file, or its mistakes. `slug` is that of the contest.
pub fn parse(content: &[u8], slug: &str) -> Result<Vec<Line>, Mistakes> {
    let mut mistakes = Mistakes::default();
    let Table { columns, rows } = table(content, slug)?;
    if !(1..=MAX_LINES).contains(&rows.len()) {
        let text = format!("must have 1 to {MAX_LINES} participants, got {}", rows.len());
        mistakes.violations.add("content", text);
        return Err(mistakes);
    }
    let mut found = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (number, values) in rows {
        let values = values.and_then(|values| match values.len() <= columns.len() {
            true => Ok(values),
            false => Err(format!("must have {} values, got {}", columns.len(), values.len())),
        });
        let values = match values {
            Ok(values) => values,
            Err(what) => {
                mistakes.add(number, "id", what);
                continue;
            }
        };
        let line = line_of(number, &columns, &values, &mut mistakes);
        if let Some(other) = seen.insert(line.external_id.clone(), number) {
            mistakes.add(number, "id", format!("must differ from that of line {other}"));
        }
        found.push(line);
    }
    if mistakes.violations.is_empty() { Ok(found) } else { Err(mistakes) }
}

fn table(content: &[u8], slug: &str) -> Result<Table, Mistakes> {
    let refused = |what: String| {
        let mut mistakes = Mistakes::default();
        mistakes.violations.add("content", what);
        mistakes
    };
    let text = std::str::from_utf8(content).map_err(|_| refused("must be UTF-8 text".into()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('[') {
        return icpc::json(text, slug).map_err(refused);
    }
    let numbered = (1..).zip(text.lines());
    let mut lines = numbered.filter(|(_, line)| !line.trim().is_empty());
    let Some((first, head)) = lines.next() else {
        return Err(refused("is empty; must be a table with a line of column names".into()));
    };
    if icpc::is_tsv(head) {
        return Ok(icpc::tsv(lines, slug));
    }
    let separator = if head.contains('\t') { '\t' } else { ',' };
    let columns = columns(first, head, separator)?;
    let rows = lines.map(|(number, line)| (number, split(line, separator).map_err(str::to_owned)));
    Ok(Table { columns, rows: rows.collect() })
}

/// The columns in the order of the file.
fn columns(number: usize, head: &str, separator: char) -> Result<Vec<&'static str>, Mistakes> {
    let mut mistakes = Mistakes::default();
    let names = split(head, separator).unwrap_or_default();
    let known = |name: &String| COLUMNS.into_iter().find(|it| name.trim().eq_ignore_ascii_case(it));
    let columns: Vec<_> = names.iter().map(known).collect();
    for (name, column) in names.iter().zip(&columns) {
        if column.is_none() {
            let shown: String = name.chars().take(40).collect();
            let text = format!("unknown column {shown:?}; must be one of {}", COLUMNS.join(", "));
            mistakes.add(number, "id", text);
        }
    }
    let columns: Vec<&str> = columns.into_iter().flatten().collect();
    let distinct: HashSet<_> = columns.iter().collect();
    if distinct.len() < columns.len() {
        mistakes.add(number, "id", "each column must be named once");
    }
    for required in ["id", "username"] {
        if mistakes.count == 0 && !columns.contains(&required) {
            mistakes.add(number, required, "the column is required");
        }
    }
    if mistakes.count == 0 { Ok(columns) } else { Err(mistakes) }
}

fn line_of(number: usize, columns: &[&str], values: &[String], mistakes: &mut Mistakes) -> Line {
    let value = |column: &str| {
        let at = columns.iter().position(|it| *it == column);
        at.and_then(|at| values.get(at)).map(|value| value.trim()).unwrap_or_default()
    };
    let (id, username, name) = (value("id"), value("username"), value("name"));
    if id.is_empty() {
        mistakes.add(number, "id", "must have 1 to 100 characters");
    } else if let Err(refusal) = text::check_line(id, MAX_ID) {
        mistakes.add(number, "id", refusal.to_string());
    }
    if !request::is_username(username) || ids::parse(username).is_some() {
        mistakes.add(number, "username", "must be a username");
    }
    if let Err(refusal) = text::check_line(name, MAX_NAME) {
        mistakes.add(number, "name", refusal.to_string());
    }
    let origin = Origin::new(value("organization"), value("country"), value("group"));
    let origin = origin.map_err(|(column, what)| mistakes.add(number, column, what));
    let mut flag = |column: &str| match value(column) {
        "" | "false" => false,
        "true" => true,
        _ => {
            mistakes.add(number, column, "must be true or false");
            false
        }
    };
    Line {
        number,
        external_id: id.to_owned(),
        username: username.to_owned(),
        name: if name.is_empty() { username } else { name }.to_owned(),
        origin: origin.unwrap_or_default(),
        unofficial: flag("unofficial"),
        hidden: flag("hidden"),
    }
}

/// The values of a line. One in double quotes may contain the separator, and quotes that are doubled.
fn split(line: &str, separator: char) -> Result<Vec<String>, &'static str> {
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or("a double quote is not closed on the line")?,
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        values.push(value);
        match after.strip_prefix(separator) {
            Some(after) => rest = after,
            None if after.trim().is_empty() => return Ok(values),
            None => return Err("a separator must follow the closing double quote"),
        }
    }
}

/// The value up to the closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let end = rest.find('"')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        let status = parse(text.as_bytes(), "finals").err().unwrap().into_result().unwrap_err();
        rpc::status::fields(&status).into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn tables_with_tabs_and_commas_are_read() {
        let tsv = "\u{feff}username\tid\tcountry\thidden\r\nada\t7\tNZL\ttrue\r\n\r\nbob\t8\r\n";
        let lines = parse(tsv.as_bytes(), "").ok().unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].external_id.as_str(), lines[0].name.as_str()), ("7", "ada"));
        assert_eq!((lines[0].origin.country.as_str(), lines[0].hidden), ("NZL", true));
        assert_eq!((lines[1].number, lines[1].hidden), (4, false));
        let csv = "ID,username,name,organization\n1,ada,\"Ada, \"\"Countess\"\"\",ETH\n";
        let lines = parse(csv.as_bytes(), "").ok().unwrap();
        assert_eq!(lines[0].name, "Ada, \"Countess\"");
        assert_eq!(lines[0].origin.organization, "ETH");
    }

    #[test]
    fn every_bad_line_is_named() {
        let text = "id,username,country,unofficial\n1,ada,NZ,\n,bob,NZL,yes\n1,cy,,\n2,a b,,\n3,\"dan\n4,eve,,,x\n";
        let expected = [
            "lines[2].country",
            "lines[3].id",
            "lines[3].unofficial",
            "lines[4].id",
            "lines[5].username",
            "lines[6].id",
            "lines[7].id",
        ];
        assert_eq!(fields(text), expected);
        assert_eq!(fields(""), ["content"]);
        assert_eq!(fields("id,username\n"), ["content"]);
        assert_eq!(fields("id,name\n1,x\n"), ["lines[1].username"]);
        assert_eq!(fields("\nid,username,x\n"), ["lines[2].id"]);
        assert_eq!(fields("id,id,username\n"), ["lines[1].id"]);
        let many = "\n,".repeat(90);
        assert_eq!(fields(&format!("id,username{many}")).len(), MAX_VIOLATIONS);
        let long: String = (0..1001).map(|n| format!("\n{n},u{n}")).collect();
        assert_eq!(fields(&format!("id,username{long}")), ["content"]);
        assert!(parse(&[0xff, 0xfe], "").is_err());
    }

    #[test]
    fn teams_of_the_icpc_tools_are_read() {
        let tsv = "teams\t1\n1\t447047\t24\tSeven\tETH Zurich\tETH\tCHE\n2\t\t24\tEight\t\t\t\n";
        let lines = parse(tsv.as_bytes(), "finals").ok().unwrap();
        let ids: Vec<_> =
            lines.iter().map(|it| (it.external_id.as_str(), it.username.as_str())).collect();
        assert_eq!(ids, [("447047", "finals-1"), ("2", "finals-2")]);
        let Origin { organization, country, group } = lines[0].origin.clone();
        assert_eq!(
            [organization.as_str(), country.as_str(), group.as_str()],
            ["ETH Zurich", "CHE", "24"]
        );
        assert_eq!(lines[1].name, "Eight");
        assert_eq!(fields("File_Version\t2\n1\t2\t3\n"), ["lines[2].id"]);

        let json = r#"[{"id": "7", "icpc_id": "1", "name": "Seven", "group_ids": ["a", "b"],
            "organization_id": "eth", "photo": []}, {"id": "8", "display_name": "Eight"}]"#;
        let lines = parse(json.as_bytes(), "finals").ok().unwrap();
        let names: Vec<_> =
            lines.iter().map(|it| (it.username.as_str(), it.name.as_str())).collect();
        assert_eq!(names, [("finals-7", "Seven"), ("finals-8", "Eight")]);
        assert_eq!((lines[0].origin.group.as_str(), lines[1].number), ("a", 2));
        for bad in ["[", "[]", r#"[{"name": "x"}]"#] {
            assert_eq!(fields(bad), ["content"]);
        }
        assert_eq!(
            fields(r#"[{"id": ""}, {"id": ""}]"#),
            ["lines[1].id", "lines[2].id", "lines[2].id"]
        );
    }
}
