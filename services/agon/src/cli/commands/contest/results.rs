//! `agon contest results`

use std::process::ExitCode;

use proto::challenge::{
    Contest, ContestState, GetStandingsRequest, StandingsCell, StandingsRow, StandingsView,
};
use serde_json::{Value, json};

use super::{Client, table};
use crate::cli::arguments::{ContestResults, TableFormat};
use crate::cli::client;
use crate::cli::output;
use crate::failure::Failure;

const PAGE_SIZE: i32 = 200;

pub async fn run(arguments: ContestResults) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::maybe_signed_in(&arguments.remote).await?);
    let contest = super::get(&mut client, &arguments.contest).await?;
    let (labels, rows, frozen) = standings(&client, &contest.contest_id, arguments.jury).await?;
    match arguments.format {
        TableFormat::Text => output::print(table::text(rows.iter(), &labels)),
        TableFormat::Tsv => output::print(table::tsv(&rows, &labels)),
        TableFormat::Json => print_line!("{:#}", as_json(&contest, &labels, &rows)),
    }
    if frozen {
        eprintln!("The standings are frozen.");
    }
    if contest.state() != ContestState::Finalized {
        eprintln!("The results are not final.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The labels, all rows, and whether the freeze hides results.
async fn standings(
    client: &Client,
    contest_id: &str,
    jury: bool,
) -> Result<(Vec<String>, Vec<StandingsRow>, bool), Failure> {
    let (mut rows, mut page_token): (Vec<StandingsRow>, _) = (Vec::new(), String::new());
    loop {
        let request = GetStandingsRequest {
            contest_id: contest_id.to_owned(),
            view: view(jury).into(),
            page_size: PAGE_SIZE,
            page_token,
            ..Default::default()
        };
        let page = client.clone().get_standings(request).await?.into_inner();
        rows.extend(page.rows);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok((page.labels, rows, page.frozen));
        }
    }
}

pub fn view(jury: bool) -> StandingsView {
    if jury { StandingsView::Jury } else { StandingsView::Public }
}

fn as_json(contest: &Contest, labels: &[String], rows: &[StandingsRow]) -> Value {
    let state = contest.state().as_str_name().trim_start_matches("CONTEST_STATE_").to_lowercase();
    json!({
        "contest_id": contest.contest_id,
        "slug": contest.slug,
        "title": contest.title,
        "state": state,
        "labels": labels,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &StandingsRow) -> Value {
    json!({
        "rank": (row.rank > 0).then_some(row.rank),
        "participant_id": row.participant_id,
        "name": row.name,
        "solved": row.solved_count,
        "penalty": row.penalty_minutes,
        "last_accepted_minute": row.last_accepted_minute,
        "unofficial": row.unofficial,
        "disqualified": row.disqualified,
        "problems": row.cells.iter().map(cell).collect::<Vec<_>>(),
    })
}

fn cell(cell: &StandingsCell) -> Value {
    json!({
        "label": cell.label,
        "solved": cell.solved,
        "first": cell.first,
        "attempts": cell.attempt_count,
        "pending": cell.pending_count,
        "minute": cell.solved.then_some(cell.solve_minute),
        "penalty": cell.penalty_minutes,
    })
}
