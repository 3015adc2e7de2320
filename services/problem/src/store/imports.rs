//! Imports and their checks.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use package::Finding;
use uuid::Uuid;

use crate::check::{Check, Kind, State};
use crate::error::Result;

db::record! {
    #[derive(Clone, Debug)]
    pub struct Import {
        pub id: Uuid,
        pub problem_id: Uuid,
        /// The version that it created.
        pub version: i64,
        /// The user who started it.
        pub user_id: Uuid,
        /// `verifying`, `succeeded` or `failed`.
        pub state: String,
        /// Publish the version when it is verified.
        pub publish: bool,
        /// [`Finding`]s as JSON.
        pub findings: String,
        /// A `failed` import that was canceled.
        pub canceled: bool,
        /// Increases with every change.
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub done_at: Option<DateTime<Utc>>,
    }
}

impl Import {
    pub fn findings(&self) -> Result<Vec<Finding>> {
        Ok(serde_json::from_str(&self.findings)?)
    }
}

const SELECT: &str = "SELECT id, problem_id, version, user_id, state, publish, findings, canceled,
        revision, created_at, done_at FROM imports ";

pub async fn insert(tx: &mut Tx, import: &Import) -> Result<()> {
    tx.query(
        "INSERT INTO imports (id, problem_id, version, user_id, state, publish, findings,
            canceled, revision, created_at, done_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(import.id)
    .bind(import.problem_id)
    .bind(import.version)
    .bind(import.user_id)
    .bind(import.state.as_str())
    .bind(import.publish)
    .bind(import.findings.as_str())
    .bind(import.canceled)
    .bind(import.revision)
    .bind(import.created_at)
    .bind(import.done_at)
    .execute()
    .await?;
    Ok(())
}

pub async fn get(db: impl Read<'_>, id: Uuid) -> Result<Option<Import>> {
    Ok(db.query(SELECT).push("WHERE id = ").push_bind(id).fetch_optional().await?)
}

/// Locks an import until the end of the transaction; returns it with its new revision.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Import>> {
    let query = tx.query("UPDATE imports SET revision = revision + 1 WHERE id = $1");
    if query.bind(id).execute().await? == 0 { Ok(None) } else { get(tx, id).await }
}

/// The imports of a user after the keyset cursor `after`, newest first.
pub async fn list(
    db: impl Read<'_>,
    user: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Import>> {
    let mut query = db.query(SELECT).push("WHERE user_id = ").push_bind(user);
    if let Some((time, id)) = after {
        query = query.push(" AND (created_at, id) < (").push_bind(time);
        query = query.push(", ").push_bind(id).push(")");
    }
    let query = query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(limit);
    Ok(query.fetch_all().await?)
}

pub async fn finish(
    tx: &mut Tx,
    id: Uuid,
    state: &str,
    findings: &[Finding],
    now: DateTime<Utc>,
) -> Result<()> {
    tx.query("UPDATE imports SET state = $2, findings = $3, done_at = $4 WHERE id = $1")
        .bind(id)
        .bind(state)
        .bind(serde_json::to_string(findings)?)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

pub async fn cancel(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    tx.query("UPDATE imports SET state = 'failed', canceled = TRUE, done_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

db::record! {
    struct Row {
        id: Uuid,
        import_id: Uuid,
        position: i64,
        kind: String,
        file: String,
        spec: String,
        state: String,
        limit_us: i64,
        runs: String,
        actual: String,
        passed: bool,
        cpu_time_us: i64,
        memory_bytes: i64,
        message: String,
    }
}

impl Row {
    fn into_check(self) -> Result<Check> {
        Ok(Check {
            id: self.id,
            import_id: self.import_id,
            position: self.position,
            kind: Kind::of(&self.kind),
            file: self.file,
            spec: serde_json::from_str(&self.spec)?,
            state: State::of(&self.state, &self.actual),
            limit_us: self.limit_us,
            runs: serde_json::from_str(&self.runs)?,
            actual: self.actual,
            passed: self.passed,
            cpu_time_us: self.cpu_time_us,
            memory_bytes: self.memory_bytes,
            message: self.message,
        })
    }
}

const SELECT_CHECK: &str =
    "SELECT id, import_id, position, kind, file, spec, state, limit_us, runs,
        actual, passed, cpu_time_us, memory_bytes, message FROM checks ";

/// The checks of an import in the order of their positions.
pub async fn checks(db: impl Read<'_>, import: Uuid) -> Result<Vec<Check>> {
    let query = db.query(SELECT_CHECK).push("WHERE import_id = ").push_bind(import);
    let rows: Vec<Row> = query.push(" ORDER BY position").fetch_all().await?;
    rows.into_iter().map(Row::into_check).collect()
}

pub async fn check(db: impl Read<'_>, id: Uuid) -> Result<Option<Check>> {
    let row: Option<Row> =
        db.query(SELECT_CHECK).push("WHERE id = ").push_bind(id).fetch_optional().await?;
    row.map(Row::into_check).transpose()
}

pub async fn insert_check(tx: &mut Tx, check: &Check) -> Result<()> {
    tx.query(
        "INSERT INTO checks (id, import_id, position, kind, file, spec, state, limit_us, runs,
            actual, passed, cpu_time_us, memory_bytes, message)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(check.id)
    .bind(check.import_id)
    .bind(check.position)
    .bind(check.kind.name())
    .bind(check.file.as_str())
    .bind(serde_json::to_string(&check.spec)?)
    .bind(check.state.name())
    .bind(check.limit_us)
    .bind(serde_json::to_string(&check.runs)?)
    .bind(check.actual.as_str())
    .bind(check.passed)
    .bind(check.cpu_time_us)
    .bind(check.memory_bytes)
    .bind(check.message.as_str())
    .execute()
    .await?;
    Ok(())
}

/// Writes the mutable columns of a check.
pub async fn save_check(tx: &mut Tx, check: &Check) -> Result<()> {
    tx.query(
        "UPDATE checks SET state = $2, limit_us = $3, runs = $4, actual = $5, passed = $6,
            cpu_time_us = $7, memory_bytes = $8, message = $9
         WHERE id = $1",
    )
    .bind(check.id)
    .bind(check.state.name())
    .bind(check.limit_us)
    .bind(serde_json::to_string(&check.runs)?)
    .bind(check.actual.as_str())
    .bind(check.passed)
    .bind(check.cpu_time_us)
    .bind(check.memory_bytes)
    .bind(check.message.as_str())
    .execute()
    .await?;
    Ok(())
}
