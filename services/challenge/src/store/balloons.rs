//! Balloons: accepted submissions that count, the one with the earliest verdict of each participant and problem.

use chrono::{DateTime, Utc};
use db::{Query, Read, Tx};
use uuid::Uuid;

db::record! {
    #[derive(Clone, Copy, Debug)]
    pub struct Balloon {
        pub submission_id: Uuid,
        pub participant_id: Uuid,
        pub problem_id: Uuid,
        pub contest_time_us: i64,
        pub judged_at: DateTime<Utc>,
        pub delivered_at: Option<DateTime<Utc>>,
        pub delivered_by: Option<Uuid>,
    }
}

const SELECT: &str = "SELECT s.submission_id, s.participant_id, s.problem_id, s.contest_time_us, s.judged_at,
       d.delivered_at, d.delivered_by
     FROM submissions s
     LEFT JOIN balloon_deliveries d ON d.participant_id = s.participant_id AND d.problem_id = s.problem_id
     WHERE s.verdict = 'AC' AND NOT s.ignored";

#[derive(Clone, Copy, Debug)]
pub struct Filter {
    pub contest: Uuid,
    pub undelivered: bool,
    /// Only submissions before this contest time, in microseconds.
    pub before_us: Option<i64>,
}

/// Balloons after a verdict and a submission, the earliest verdict first.
pub async fn list(
    read: impl Read<'_>,
    filter: Filter,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> db::Result<Vec<Balloon>> {
    let query = read.query(SELECT).push(" AND s.challenge_id = ").push_bind(filter.contest);
    let mut query = query.push(
        " /* scans: the accepted submissions of one contest, few of which follow another or are left out */
         AND NOT EXISTS (SELECT 1 FROM submissions e
           WHERE e.participant_id = s.participant_id AND e.problem_id = s.problem_id AND e.verdict = 'AC'
             AND NOT e.ignored AND (e.judged_at, e.submission_id) < (s.judged_at, s.submission_id))",
    );
    if filter.undelivered {
        query = query.push(" AND d.participant_id IS NULL");
    }
    if let Some(before_us) = filter.before_us {
        query = query.push(" AND s.contest_time_us < ").push_bind(before_us);
    }
    if let Some(after) = after {
        query =
            query.push(" AND (s.judged_at, s.submission_id) > (").push_bind_all(after).push(")");
    }
    in_order(query, limit).fetch_all().await
}

/// The balloon of a participant and problem.
pub async fn find(
    read: impl Read<'_>,
    participant: Uuid,
    problem: Uuid,
) -> db::Result<Option<Balloon>> {
    let query = read.query(SELECT).push(" AND s.participant_id = ").push_bind(participant);
    let query = query.push(" AND s.problem_id = ").push_bind(problem);
    in_order(query, 1).fetch_optional().await
}

fn in_order(query: Query<'_>, limit: i64) -> Query<'_> {
    query.push(" ORDER BY s.judged_at, s.submission_id LIMIT ").push_bind(limit)
}

/// Records a delivery, unless one is recorded.
pub async fn deliver(
    tx: &mut Tx,
    participant: Uuid,
    problem: Uuid,
    at: DateTime<Utc>,
    by: Uuid,
) -> db::Result<()> {
    tx.query(
        "INSERT INTO balloon_deliveries (participant_id, problem_id, delivered_at, delivered_by)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind_all((participant, problem, at, by))
    .execute()
    .await
    .map(drop)
}

/// Removes a recorded delivery.
pub async fn restore(tx: &mut Tx, participant: Uuid, problem: Uuid) -> db::Result<()> {
    let query = "DELETE FROM balloon_deliveries WHERE participant_id = $1 AND problem_id = $2";
    tx.query(query).bind_all((participant, problem)).execute().await.map(drop)
}
