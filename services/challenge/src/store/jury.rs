//! Actions of the jury.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::error::Error;
use crate::jury::{Action, Deed};

db::record! {
    struct Row {
        action_id: Uuid,
        contest_id: Uuid,
        user_id: Uuid,
        kind: String,
        reason: String,
        submission_id: Option<Uuid>,
        participant_id: Option<Uuid>,
        penalty_minutes: Option<i64>,
        from_s: Option<i64>,
        to_s: Option<i64>,
        extra_time_s: Option<i64>,
        interval_id: Option<Uuid>,
        created_at: DateTime<Utc>,
    }
}

const COLUMNS: &str = "action_id, contest_id, user_id, kind, reason, submission_id, participant_id, penalty_minutes, \
     from_s, to_s, extra_time_s, interval_id, created_at";

impl Row {
    fn into_action(self) -> Result<Action, Error> {
        let (submission, participant) = (self.submission_id, self.participant_id);
        let deed = match self.kind.as_str() {
            "submission_ignored" => submission.map(|submission| Deed::Ignored { submission }),
            "submission_restored" => submission.map(|submission| Deed::Restored { submission }),
            "penalty_adjusted" => participant
                .zip(self.penalty_minutes)
                .map(|(participant, minutes)| Deed::PenaltyAdjusted { participant, minutes }),
            "interval_removed" => {
                self.from_s.zip(self.to_s).map(|(from, to)| Deed::IntervalRemoved { from, to })
            }
            "interval_restored" => {
                self.interval_id.map(|interval| Deed::IntervalRestored { interval })
            }
            "extra_time_granted" => participant
                .zip(self.extra_time_s)
                .map(|(participant, seconds)| Deed::ExtraTimeGranted { participant, seconds }),
            _ => None,
        };
        let unknown = || service::Error::stored(format!("unknown jury action {:?}", self.kind));
        Ok(Action {
            id: self.action_id,
            contest_id: self.contest_id,
            user_id: self.user_id,
            reason: self.reason,
            deed: deed.ok_or_else(unknown)?,
            created_at: self.created_at,
        })
    }
}

pub async fn insert(tx: &mut Tx, action: &Action) -> db::Result<()> {
    let deed = &action.deed;
    tx.query(
        "INSERT INTO jury_actions (action_id, contest_id, user_id, kind, reason, submission_id, participant_id,
           penalty_minutes, from_s, to_s, extra_time_s, interval_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(action.id)
    .bind(action.contest_id)
    .bind(action.user_id)
    .bind(deed.kind())
    .bind(action.reason.as_str())
    .bind(deed.submission())
    .bind(deed.participant())
    .bind(deed.minutes())
    .bind(deed.interval().map(|(from, _)| from))
    .bind(deed.interval().map(|(_, to)| to))
    .bind(deed.extra_time())
    .bind(deed.restored_interval())
    .bind(action.created_at)
    .execute()
    .await
    .map(drop)
}

/// The actions of a contest before an id, the newest first.
pub async fn list(
    read: impl Read<'_>,
    contest: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Action>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM jury_actions WHERE contest_id = ");
    let query = query.push_bind(contest).push(" AND action_id < ");
    let query = query.push_bind(before.unwrap_or(Uuid::max()));
    let query = query.push(" ORDER BY action_id DESC LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_action).collect()
}

/// Whether the action removed an interval of this contest that does not count again.
pub async fn is_removed(read: &mut Tx, contest: Uuid, interval: Uuid) -> db::Result<bool> {
    let removed: Option<Uuid> = read
        .query(
            "SELECT action_id FROM jury_actions
             WHERE action_id = $1 AND contest_id = $2 AND kind = 'interval_removed'",
        )
        .bind_all((interval, contest))
        .fetch_scalar_optional()
        .await?;
    let restored: Option<Uuid> = read
        .query("SELECT action_id FROM jury_actions WHERE interval_id = $1 LIMIT 1")
        .bind(interval)
        .fetch_scalar_optional()
        .await?;
    Ok(removed.is_some() && restored.is_none())
}
