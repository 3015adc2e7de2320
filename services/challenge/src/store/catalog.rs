//! What duels need to know of problems: a projection of their events.

use std::ops::Range;

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::duel::choice::Candidate;

db::record! {
    #[derive(Clone, Debug, Default)]
    pub struct Entry {
        pub owner_id: Option<Uuid>,
        /// 0 = unknown.
        pub difficulty: i64,
        pub public: bool,
        pub deleted: bool,
        pub published_at: Option<DateTime<Utc>>,
    }
}

/// The entry of a problem; the default one if it has none.
pub async fn find(tx: &mut Tx, problem: Uuid) -> db::Result<Entry> {
    let query = "SELECT owner_id, difficulty, public, deleted, published_at FROM problem_catalog
                 WHERE problem_id = $1";
    let found: Option<Entry> = tx.query(query).bind(problem).fetch_optional().await?;
    Ok(found.unwrap_or_default())
}

pub async fn save(tx: &mut Tx, problem: Uuid, entry: &Entry) -> db::Result<()> {
    tx.query(
        "INSERT INTO problem_catalog (problem_id, owner_id, difficulty, public, deleted, published_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (problem_id) DO UPDATE SET owner_id = excluded.owner_id, difficulty = excluded.difficulty,
           public = excluded.public, deleted = excluded.deleted, published_at = excluded.published_at",
    )
    .bind(problem)
    .bind(entry.owner_id)
    .bind(entry.difficulty)
    .bind(entry.public)
    .bind(entry.deleted)
    .bind(entry.published_at)
    .execute()
    .await
    .map(drop)
}

/// Public problems of a range of difficulties that neither user has attempted, owns or met in a duel, the newest first.
pub async fn candidates(
    read: impl Read<'_>,
    band: Range<i64>,
    users: [Uuid; 2],
    limit: i64,
) -> db::Result<Vec<Candidate>> {
    let rows: Vec<(Uuid, i64)> = read
        .query(
            "SELECT problem_id, difficulty FROM problem_catalog c /* scans: the problems of one range */
             WHERE public AND NOT deleted AND published_at IS NOT NULL AND difficulty >= $1 AND difficulty < $2
               AND (owner_id IS NULL OR (owner_id <> $3 AND owner_id <> $4))
               AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.problem_id = c.problem_id AND s.user_id = $3
                 AND (s.verdict IS NULL OR s.verdict <> 'CE'))
               AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.problem_id = c.problem_id AND s.user_id = $4
                 AND (s.verdict IS NULL OR s.verdict <> 'CE'))
               AND NOT EXISTS (SELECT 1 FROM duel_problems u JOIN duel_players p ON p.duel_id = u.duel_id
                 WHERE u.problem_id = c.problem_id AND p.user_id = $3)
               AND NOT EXISTS (SELECT 1 FROM duel_problems u JOIN duel_players p ON p.duel_id = u.duel_id
                 WHERE u.problem_id = c.problem_id AND p.user_id = $4)
             ORDER BY published_at DESC, problem_id DESC LIMIT $5",
        )
        .bind_all((band.start, band.end, users[0], users[1], limit))
        .fetch_all()
        .await?;
    let candidate = |(problem_id, difficulty)| Candidate { problem_id, difficulty };
    Ok(rows.into_iter().map(candidate).collect())
}
