//! The use cases of rejudgings.
//!
//! A judgement of a rejudging has a number above 1, and is stored beside the submission. Nothing that participants see
//! depends on it until the rejudging is applied. All changes but the arrival of a judgement lock the contest first.

pub mod create;
mod preview;
pub mod watch;
mod wire;

use access::Caller;
use bytes::Bytes;
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::Challenge;
use crate::contest::Contest;
use crate::contests::viewer::Viewer;
use crate::error::Error;
use crate::log::{self, Log};
use crate::rejudging::{Rejudging, State};
use crate::submission::Outcome;
use crate::{events, store};

/// The channel that announces changes of a rejudging.
fn channel(id: Uuid) -> String {
    format!("rejudging/{id}")
}

/// A request to apply or to discard.
pub struct Close<'a> {
    pub contest_id: &'a str,
    pub rejudging_id: &'a str,
    pub request_id: &'a str,
    /// What it becomes.
    pub state: State,
}

impl Challenge {
    /// Makes all watchers of a rejudging read it again once `tx` is committed.
    fn notify_rejudging(&self, tx: &mut Tx, id: Uuid) {
        let this = self.clone();
        tx.after_commit(move || this.cache.publish(&channel(id), Bytes::new()));
    }

    /// A contest of which the viewer is jury.
    async fn judged_contest(&self, viewer: &Viewer, name: &str) -> Result<Contest, Error> {
        let contest = self.contest(viewer, name).await?;
        match self.judges(viewer, &contest).await? {
            true => Ok(contest),
            false => Err(Error::NotJury),
        }
    }

    /// A rejudging of a contest, to its jury.
    async fn rejudging(
        &self,
        viewer: &Viewer,
        contest_id: &str,
        id: &str,
    ) -> Result<(Contest, Rejudging), Error> {
        let id = parse_id(id)?;
        let contest = self.judged_contest(viewer, contest_id).await?;
        let found = store::rejudgings::find(&self.db, contest.id, id).await?;
        Ok((contest, found.ok_or(Error::RejudgingNotFound)?))
    }

    pub async fn get_rejudging(
        &self,
        viewer: &Viewer,
        request: &pb::GetRejudgingRequest,
    ) -> Result<pb::GetRejudgingResponse, Error> {
        let (contest, rejudging) =
            self.rejudging(viewer, &request.contest_id, &request.rejudging_id).await?;
        let args = [rejudging.id.as_bytes().as_slice()];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> = Page::open(&self.page_key, "GetRejudging", &args, size, token)?;
        let (id, after) = (rejudging.id, page.after.unwrap_or_default());
        let rows = store::rejudgings::submissions(&self.db, id, after, page.limit()).await?;
        let (submissions, next_page_token) = page.close(rows, |last| last.submission_id);
        let counts = store::rejudgings::counts(&self.db, &[id]).await?;
        let (standings_changes, standings_change_count) = match rejudging.state {
            State::Open => self.preview(&contest, id).await?,
            State::Applied | State::Discarded => Default::default(),
        };
        Ok(pb::GetRejudgingResponse {
            rejudging: Some(wire::rejudging(&rejudging, &counts)),
            submissions: submissions.iter().map(wire::submission).collect(),
            verdict_changes: counts.iter().map(wire::verdict_change).collect(),
            standings_changes,
            standings_change_count,
            next_page_token,
        })
    }

    pub async fn list_rejudgings(
        &self,
        viewer: &Viewer,
        request: &pb::ListRejudgingsRequest,
    ) -> Result<pb::ListRejudgingsResponse, Error> {
        let contest = self.judged_contest(viewer, &request.contest_id).await?;
        let args = [contest.id.as_bytes().as_slice()];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> =
            Page::open(&self.page_key, "ListRejudgings", &args, size, token)?;
        let rows = store::rejudgings::list(&self.db, contest.id, page.after, page.limit()).await?;
        let (rows, next_page_token) = page.close(rows, |last| last.id);
        let ids: Vec<Uuid> = rows.iter().map(|rejudging| rejudging.id).collect();
        let counts = store::rejudgings::counts(&self.db, &ids).await?;
        let rejudgings = rows.iter().map(|rejudging| wire::rejudging(rejudging, &counts)).collect();
        Ok(pb::ListRejudgingsResponse { rejudgings, next_page_token })
    }

    /// Stores a judgement of a rejudging. False if it has one, or is closed.
    pub(crate) async fn judge_again(
        &self,
        tx: &mut Tx,
        submission: Uuid,
        ordinal: i64,
        outcome: &Outcome,
    ) -> Result<bool, Error> {
        let found = store::rejudgings::judge(tx, submission, ordinal, outcome).await?;
        let Some(rejudging) = found else { return Ok(false) };
        self.notify_rejudging(tx, rejudging);
        Ok(true)
    }

    /// Applies or discards a rejudging, once per request id.
    pub async fn close_rejudging(
        &self,
        caller: &Caller,
        request: Close<'_>,
    ) -> Result<pb::Rejudging, Error> {
        let user = caller.user()?.id;
        let Close { contest_id, rejudging_id, request_id, state } = request;
        let mut violations = Violations::default();
        check_request_id(&mut violations, request_id);
        violations.into_result()?;
        let (contest, found) =
            self.rejudging(&Viewer::of(caller), contest_id, rejudging_id).await?;
        let rpc = if state == State::Applied { "ApplyRejudging" } else { "DiscardRejudging" };
        let content = [found.id.as_bytes().as_slice()];
        let once = Idempotent::new(user, rpc, request_id, &content);
        let (contest, id) = (contest.id, found.id);
        let close = |mut tx: TxGuard| async move {
            let (mut log, contest) = self.locked(&mut tx, contest, "").await?;
            let found = store::rejudgings::find(&mut *tx, contest.id, id).await?;
            let mut rejudging = found.ok_or(Error::RejudgingNotFound)?;
            if rejudging.state != State::Open {
                let text = format!("the rejudging is {}", rejudging.state.name());
                return Err(Error::precondition("REJUDGING_CLOSED", text));
            }
            if state == State::Applied {
                self.apply_verdicts(&mut tx, &mut log, &contest, &rejudging).await?;
            }
            (rejudging.state, rejudging.closed_at) = (state, Some(tx.now()));
            store::rejudgings::close(&mut tx, &rejudging).await?;
            self.notify_rejudging(&mut tx, id);
            let counts = store::rejudgings::counts(&mut *tx, &[id]).await?;
            Ok(wire::rejudging(&rejudging, &counts))
        };
        once.run(&self.db, close).await
    }

    /// Writes the new verdicts to the submissions, and those that differ to the log and as events.
    async fn apply_verdicts(
        &self,
        tx: &mut Tx,
        log: &mut Log,
        contest: &Contest,
        rejudging: &Rejudging,
    ) -> Result<(), Error> {
        let now = tx.now();
        if contest.state(now).is_closed() {
            return Err(Error::closed());
        }
        let all =
            store::rejudgings::submissions(&mut *tx, rejudging.id, Uuid::nil(), i64::MAX).await?;
        let waiting = all.iter().filter(|it| it.outcome.is_none()).count();
        if waiting > 0 {
            let text = format!("{waiting} of {} submissions are not judged again yet", all.len());
            return Err(Error::precondition("REJUDGING_RUNNING", text));
        }
        for it in &all {
            let Some(outcome) = &it.outcome else { continue };
            let submission = store::submissions::judge_again(tx, it, outcome).await?;
            if let Some(verdict) = it.change() {
                log.append(tx, now, &log::judged(it.submission_id, verdict)).await?;
                events::submission_judged(tx, &submission, outcome);
            }
        }
        let changed = all.iter().filter(|it| it.change().is_some()).count();
        let number = log.number(tx).await?;
        events::rejudging_applied(tx, rejudging, number, all.len(), changed);
        self.notify_contest(tx, contest.id);
        Ok(())
    }
}

fn parse_id(id: &str) -> Result<Uuid, Error> {
    ids::parse(id).ok_or_else(|| Error::invalid("rejudging_id", "must be a rejudging id (a UUID)"))
}
