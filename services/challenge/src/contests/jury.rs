//! The use cases of the jury.

use access::Caller;
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use super::viewer::Viewer;
use super::wire;
use crate::Challenge;
use crate::contest::{Contest, Participant};
use crate::error::Error;
use crate::jury::{Action, Deed};
use crate::log::{self, Log};
use crate::store;

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// A request of the jury.
pub struct Order<'a> {
    pub contest_id: &'a str,
    pub rpc: &'static str,
    pub reason: &'a str,
    pub request_id: &'a str,
    /// What to do, or the violations of its fields.
    pub deed: Result<Deed, Violations>,
}

impl Challenge {
    /// Does and records what a member of the jury ordered, once per request id.
    pub async fn act(&self, caller: &Caller, order: Order<'_>) -> Result<pb::JuryAction, Error> {
        let user = caller.user()?.id;
        let Order { contest_id, rpc, reason, request_id, deed } = order;
        let (deed, mut violations) = match deed {
            Ok(deed) => (Some(deed), Violations::default()),
            Err(violations) => (None, violations),
        };
        // Only the removal of an interval is reversed without a reason.
        let needs_reason = !matches!(deed, Some(Deed::IntervalRestored { .. }));
        if needs_reason && let Err(what) = check_reason(reason) {
            violations.add("reason", what);
        }
        check_request_id(&mut violations, request_id);
        violations.into_result()?;
        let Some(deed) = deed else { return Err(Error::NotFound) };
        let viewer = Viewer::of(caller);
        let found = self.contest(&viewer, contest_id).await?;
        if !self.judges(&viewer, &found).await? {
            return Err(Error::NotJury);
        }
        let content = format!("{deed:?}");
        let content = [found.id.as_bytes(), content.as_bytes(), reason.as_bytes()];
        let once = Idempotent::new(user, rpc, request_id, &content);
        let act = |mut tx: TxGuard| async move {
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            if contest.state(tx.now()).is_closed() {
                return Err(Error::closed());
            }
            let action = Action {
                id: tx.new_id(),
                contest_id: contest.id,
                user_id: user,
                reason: reason.trim().to_owned(),
                deed,
                created_at: tx.now(),
            };
            self.carry_out(&mut tx, &mut log, &contest, &action).await?;
            store::jury::insert(&mut tx, &action).await?;
            self.notify_contest(&mut tx, contest.id);
            Ok(wire::jury_action(&action))
        };
        once.run(&self.db, act).await
    }

    /// Writes the effect of an action to the log.
    async fn carry_out(
        &self,
        tx: &mut Tx,
        log: &mut Log,
        contest: &Contest,
        action: &Action,
    ) -> Result<(), Error> {
        let entry = match action.deed {
            Deed::Ignored { submission } => ignore(tx, contest, submission, true).await?,
            Deed::Restored { submission } => ignore(tx, contest, submission, false).await?,
            Deed::PenaltyAdjusted { participant, minutes } => {
                participant_of(tx, contest, participant).await?;
                log::penalty_adjusted(participant, minutes)
            }
            Deed::IntervalRemoved { from, to } => log::interval_removed(action.id, from, to),
            Deed::IntervalRestored { interval } => {
                if !store::jury::is_removed(tx, contest.id, interval).await? {
                    return Err(Error::IntervalNotFound);
                }
                log::interval_restored(interval)
            }
            Deed::ExtraTimeGranted { participant, seconds } => {
                let participant = participant_of(tx, contest, participant).await?;
                let extra_time = chrono::TimeDelta::seconds(seconds);
                let changed = Participant { extra_time, ..participant };
                store::participants::save(tx, &changed).await?;
                log::participant(&changed)
            }
        };
        log.append(tx, action.created_at, &entry).await?;
        Ok(())
    }

    pub async fn list_jury_actions(
        &self,
        viewer: &Viewer,
        request: &pb::ListJuryActionsRequest,
    ) -> Result<pb::ListJuryActionsResponse, Error> {
        let contest = self.contest(viewer, &request.contest_id).await?;
        if !self.judges(viewer, &contest).await? {
            return Err(Error::NotJury);
        }
        let args = [contest.id.as_bytes().as_slice()];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> =
            Page::open(&self.page_key, "ListJuryActions", &args, size, token)?;
        let rows = store::jury::list(&self.db, contest.id, page.after, page.limit()).await?;
        let (actions, next_page_token) = page.close(rows, |last| last.id);
        let jury_actions = actions.iter().map(wire::jury_action).collect();
        Ok(pb::ListJuryActionsResponse { jury_actions, next_page_token })
    }
}

async fn ignore(
    tx: &mut Tx,
    contest: &Contest,
    submission: Uuid,
    ignored: bool,
) -> Result<log::Entry, Error> {
    if !store::submissions::set_ignored(tx, contest.id, submission, ignored).await? {
        return Err(Error::NotFound);
    }
    Ok(log::ignored(submission, ignored))
}

async fn participant_of(tx: &mut Tx, contest: &Contest, id: Uuid) -> Result<Participant, Error> {
    let found = store::participants::by_ids(&mut *tx, vec![id]).await?.pop();
    found.filter(|it| it.contest_id == contest.id).ok_or(Error::ParticipantNotFound)
}

pub fn check_reason(reason: &str) -> Result<(), String> {
    if reason.trim().is_empty() {
        return Err("is required: 1 to 500 characters".into());
    }
    text::check_lines(reason, MAX_REASON).map_err(|refusal| refusal.to_string())
}
