//! `agon contest standings`

use std::collections::HashMap;
use std::io::{IsTerminal as _, stdout};
use std::process::ExitCode;

use proto::challenge::{
    Contest, ContestState, GetStandingsRequest, StandingsRow, WatchStandingsRequest,
    WatchStandingsResponse,
};
use rustix::termios::tcgetwinsize;
use tonic::Status;

use super::results::view;
use super::{Client, table};
use crate::cli::arguments::ContestStandings;
use crate::cli::client;
use crate::cli::output;
use crate::failure::Failure;

/// Moves the cursor to the upper left corner, and clears the screen.
const CLEAR: &str = "\x1b[H\x1b[J";
/// Lines of the screen that are not rows: title, header, footer, cursor.
const OTHER_LINES: usize = 4;

pub async fn run(arguments: ContestStandings) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::maybe_signed_in(&arguments.remote).await?);
    let contest = super::get(&mut client, &arguments.contest).await?;
    let contest_id = contest.contest_id.clone();
    let view = view(arguments.jury).into();
    // A refusal is final here, while a broken stream is opened again.
    let probe = GetStandingsRequest {
        contest_id: contest_id.clone(),
        view,
        page_size: 1,
        ..GetStandingsRequest::default()
    };
    client.get_standings(probe).await?;
    let watch = async || {
        let request = WatchStandingsRequest {
            contest_id: contest_id.clone(),
            view,
            page_size: arguments.rows,
        };
        Ok::<_, Status>(client.clone().watch_standings(request).await?.into_inner())
    };
    let mut shown = Shown::new(&contest);
    let terminal = stdout().is_terminal();
    let show = |update: &WatchStandingsResponse| {
        let changed = shown.apply(update);
        match terminal {
            true => output::print(format!("{CLEAR}{}", shown.screen(height(), width()))),
            false => changed.iter().for_each(|row| print_line!("{}", table::line(row))),
        }
    };
    client::follow(WatchStandingsResponse::default(), is_final, watch, show).await?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing changes any more.
fn is_final(update: &WatchStandingsResponse) -> bool {
    match update.state() {
        ContestState::Canceled => true,
        ContestState::Finalized => !update.frozen,
        _ => false,
    }
}

fn height() -> usize {
    tcgetwinsize(stdout()).map_or(24, |size| usize::from(size.ws_row))
}

fn width() -> usize {
    tcgetwinsize(stdout()).map_or(80, |size| usize::from(size.ws_col))
}

/// The watched rows.
struct Shown {
    title: String,
    rows: HashMap<String, StandingsRow>,
    last: WatchStandingsResponse,
}

impl Shown {
    fn new(contest: &Contest) -> Self {
        let title = table::printable(&contest.title);
        Self { title, rows: HashMap::new(), last: WatchStandingsResponse::default() }
    }

    /// Applies a message and returns the rows that differ from those before.
    fn apply<'a>(&mut self, update: &'a WatchStandingsResponse) -> Vec<&'a StandingsRow> {
        let differs = |row: &&StandingsRow| self.rows.get(&row.participant_id) != Some(row);
        let changed: Vec<_> = update.rows.iter().filter(differs).collect();
        for row in &update.rows {
            self.rows.insert(row.participant_id.clone(), row.clone());
        }
        self.rows.retain(|id, _| update.participant_ids.contains(id));
        self.last = WatchStandingsResponse { rows: Vec::new(), ..update.clone() };
        changed
    }

    /// The lines that fit on a screen.
    fn screen(&self, height: usize, width: usize) -> String {
        let state = self.last.state().as_str_name().trim_start_matches("CONTEST_STATE_");
        let frozen = if self.last.frozen { ", standings frozen" } else { "" };
        let room = height.saturating_sub(OTHER_LINES).max(1);
        let rows = self.last.participant_ids.iter().filter_map(|id| self.rows.get(id)).take(room);
        let count = rows.clone().count();
        let text = format!(
            "{}: {}{frozen}\n{}{count} of {}\n",
            self.title,
            state.to_lowercase(),
            table::text(rows, &self.last.labels),
            output::counted(self.last.row_count, "participant"),
        );
        let cut = |line: &str| line.chars().take(width.max(1)).chain(['\n']).collect::<String>();
        text.lines().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(names: &[&str], changed: &[(&str, i32)]) -> WatchStandingsResponse {
        let rows = changed.iter().map(|(name, solved_count)| StandingsRow {
            participant_id: (*name).into(),
            name: (*name).into(),
            solved_count: *solved_count,
            ..StandingsRow::default()
        });
        WatchStandingsResponse {
            rows: rows.collect(),
            participant_ids: names.iter().map(|name| (*name).to_owned()).collect(),
            row_count: 2,
            state: ContestState::Frozen.into(),
            frozen: true,
            ..WatchStandingsResponse::default()
        }
    }

    #[test]
    fn screen_follows_the_changes() {
        let mut shown = Shown::new(&Contest { title: "Cup".into(), ..Contest::default() });
        assert_eq!(shown.apply(&update(&["ada", "bob"], &[("ada", 0), ("bob", 0)])).len(), 2);
        assert_eq!(shown.apply(&update(&["bob", "ada"], &[("bob", 1)])).len(), 1);
        // A stream that is opened again starts with all rows.
        let again = update(&["bob", "ada"], &[("bob", 1), ("ada", 0)]);
        assert!(shown.apply(&again).is_empty());
        let expected = "Cup: frozen, standings frozen\nrank  name  solved  penalty\n   \
                        -  bob        1        0\n   -  ada        0        0\n2 of 2 participants\n";
        assert_eq!(shown.screen(24, 80), expected);
        assert_eq!(shown.screen(5, 10).lines().count(), 4);
        assert!(!is_final(&again));
    }
}
