//! The use cases of balloons.

use std::collections::HashMap;

use access::Caller;
use chrono::DateTime;
use db::TxGuard;
use futures_util::stream::StreamExt as _;
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, Watched, check_request_id};
use uuid::Uuid;

use super::sent::Sent;
use super::standings::{firsts, watched_rows};
use super::viewer::Viewer;
use super::watch::{Updates, is_final};
use super::{channel, wire};
use crate::Challenge;
use crate::contest::Contest;
use crate::error::Error;
use crate::standings::View;
use crate::store;
use crate::store::balloons::{Balloon, Filter};
use crate::wire::{duration_us, timestamp};
use proto::Verdict;

impl Challenge {
    pub async fn list_balloons(
        &self,
        viewer: &Viewer,
        request: &pb::ListBalloonsRequest,
    ) -> Result<pb::ListBalloonsResponse, Error> {
        let contest = self.jury_contest(viewer, &request.contest_id).await?;
        let flags = [u8::from(request.undelivered), u8::from(request.include_frozen)];
        let args = [contest.id.as_bytes().as_slice(), &flags];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, (i64, Uuid)> =
            Page::open(&self.page_key, "ListBalloons", &args, size, token)?;
        let board = self.balloon_board(contest.id).await?;
        let filter = board.filter(&contest, request.undelivered, request.include_frozen);
        let after = page.after.map(|(judged, id)| {
            (DateTime::from_timestamp_micros(judged).unwrap_or(DateTime::UNIX_EPOCH), id)
        });
        let rows = store::balloons::list(&self.db, filter, after, page.limit()).await?;
        let (rows, next_page_token) =
            page.close(rows, |last| (last.judged_at.timestamp_micros(), last.submission_id));
        let balloons = self.shown_balloons(&contest, &board, &rows).await?;
        Ok(pb::ListBalloonsResponse { balloons, next_page_token })
    }

    /// Records that a balloon was delivered or not, once per request id.
    pub async fn mark_balloon(
        &self,
        caller: &Caller,
        request: &pb::MarkBalloonDeliveredRequest,
    ) -> Result<pb::MarkBalloonDeliveredResponse, Error> {
        let user = caller.user()?.id;
        let pb::MarkBalloonDeliveredRequest { contest_id, submission_id, restore, request_id } =
            request;
        let mut violations = Violations::default();
        let id = ids::parse(submission_id);
        violations.check(id.is_some(), "submission_id", "must be an id (a UUID)");
        check_request_id(&mut violations, request_id);
        violations.into_result()?;
        let id = id.unwrap_or_default();
        let contest = self.jury_contest(&Viewer::of(caller), contest_id).await?;
        let content = [contest.id.as_bytes().as_slice(), id.as_bytes(), &[u8::from(*restore)]];
        let once = Idempotent::new(user, "MarkBalloonDelivered", request_id, &content);
        let board = self.balloon_board(contest.id).await?;
        let (contest, board) = (&contest, &board);
        let mark = |mut tx: TxGuard| async move {
            let submission = store::submissions::find(&mut *tx, id).await?;
            let submission = submission.ok_or(Error::BalloonNotFound)?;
            let place = submission.place.filter(|it| it.challenge_id == contest.id && !it.ignored);
            let accepted =
                submission.outcome.as_ref().is_some_and(|it| it.verdict == Verdict::Accepted);
            let place = place.filter(|_| accepted).ok_or(Error::BalloonNotFound)?;
            let (participant, problem) = (place.participant_id, submission.problem_id);
            let now = tx.now();
            match restore {
                true => store::balloons::restore(&mut tx, participant, problem).await?,
                false => store::balloons::deliver(&mut tx, participant, problem, now, user).await?,
            }
            let balloon = store::balloons::find(&mut *tx, participant, problem).await?;
            let balloon = balloon.ok_or(Error::BalloonNotFound)?;
            let participants = store::participants::by_ids(&mut *tx, vec![participant]).await?;
            let name = participants.first().map(|it| it.name.as_str()).unwrap_or_default();
            self.notify_contest(&mut tx, contest.id);
            let balloon = Some(shown(&balloon, contest, board, name));
            Ok(pb::MarkBalloonDeliveredResponse { balloon })
        };
        once.run(&self.db, mark).await
    }

    /// The first balloons that are not delivered, then those that change.
    pub async fn watch_balloons(
        &self,
        viewer: &Viewer,
        request: &pb::WatchBalloonsRequest,
    ) -> Result<Updates<pb::WatchBalloonsResponse>, Error> {
        let limit = i64::try_from(watched_rows(request.page_size)?).unwrap_or_default();
        let id = self.jury_contest(viewer, &request.contest_id).await?.id;
        let watched = WatchedBalloons {
            challenge: self.clone(),
            id,
            include_frozen: request.include_frozen,
            limit,
            snapshot: Snapshot::default(),
        };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        let snapshots =
            service::watch(&self.cache, &channel(id), refresh, shutdown, watched).await?;
        let mut sent = Sent::new();
        let update = move |snapshot: Result<Snapshot, Error>| {
            let update = sent.update(snapshot?.balloons, |it| &it.submission_id);
            Ok(pb::WatchBalloonsResponse {
                sequence: update.sequence,
                balloons: update.changed,
                submission_ids: update.ids,
            })
        };
        Ok(snapshots.map(update).boxed())
    }

    async fn balloon_board(&self, contest: Uuid) -> Result<BalloonBoard, Error> {
        let mut current = self.boards.current(&self.db, contest).await?;
        let board = current.board();
        Ok(BalloonBoard { frozen_from: board.frozen_from(), firsts: firsts(board, View::Jury) })
    }

    async fn shown_balloons(
        &self,
        contest: &Contest,
        board: &BalloonBoard,
        rows: &[Balloon],
    ) -> Result<Vec<pb::Balloon>, Error> {
        let mut ids: Vec<Uuid> = rows.iter().map(|row| row.participant_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let participants = store::participants::by_ids(&self.db, ids).await?;
        let names: HashMap<Uuid, &str> =
            participants.iter().map(|it| (it.id, it.name.as_str())).collect();
        let name = |row: &Balloon| names.get(&row.participant_id).copied().unwrap_or_default();
        Ok(rows.iter().map(|row| shown(row, contest, board, name(row))).collect())
    }
}

/// What balloons read from the standings of the jury.
struct BalloonBoard {
    /// The contest time from which the public does not see verdicts, in microseconds.
    frozen_from: Option<i64>,
    /// The first participant to solve each problem.
    firsts: HashMap<Uuid, Uuid>,
}

impl BalloonBoard {
    fn filter(&self, contest: &Contest, undelivered: bool, include_frozen: bool) -> Filter {
        let before_us = self.frozen_from.filter(|_| !include_frozen);
        Filter { contest: contest.id, undelivered, before_us }
    }
}

fn shown(balloon: &Balloon, contest: &Contest, board: &BalloonBoard, name: &str) -> pb::Balloon {
    let problem = contest.problems.iter().find(|it| it.problem_id == balloon.problem_id);
    let time_us = balloon.contest_time_us;
    let delivered_by = balloon.delivered_by.map(|id| id.to_string());
    pb::Balloon {
        submission_id: balloon.submission_id.to_string(),
        participant_id: balloon.participant_id.to_string(),
        participant_name: name.to_owned(),
        label: problem.map(|it| it.label.clone()).unwrap_or_default(),
        color: problem.map(|it| it.color.clone()).unwrap_or_default(),
        first: board.firsts.get(&balloon.problem_id) == Some(&balloon.participant_id),
        frozen: board.frozen_from.is_some_and(|from| time_us >= from),
        contest_time: Some(duration_us(time_us)),
        judge_time: Some(timestamp(balloon.judged_at)),
        deliver_time: balloon.delivered_at.map(timestamp),
        deliver_user_id: delivered_by.unwrap_or_default(),
    }
}

pub struct WatchedBalloons {
    challenge: Challenge,
    id: Uuid,
    include_frozen: bool,
    limit: i64,
    snapshot: Snapshot,
}

#[derive(Clone, Default, PartialEq)]
pub struct Snapshot {
    balloons: Vec<pb::Balloon>,
    done: bool,
}

impl Watched for WatchedBalloons {
    type View = Snapshot;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let challenge = &self.challenge;
        let contest = challenge.reload(self.id).await?;
        let board = challenge.balloon_board(self.id).await?;
        let filter = board.filter(&contest, true, self.include_frozen);
        let rows = store::balloons::list(&challenge.db, filter, None, self.limit).await?;
        let balloons = challenge.shown_balloons(&contest, &board, &rows).await?;
        let state = wire::state(contest.state(challenge.clock.now()));
        let done = is_final(state, board.frozen_from.is_some());
        self.snapshot = Snapshot { balloons, done };
        Ok(())
    }

    fn view(&self) -> Result<Snapshot, Error> {
        Ok(self.snapshot.clone())
    }

    fn is_final(view: &Snapshot) -> bool {
        view.done
    }
}
