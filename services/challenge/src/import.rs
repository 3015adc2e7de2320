//! Files of participants: tables with tabs or commas between the columns. Pure.

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

/// The participants of a file, or its mistakes.
pub fn parse(content: &[u8]) -> Result<Vec<Line>, Mistakes> {
    let mut mistakes = Mistakes::default();
    let Ok(text) = std::str::from_utf8(content) else {
        mistakes.violations.add("content", "must be UTF-8 text");
        return Err(mistakes);
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = (1..).zip(text.lines());
    let mut lines = numbered.filter(|(_, line)| !line.trim().is_empty());
    let Some((first, head)) = lines.next() else {
        mistakes.violations.add("content", "is empty; must be a table with a line of column names");
        return Err(mistakes);
    };
    let separator = if head.contains('\t') { '\t' } else { ',' };
    let columns = columns(first, head, separator)?;
    let mut found = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (number, line) in lines {
        if found.len() >= MAX_LINES {
            mistakes
                .violations
                .add("content", format!("must have at most {MAX_LINES} participants"));
            return Err(mistakes);
        }
        let values = match split(line, separator) {
            Ok(values) if values.len() <= columns.len() => values,
            Ok(values) => {
                let text = format!("must have {} values, got {}", columns.len(), values.len());
                mistakes.add(number, "id", text);
                continue;
            }
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
    if found.is_empty() && mistakes.count == 0 {
        mistakes.violations.add("content", "has no participants below the column names");
    }
    if mistakes.violations.is_empty() { Ok(found) } else { Err(mistakes) }
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
        let status = parse(text.as_bytes()).err().unwrap().into_result().unwrap_err();
        rpc::status::fields(&status).into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn tables_with_tabs_and_commas_are_read() {
        let tsv = "\u{feff}username\tid\tcountry\thidden\r\nada\t7\tNZL\ttrue\r\n\r\nbob\t8\r\n";
        let lines = parse(tsv.as_bytes()).ok().unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].external_id.as_str(), lines[0].name.as_str()), ("7", "ada"));
        assert_eq!((lines[0].origin.country.as_str(), lines[0].hidden), ("NZL", true));
        assert_eq!((lines[1].number, lines[1].hidden), (4, false));
        let csv = "ID,username,name,organization\n1,ada,\"Ada, \"\"Countess\"\"\",ETH\n";
        let lines = parse(csv.as_bytes()).ok().unwrap();
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
        assert!(parse(&[0xff, 0xfe]).is_err());
    }
}
