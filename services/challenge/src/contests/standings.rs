//! Pages of the standings.

use std::collections::HashMap;

use proto::challenge as pb;
use rpc::page::page_size;
use service::Page;
use uuid::Uuid;

use super::viewer::Viewer;
use super::wire;
use crate::Challenge;
use crate::contest::origin::Origin;
use crate::contest::{Contest, Participant};
use crate::error::Error;
use crate::format::{Cell, Score};
use crate::shared::Shared;
use crate::standings::{Board, Cursor, Filter, Part, Row, Standing, View};
use crate::store;

/// A cursor in a page token: standing, points, penalty, last improvement, participant.
type Position = (u8, i64, i64, i64, Uuid);

const MINUTE_US: i64 = 60_000_000;

/// Which participants, and until when.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    filter: Filter,
    /// Contest time, without removed intervals.
    until_us: Option<i64>,
}

/// The first rows of the standings, with what else a page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub rows: Vec<Shared<pb::StandingsRow>>,
    pub labels: Vec<String>,
    pub row_count: i32,
    pub frozen: bool,
    pub state: pb::ContestState,
}

impl Snapshot {
    /// Makes the rows that are equal to earlier ones the same.
    fn reuse(&mut self, earlier: &Self) {
        let earlier: HashMap<&str, _> =
            earlier.rows.iter().map(|row| (row.participant_id.as_str(), row)).collect();
        for row in &mut self.rows {
            let known = earlier.get(row.participant_id.as_str()).filter(|known| **known == row);
            if let Some(known) = known {
                *row = (*known).clone();
            }
        }
    }
}

impl Challenge {
    pub async fn standings(
        &self,
        viewer: &Viewer,
        request: &pb::GetStandingsRequest,
    ) -> Result<pb::GetStandingsResponse, Error> {
        let (contest, view) =
            self.contest_for_standings(viewer, &request.contest_id, request.view).await?;
        let choice = self.choice(&contest, request)?;
        let content = format!("{choice:?}");
        let jury = [u8::from(view == View::Jury)];
        let args = [contest.id.as_bytes().as_slice(), &jury, content.as_bytes()];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Position> =
            Page::open(&self.page_key, "GetStandings", &args, size, token)?;
        let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
        let after = page.after.map(cursor);
        let after = after.as_ref();
        let mut snapshot = self.snapshot(&contest, view, &choice, after, limit).await?;
        let (rows, next_page_token) =
            page.close(std::mem::take(&mut snapshot.1), |last| position(&last.cursor()));
        snapshot.0.rows.truncate(rows.len());
        let Snapshot { rows, labels, row_count, frozen, .. } = snapshot.0;
        let rows = rows.into_iter().map(Shared::into_inner).collect();
        Ok(pb::GetStandingsResponse { rows, labels, row_count, frozen, next_page_token })
    }

    /// What the request asks for, if it is allowed now.
    fn choice(
        &self,
        contest: &Contest,
        request: &pb::GetStandingsRequest,
    ) -> Result<Choice, Error> {
        let (group, country) = (request.group.as_str(), request.country.as_str());
        let origin = Origin::new("", country, group);
        origin.map_err(|(field, what)| Error::invalid(field, what))?;
        let wanted = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let filter = Filter { group: wanted(group), country: wanted(country) };
        let Some(minute) = request.at_minute else { return Ok(Choice { filter, until_us: None }) };
        let duration = contest.ends_at - contest.starts_at;
        // A minute that has begun counts.
        let last = (duration.num_seconds() + 59) / 60;
        if !(0..=last).contains(&i64::from(minute)) {
            let text = format!("must be between 0 and {last}, got {minute}");
            return Err(Error::invalid("at_minute", text));
        }
        if !contest.has_ended(self.clock.now()) {
            let text = "earlier standings can be read after the end of the contest";
            return Err(Error::precondition("CONTEST_NOT_ENDED", text));
        }
        Ok(Choice { filter, until_us: Some(i64::from(minute) * MINUTE_US) })
    }

    /// The contest, and the view if the viewer may have it.
    pub(super) async fn contest_for_standings(
        &self,
        viewer: &Viewer,
        name: &str,
        view: i32,
    ) -> Result<(Contest, View), Error> {
        let view = match pb::StandingsView::try_from(view) {
            Ok(pb::StandingsView::Unspecified | pb::StandingsView::Public) => View::Public,
            Ok(pb::StandingsView::Jury) => View::Jury,
            Err(_) => {
                let text = "must be a value of the enum StandingsView";
                return Err(Error::invalid("view", text));
            }
        };
        let contest = self.contest(viewer, name).await?;
        if view == View::Jury && !self.judges(viewer, &contest).await? {
            return Err(Error::NotJury);
        }
        Ok((contest, view))
    }

    /// The first rows, as of a moment after this call, for watchers.
    pub(super) async fn watched(
        &self,
        contest: Uuid,
        view: View,
        limit: usize,
    ) -> Result<Shared<Snapshot>, Error> {
        let read = |earlier: Option<Shared<Snapshot>>| async move {
            let contest = self.reload(contest).await?;
            let all = Choice::default();
            let (mut snapshot, _) = self.snapshot(&contest, view, &all, None, limit).await?;
            if let Some(earlier) = earlier {
                snapshot.reuse(&earlier);
            }
            Ok(snapshot)
        };
        self.watched.standings.get((contest, view, limit), read).await
    }

    /// Up to `limit` rows after a cursor, as messages and as rows.
    pub(super) async fn snapshot(
        &self,
        contest: &Contest,
        view: View,
        choice: &Choice,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Snapshot, Vec<Row>), Error> {
        let (Part { rows, count }, firsts) = {
            let mut current = self.boards.current(&self.db, contest.id).await?;
            let (board, past) = current.board_at(view, choice.until_us);
            (board.part(view, past, &choice.filter, after, limit), firsts(board, view))
        };
        let ids = rows.iter().map(|row| row.participant).collect();
        let participants = store::participants::by_ids(&self.db, ids).await?;
        let participants: HashMap<Uuid, Participant> =
            participants.into_iter().map(|it| (it.id, it)).collect();
        let now = self.clock.now();
        let shows_problems = view == View::Jury || contest.has_started(now);
        let labels = contest.problems.iter().filter(|_| shows_problems);
        let frozen = contest.thawed_at.is_none() && contest.freezes_at.is_some_and(|at| now >= at);
        let shown = rows.iter().map(|row| {
            Shared::new(shown(row, contest, participants.get(&row.participant), &firsts))
        });
        let snapshot = Snapshot {
            rows: shown.collect(),
            labels: labels.map(|problem| problem.label.clone()).collect(),
            row_count: i32::try_from(count).unwrap_or(i32::MAX),
            frozen: frozen && view == View::Public,
            state: wire::state(contest.state(now)),
        };
        Ok((snapshot, rows))
    }
}

/// The size of a watched page.
pub fn watched_rows(size: i32) -> Result<usize, Error> {
    let size = page_size(size, 50, 200)?;
    Ok(usize::try_from(size).unwrap_or_default())
}

/// The participant who solved each problem first.
pub(super) fn firsts(board: &Board, view: View) -> HashMap<Uuid, Uuid> {
    let problems = board.rules().problems.iter();
    let first = |problem: &Uuid| {
        board.first_to_solve(view, *problem).map(|first| (*problem, first.participant))
    };
    problems.filter_map(first).collect()
}

pub(crate) fn shown(
    row: &Row,
    contest: &Contest,
    participant: Option<&Participant>,
    firsts: &HashMap<Uuid, Uuid>,
) -> pb::StandingsRow {
    let clamp = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    let cell = |(problem, cell): &(Uuid, Cell)| {
        let label = contest.problems.iter().find(|it| it.problem_id == *problem)?.label.clone();
        Some(pb::StandingsCell {
            label,
            solved: cell.solved,
            first: cell.solved && firsts.get(problem) == Some(&row.participant),
            attempt_count: i32::try_from(cell.tries).unwrap_or(i32::MAX),
            pending_count: i32::try_from(cell.pending).unwrap_or(i32::MAX),
            solve_minute: cell.at_us.map_or(0, |at| clamp(at.div_euclid(60_000_000))),
            penalty_minutes: clamp(cell.penalty),
        })
    };
    pb::StandingsRow {
        participant_id: row.participant.to_string(),
        user_id: participant.map(|it| it.user_id.to_string()).unwrap_or_default(),
        name: participant.map(|it| it.name.clone()).unwrap_or_default(),
        rank: row.rank.and_then(|rank| i32::try_from(rank).ok()).unwrap_or_default(),
        solved_count: clamp(row.score.points),
        penalty_minutes: clamp(row.score.penalty),
        last_accepted_minute: clamp(row.score.last),
        cells: row.cells.iter().filter_map(cell).collect(),
        unofficial: row.standing == Standing::Unofficial,
        disqualified: row.standing == Standing::Disqualified,
        team_id: participant.and_then(|it| it.team_id).map(|id| id.to_string()).unwrap_or_default(),
        organization: participant.map(|it| it.organization.clone()).unwrap_or_default(),
        country: participant.map(|it| it.country.clone()).unwrap_or_default(),
        group: participant.map(|it| it.group.clone()).unwrap_or_default(),
    }
}

fn position(cursor: &Cursor) -> Position {
    let standing = match cursor.standing {
        Standing::Ranked => 0,
        Standing::Unofficial => 1,
        Standing::Disqualified => 2,
    };
    let Score { points, penalty, last } = cursor.score;
    (standing, points, penalty, last, cursor.participant)
}

fn cursor((standing, points, penalty, last, participant): Position) -> Cursor {
    let standing = match standing {
        0 => Standing::Ranked,
        1 => Standing::Unofficial,
        _ => Standing::Disqualified,
    };
    Cursor { standing, score: Score { points, penalty, last }, participant }
}
