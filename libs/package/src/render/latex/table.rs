//! `tabular`: rows end at `\\` and cells at `&`, outside of groups, formulas and nested environments.

use std::collections::BTreeMap;

use super::{Flow, Renderer};

impl<'t> Renderer<'t, '_, '_> {
    /// Renders a table after its column specification.
    pub(super) fn table(&mut self, flow: &mut Flow) -> Result<(), String> {
        let body = self.table_body();
        let mut html = String::from("<table><tbody>");
        // Columns covered by a cell of a row above, with the number of rows left.
        let mut covered: BTreeMap<u16, u16> = BTreeMap::new();
        for row in rows(body) {
            let mut cells = Vec::new();
            for cell in &row {
                self.shared.span = (1, 1);
                let inner = self.inner(cell)?.trim().to_owned();
                cells.push((inner, self.shared.span));
            }
            if matches!(cells.as_slice(), [(only, _)] if only.is_empty()) {
                continue;
            }
            html.push_str("<tr>");
            let mut column: u16 = 0;
            for (inner, (columns, rows)) in cells {
                let above = covered.get(&column).copied().unwrap_or(0);
                if above > 0 {
                    covered.insert(column, above - 1);
                }
                // A covered cell is empty in LaTeX and absent in HTML.
                if above == 0 || !inner.is_empty() {
                    html.push_str(&format!("<td{}>{inner}</td>", spans(columns, rows)));
                }
                if rows > 1 {
                    covered.insert(column, rows - 1);
                }
                column = column.saturating_add(columns);
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table>\n");
        flow.block(&html);
        Ok(())
    }

    /// A cell that spans columns or rows: records the span and returns the text.
    pub(super) fn spanning(&mut self, name: &str) -> Result<String, String> {
        self.skip_option();
        let count = self.raw_token().trim().parse().unwrap_or(1).clamp(1, 100);
        self.skip_option();
        self.raw_token();
        self.skip_option();
        let cell = self.argument()?;
        let (columns, rows) = self.shared.span;
        self.shared.span = if name == "multirow" { (columns, count) } else { (count, rows) };
        Ok(cell)
    }

    /// Consumes up to the matching `\end`.
    fn table_body(&mut self) -> &'t str {
        let rest = self.rest();
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(found) = rest[at..].find("{tabular") {
            let start = at + found;
            at = start + "{tabular".len();
            if rest[..start].ends_with("\\begin") {
                depth += 1;
            } else if rest[..start].ends_with("\\end") {
                if depth == 0 {
                    let close = rest[at..].find('}').map_or(rest.len(), |close| at + close + 1);
                    self.at += close;
                    return &rest[..start - "\\end".len()];
                }
                depth -= 1;
            }
        }
        self.at += rest.len();
        rest
    }
}

fn spans(columns: u16, rows: u16) -> String {
    let one = |name: &str, count: u16| match count {
        0 | 1 => String::new(),
        count => format!(" {name}=\"{count}\""),
    };
    one("colspan", columns) + &one("rowspan", rows)
}

/// Open constructs at a position of the table body.
#[derive(Default)]
struct Nesting {
    braces: usize,
    environments: usize,
    math: bool,
}

impl Nesting {
    fn is_open(&self) -> bool {
        self.braces > 0 || self.environments > 0 || self.math
    }
}

fn rows(body: &str) -> Vec<Vec<&str>> {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let (mut start, mut at) = (0, 0);
    let mut nesting = Nesting::default();
    while let Some(found) = body[at..].find(['\\', '&', '{', '}', '$', '%']) {
        let special = at + found;
        let rest = &body[special + 1..];
        at = special + 1;
        match body.as_bytes()[special] {
            b'{' => nesting.braces += 1,
            b'}' => nesting.braces = nesting.braces.saturating_sub(1),
            // Dollars in braces belong to `\text`.
            b'$' if nesting.braces == 0 => nesting.math = !nesting.math,
            b'%' => at += rest.find('\n').unwrap_or(rest.len()),
            b'&' if !nesting.is_open() => {
                row.push(&body[start..special]);
                start = at;
            }
            b'\\' if rest.starts_with('\\') && !nesting.is_open() => {
                row.push(&body[start..special]);
                rows.push(std::mem::take(&mut row));
                at += 1 + after_row(&rest[1..]);
                start = at;
            }
            b'\\' => at += command(rest, &mut nesting),
            _ => {}
        }
    }
    row.push(&body[start..]);
    rows.push(row);
    rows
}

/// Bytes after `\\` that belong to the end of the row: a star and a length in brackets.
fn after_row(rest: &str) -> usize {
    let star = usize::from(rest.starts_with('*'));
    let spaces = rest[star..].len() - rest[star..].trim_start_matches([' ', '\t']).len();
    let option = rest[star + spaces..].strip_prefix('[').and_then(|option| option.find(']'));
    option.map_or(star, |length| star + spaces + length + 2)
}

/// Bytes after the backslash that belong to a command: its name and literal text.
fn command(rest: &str, nesting: &mut Nesting) -> usize {
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let tail = &rest[letters..];
    match &rest[..letters] {
        "begin" => nesting.environments += 1,
        "end" => nesting.environments = nesting.environments.saturating_sub(1),
        "verb" => {
            let mark = tail.chars().next();
            let Some(mark) = mark else { return letters };
            let code = &tail[mark.len_utf8()..];
            let end = code.find(mark).map_or(code.len(), |end| end + mark.len_utf8());
            return letters + mark.len_utf8() + end;
        }
        "" => {
            let c = tail.chars().next();
            match c {
                Some('(') => nesting.math = true,
                Some(')') => nesting.math = false,
                _ => {}
            }
            return c.map_or(0, char::len_utf8);
        }
        _ => {}
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_split_outside_of_groups() {
        let check = |body: &str, expected: &[&[&str]]| assert_eq!(rows(body), expected, "{body}");
        check("a&b\\\\c&d", &[&["a", "b"], &["c", "d"]]);
        check("a\\\\[2pt]b\\\\*c", &[&["a"], &["b"], &["c"]]);
        check("{a&b}&$c&d$&\\&", &[&["{a&b}", "$c&d$", "\\&"]]);
        check("\\verb|a&b\\\\|&c", &[&["\\verb|a&b\\\\|", "c"]]);
        check("\\begin{x}a&b\\\\c\\end{x}&d", &[&["\\begin{x}a&b\\\\c\\end{x}", "d"]]);
        check("\\(a&b\\)&c%&d\n&e", &[&["\\(a&b\\)", "c%&d\n", "e"]]);
        check("\\$&\\{&\\", &[&["\\$", "\\{", "\\"]]);
    }
}
