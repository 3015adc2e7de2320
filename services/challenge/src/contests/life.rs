//! The use cases that move a contest through its states.

use chrono::{DateTime, Utc};
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};
use uuid::Uuid;

use super::viewer::Viewer;
use super::{record, wire};
use crate::Challenge;
use crate::contest::{Contest, State, request};
use crate::error::Error;
use crate::log::{self, Log};
use crate::{events, store};

/// How many submissions or questions an error names.
const SHOWN: i64 = 20;
/// The most bronze medals that organisers may add.
const MAX_EXTRA_BRONZE: i32 = 100;

/// A request to move a contest.
pub struct Move<'a> {
    pub contest_id: &'a str,
    pub etag: &'a str,
    pub request_id: &'a str,
    pub step: Step,
}

#[derive(Clone, Debug)]
pub enum Step {
    Publish,
    Cancel,
    Extend(Option<prost_types::Duration>),
    Thaw,
    Finalize { extra_bronze: i32 },
}

impl Step {
    fn rpc(&self) -> &'static str {
        match self {
            Self::Publish => "PublishContest",
            Self::Cancel => "CancelContest",
            Self::Extend(_) => "ExtendContest",
            Self::Thaw => "ThawContest",
            Self::Finalize { .. } => "FinalizeContest",
        }
    }
}

impl Challenge {
    /// Moves a contest, once per request id.
    pub async fn move_contest(
        &self,
        viewer: &Viewer,
        request: Move<'_>,
    ) -> Result<pb::Contest, Error> {
        let Move { contest_id, etag, request_id, step } = request;
        let mut violations = Violations::default();
        check_request_id(&mut violations, request_id);
        if let Step::Extend(duration) = &step
            && let Err(what) = request::duration(duration.as_ref())
        {
            violations.add("duration", what);
        }
        if let Step::Finalize { extra_bronze } = step {
            let valid = (0..=MAX_EXTRA_BRONZE).contains(&extra_bronze);
            violations.check(valid, "extra_bronze_count", "must be 0 to 100");
        }
        violations.into_result()?;
        let found = self.own_contest(viewer, contest_id).await?;
        let content = format!("{step:?}");
        let content = [found.id.as_bytes(), content.as_bytes()];
        let caller = viewer.user.unwrap_or_default();
        let once = Idempotent::new(caller, step.rpc(), request_id, &content);
        let (id, step) = (found.id, &step);
        let change = |mut tx: TxGuard| async move {
            let (log, contest) = self.locked(&mut tx, id, etag).await?;
            let contest = self.step(&mut tx, log, contest, step).await?;
            Ok(wire::contest(&contest, tx.now(), false))
        };
        once.run(&self.db, change).await
    }

    async fn step(
        &self,
        tx: &mut Tx,
        mut log: Log,
        mut contest: Contest,
        step: &Step,
    ) -> Result<Contest, Error> {
        let now = tx.now();
        // A thaw changes who sees the results, not the results.
        let is_thaw = matches!(step, Step::Thaw) && contest.canceled_at.is_none();
        if contest.state(now).is_closed() && !is_thaw {
            return Err(Error::closed());
        }
        match step {
            Step::Publish => publish(tx, &mut log, &mut contest, now).await?,
            Step::Cancel => {
                contest.canceled_at = Some(now);
                record(tx, &mut log, &mut contest, State::Canceled, now).await?;
            }
            Step::Extend(duration) => {
                extend(&mut contest, duration.as_ref(), now)?;
                log.append(tx, now, &log::settings(&contest)).await?;
            }
            Step::Thaw => {
                check_ended(&contest, now)?;
                if contest.thawed_at.is_some() {
                    return Ok(contest);
                }
                contest.thawed_at = Some(now);
                record(tx, &mut log, &mut contest, State::Thawed, now).await?;
            }
            Step::Finalize { extra_bronze } => {
                finalize(tx, &mut log, &mut contest, now).await?;
                store::awards::set_extra_bronze(tx, contest.id, *extra_bronze).await?;
            }
        }
        self.save(tx, &mut contest, now).await?;
        Ok(contest)
    }
}

async fn publish(
    tx: &mut Tx,
    log: &mut Log,
    contest: &mut Contest,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if contest.published_at.is_some() {
        return Err(Error::precondition("CONTEST_PUBLISHED", "the contest is published"));
    }
    if contest.problems.is_empty() {
        let text = "a contest needs problems before it is published";
        return Err(Error::precondition("NO_PROBLEMS", text));
    }
    if contest.starts_at <= now {
        let text = "start_time must be in the future when the contest is published";
        return Err(Error::precondition("START_PASSED", text));
    }
    contest.published_at = Some(now);
    let number = log.number(tx).await?;
    events::contest_published(tx, contest, number);
    record(tx, log, contest, State::Scheduled, now).await
}

fn extend(
    contest: &mut Contest,
    duration: Option<&prost_types::Duration>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if !contest.has_started(now) {
        return Err(Error::not_started());
    }
    if contest.has_ended(now) {
        return Err(Error::ended());
    }
    let invalid = |what: String| Error::invalid("duration", what);
    let ends_at = contest.starts_at + request::duration(duration).map_err(invalid)?;
    if ends_at <= now {
        return Err(invalid("must end the contest in the future".into()));
    }
    contest.extend(ends_at, now);
    Ok(())
}

fn check_ended(contest: &Contest, now: DateTime<Utc>) -> Result<(), Error> {
    match contest.has_ended(now) {
        true => Ok(()),
        false => Err(Error::precondition("CONTEST_NOT_ENDED", "the contest has not ended")),
    }
}

async fn finalize(
    tx: &mut Tx,
    log: &mut Log,
    contest: &mut Contest,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    check_ended(contest, now)?;
    let extra = store::participants::longest_extra_time(&mut *tx, contest.id).await?;
    if now < contest.ends_at + chrono::TimeDelta::seconds(extra) {
        let text = "a participant has extra time left";
        return Err(Error::precondition("CONTEST_NOT_ENDED", text));
    }
    let pending = store::submissions::pending_in(&mut *tx, contest.id, SHOWN + 1).await?;
    if !pending.is_empty() {
        let text = listed("submissions without a verdict or with a judge error", &pending);
        return Err(Error::precondition("SUBMISSIONS_PENDING", text));
    }
    let open = store::clarifications::unanswered_in(&mut *tx, contest.id, SHOWN + 1).await?;
    if !open.is_empty() {
        let text = listed("questions without an answer", &open);
        return Err(Error::precondition("CLARIFICATIONS_UNANSWERED", text));
    }
    if store::rejudgings::is_open_in(&mut *tx, contest.id).await? {
        let text = "a rejudging is open; apply or discard it first";
        return Err(Error::precondition("REJUDGING_OPEN", text));
    }
    contest.finalized_at = Some(now);
    record(tx, log, contest, State::Finalized, now).await?;
    let number = log.number(tx).await?;
    events::contest_finalized(tx, contest, number);
    Ok(())
}

/// What prevents final results, and its first ids.
fn listed(what: &str, all: &[Uuid]) -> String {
    let shown = usize::try_from(SHOWN).unwrap_or(usize::MAX);
    let ids: Vec<String> = all.iter().take(shown).map(Uuid::to_string).collect();
    let more = if all.len() > shown { " and more" } else { "" };
    format!("{what}: {}{more}", ids.join(", "))
}
