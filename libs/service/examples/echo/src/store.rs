//! Every SQL statement of the service.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::echo::Echo;

db::record! {
    struct Row {
        echo_id: Uuid,
        user_id: Uuid,
        text: String,
        created_at: DateTime<Utc>,
    }
}

/// Whether the user has stored this text.
pub async fn exists(read: impl Read<'_>, user_id: Uuid, text: &str) -> db::Result<bool> {
    let query = read.query("SELECT COUNT(*) FROM echoes WHERE user_id = $1 AND text = $2");
    let count: i64 = query.bind(user_id).bind(text).fetch_scalar().await?;
    Ok(count > 0)
}

pub async fn insert(tx: &mut Tx, echo: &Echo) -> db::Result<()> {
    tx.query("INSERT INTO echoes (echo_id, user_id, text, created_at) VALUES ($1, $2, $3, $4)")
        .bind(echo.id)
        .bind(echo.user_id)
        .bind(echo.text.as_str())
        .bind(echo.created_at)
        .execute()
        .await
        .map(drop)
}

/// Echoes of a user older than `before`, newest first.
pub async fn list(
    read: impl Read<'_>,
    user_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> db::Result<Vec<Echo>> {
    let query = read.query(
        "SELECT echo_id, user_id, text, created_at FROM echoes
         WHERE user_id = $1 AND echo_id < $2 ORDER BY echo_id DESC LIMIT $3",
    );
    let query = query.bind(user_id).bind(before.unwrap_or(Uuid::max())).bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    let echo =
        |Row { echo_id: id, user_id, text, created_at }| Echo { id, user_id, text, created_at };
    Ok(rows.into_iter().map(echo).collect())
}
