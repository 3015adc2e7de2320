//! The results of a contest as files. Pure: each format is a head, one text for each row, and a tail.

use std::fmt::Write as _;

use serde_json::json;
use uuid::Uuid;

use crate::awards::Honour;
use crate::standings::{Line, Standing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Tsv,
    Csv,
    Json,
    Html,
}

/// What the whole file is about.
#[derive(Clone, Debug)]
pub struct Head {
    pub contest_id: Uuid,
    pub title: String,
    /// Whether the results can still change.
    pub provisional: bool,
    /// Label, id and name of the first participant to solve each problem.
    pub firsts: Vec<(String, Uuid, String)>,
}

/// A participant.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub line: Line,
    pub honour: Option<Honour>,
    pub name: &'a str,
}

impl Row<'_> {
    fn rank(&self) -> String {
        self.line.rank.map(|rank| rank.to_string()).unwrap_or_default()
    }

    /// The third field of `results.tsv`; empty for participants without a rank.
    fn award(&self) -> &'static str {
        match self.honour {
            Some(Honour::Medal(medal)) => medal.title(),
            Some(Honour::Ranked) => "Ranked",
            Some(Honour::Honorable) => "Honorable",
            None => "",
        }
    }

    fn standing(&self) -> &'static str {
        match self.line.standing {
            Standing::Ranked => "official",
            Standing::Unofficial => "unofficial",
            Standing::Disqualified => "disqualified",
        }
    }
}

fn status(head: &Head) -> &'static str {
    if head.provisional { "provisional" } else { "final" }
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Tsv => "text/tab-separated-values; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    pub fn head(self, head: &Head) -> String {
        match self {
            Self::Tsv if head.provisional => "results\t1\tPROVISIONAL\n".into(),
            Self::Tsv => "results\t1\n".into(),
            Self::Csv => {
                let columns = "rank,participant_id,name,standing,award,solved,penalty_minutes";
                format!("{columns},last_accepted_minute,status\r\n")
            }
            Self::Json => json_head(head),
            Self::Html => html_head(head),
        }
    }

    /// `first` is true for the first row of the file.
    pub fn row(self, head: &Head, row: &Row<'_>, first: bool) -> String {
        match self {
            Self::Tsv => tsv_row(row),
            Self::Csv => csv_row(head, row),
            Self::Json => json_row(row, first),
            Self::Html => html_row(row),
        }
    }

    pub fn tail(self, head: &Head) -> String {
        match self {
            Self::Tsv | Self::Csv => String::new(),
            Self::Json => "\n]}\n".into(),
            Self::Html => html_tail(head),
        }
    }
}

fn tsv_row(row: &Row<'_>) -> String {
    let Some(honour) = row.honour else { return String::new() };
    let rank = if honour == Honour::Honorable { String::new() } else { row.rank() };
    let Line { participant, score, .. } = row.line;
    let award = row.award();
    format!(
        "{participant}\t{rank}\t{award}\t{}\t{}\t{}\t\n",
        score.points, score.penalty, score.last
    )
}

fn csv_row(head: &Head, row: &Row<'_>) -> String {
    let Line { participant, score, .. } = row.line;
    let (rank, name) = (row.rank(), csv_text(row.name));
    let (standing, award, status) = (row.standing(), row.award(), status(head));
    let numbers = format!("{},{},{}", score.points, score.penalty, score.last);
    format!("{rank},{participant},{name},{standing},{award},{numbers},{status}\r\n")
}

/// A quoted field. Spreadsheets would compute a text that starts like a formula.
fn csv_text(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if is_formula { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

fn json_head(head: &Head) -> String {
    let firsts = head.firsts.iter().map(|(label, id, name)| {
        json!({ "label": label, "participantId": id.to_string(), "name": name })
    });
    let firsts: Vec<_> = firsts.collect();
    let (contest_id, title) = (head.contest_id.to_string(), json!(head.title));
    format!(
        "{{\"contestId\":\"{contest_id}\",\"title\":{title},\"status\":\"{}\",\"firstToSolve\":{},\"results\":[",
        status(head),
        json!(firsts)
    )
}

fn json_row(row: &Row<'_>, first: bool) -> String {
    let Line { participant, rank, score, .. } = row.line;
    let value = json!({
        "rank": rank,
        "participantId": participant.to_string(),
        "name": row.name,
        "standing": row.standing(),
        "award": row.award(),
        "solved": score.points,
        "penaltyMinutes": score.penalty,
        "lastAcceptedMinute": score.last,
    });
    format!("{}{value}", if first { "\n" } else { ",\n" })
}

fn html_head(head: &Head) -> String {
    let title = html_text(&head.title);
    let mark = match head.provisional {
        true => "<p><strong>Provisional: these results are not final.</strong></p>\n",
        false => "<p>Final results.</p>\n",
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}: results</title>\n\
         </head>\n<body>\n<h1>{title}</h1>\n{mark}<table>\n<thead><tr><th>Rank</th><th>Name</th><th>Award</th>\
         <th>Solved</th><th>Penalty</th><th>Last accepted</th></tr></thead>\n<tbody>\n"
    )
}

fn html_row(row: &Row<'_>) -> String {
    let score = row.line.score;
    let award = match row.line.standing {
        Standing::Ranked => row.award(),
        _ => row.standing(),
    };
    format!(
        "<tr><td>{}</td><td>{}</td><td>{award}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        row.rank(),
        html_text(row.name),
        score.points,
        score.penalty,
        score.last
    )
}

fn html_tail(head: &Head) -> String {
    let mut tail = "</tbody>\n</table>\n".to_owned();
    if !head.firsts.is_empty() {
        tail.push_str("<h2>First to solve</h2>\n<ul>\n");
        for (label, _, name) in &head.firsts {
            // Writing to a String cannot fail.
            let _ = writeln!(tail, "<li>{}: {}</li>", html_text(label), html_text(name));
        }
        tail.push_str("</ul>\n");
    }
    tail.push_str("</body>\n</html>\n");
    tail
}

fn html_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
