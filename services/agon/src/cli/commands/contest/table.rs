//! Standings as text. Pure.

use std::fmt::Write as _;

use proto::challenge::{StandingsCell, StandingsRow};

/// A row as the text of its columns.
struct Line {
    rank: String,
    name: String,
    solved: String,
    penalty: String,
    cells: Vec<String>,
}

impl Line {
    fn new(row: &StandingsRow, labels: &[String]) -> Self {
        Self {
            rank: rank(row),
            name: printable(&row.name),
            solved: row.solved_count.to_string(),
            penalty: row.penalty_minutes.to_string(),
            cells: labels.iter().map(|label| cell(row, label)).collect(),
        }
    }

    fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = vec![&self.rank, &self.name, &self.solved, &self.penalty];
        columns.extend(self.cells.iter().map(String::as_str));
        columns
    }
}

/// Ranked rows have a number, the others the reason why they have none.
pub fn rank(row: &StandingsRow) -> String {
    match row.rank {
        _ if row.disqualified => "dq".to_owned(),
        0 => "-".to_owned(),
        rank => rank.to_string(),
    }
}

/// A name without characters that control a terminal or separate columns.
pub fn printable(name: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    name.chars().map(plain).collect()
}

/// `+` and the earlier rejected attempts with the minute if solved, `-` and the attempts if not, `?` and the pending
/// attempts; `*` marks the first to solve.
pub fn cell(row: &StandingsRow, label: &str) -> String {
    let Some(cell) = row.cells.iter().find(|cell| cell.label == label) else {
        return String::new();
    };
    let StandingsCell { attempt_count, pending_count, solve_minute, solved, first, .. } = *cell;
    let mut text = String::new();
    if solved {
        let rejected = (attempt_count - 1).max(0);
        let rejected = if rejected == 0 { String::new() } else { rejected.to_string() };
        let star = if first { "*" } else { "" };
        let _ = write!(text, "+{rejected}/{solve_minute}{star}");
    } else if attempt_count > 0 {
        let _ = write!(text, "-{attempt_count}");
    }
    if pending_count > 0 {
        let _ = write!(text, "?{pending_count}");
    }
    text
}

/// The names of the columns.
pub fn header(labels: &[String]) -> Vec<&str> {
    let mut columns = vec!["rank", "name", "solved", "penalty"];
    columns.extend(labels.iter().map(String::as_str));
    columns
}

/// Aligned columns, with a header.
pub fn text<'a>(rows: impl Iterator<Item = &'a StandingsRow>, labels: &[String]) -> String {
    let lines: Vec<Line> = rows.map(|row| Line::new(row, labels)).collect();
    let mut table = vec![header(labels)];
    table.extend(lines.iter().map(Line::columns));
    let width = |column: usize| table.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> =
        (0..table[0].len()).map(|column| width(column).unwrap_or_default()).collect();
    let mut out = String::new();
    for line in &table {
        let mut text = String::new();
        for (index, (value, width)) in line.iter().zip(&widths).enumerate() {
            // Numbers are aligned to the right, names and cells to the left.
            let _ = match index {
                0 | 2 | 3 => write!(text, "{value:>width$}  "),
                _ => write!(text, "{value:width$}  "),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

/// A row as one line, for output that is not a terminal.
pub fn line(row: &StandingsRow) -> String {
    let (rank, name) = (rank(row), printable(&row.name));
    let (solved, penalty) = (row.solved_count, row.penalty_minutes);
    let mut out = format!("{rank}\t{name}\t{solved}\t{penalty}");
    for it in &row.cells {
        let _ = write!(out, "\t{}={}", it.label, cell(row, &it.label));
    }
    out
}

/// Columns separated by tabs, with a header.
pub fn tsv(rows: &[StandingsRow], labels: &[String]) -> String {
    let mut out = header(labels).join("\t") + "\n";
    for row in rows {
        let _ = writeln!(out, "{}", Line::new(row, labels).columns().join("\t"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [StandingsRow; 2] {
        let cell = |label: &str| StandingsCell { label: label.into(), ..StandingsCell::default() };
        let a = StandingsCell {
            solved: true,
            first: true,
            attempt_count: 3,
            solve_minute: 62,
            ..cell("A")
        };
        let b = StandingsCell { attempt_count: 2, pending_count: 1, ..cell("B") };
        let first = StandingsRow {
            name: "ada".into(),
            rank: 1,
            solved_count: 1,
            penalty_minutes: 102,
            cells: vec![a, b],
            ..StandingsRow::default()
        };
        let second = StandingsRow {
            name: "bob\t\u{1b}[2J".into(),
            disqualified: true,
            ..Default::default()
        };
        [first, second]
    }

    #[test]
    fn table_has_a_column_for_each_problem() {
        let labels = ["A".to_owned(), "B".to_owned()];
        let expected = "rank  name      solved  penalty  A       B\n   \
                        1  ada            1      102  +2/62*  -2?1\n  \
                        dq  bob  [2J       0        0\n";
        assert_eq!(text(rows().iter(), &labels), expected);
        let expected = "rank\tname\tsolved\tpenalty\tA\tB\n1\tada\t1\t102\t+2/62*\t-2?1\n\
                        dq\tbob  [2J\t0\t0\t\t\n";
        assert_eq!(tsv(&rows(), &labels), expected);
        assert_eq!(line(&rows()[0]), "1\tada\t1\t102\tA=+2/62*\tB=-2?1");
        assert_eq!(text([].iter(), &[]), "rank  name  solved  penalty\n");
    }
}
