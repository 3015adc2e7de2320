//! Versions and their statements.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::error::Result;
use crate::version::Manifest;

db::record! {
    /// A version without its statements.
    #[derive(Clone, Debug)]
    pub struct Version {
        pub problem_id: Uuid,
        pub version: i64,
        /// `verifying`, `verified` or `rejected`.
        pub state: String,
        /// `None` until it is inferred.
        pub time_limit_us: Option<i64>,
        /// [`Manifest`] as JSON.
        pub manifest: String,
        /// [`crate::version::Summary`] as JSON.
        pub summary: String,
        /// SHA-256 of the manifest.
        pub digest: String,
        pub import_id: Uuid,
        /// Includes samples.
        pub test_count: i64,
        pub sample_count: i64,
        pub created_at: DateTime<Utc>,
    }
}

impl Version {
    pub fn manifest(&self) -> Result<Manifest> {
        Ok(serde_json::from_str(&self.manifest)?)
    }
}

const SELECT: &str =
    "SELECT problem_id, version, state, time_limit_us, manifest, summary, digest, import_id,
        test_count, sample_count, created_at FROM versions ";

pub async fn insert(tx: &mut Tx, version: &Version) -> Result<()> {
    tx.query(
        "INSERT INTO versions (problem_id, version, state, time_limit_us, manifest, summary,
            digest, import_id, test_count, sample_count, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(version.problem_id)
    .bind(version.version)
    .bind(version.state.as_str())
    .bind(version.time_limit_us)
    .bind(version.manifest.as_str())
    .bind(version.summary.as_str())
    .bind(version.digest.as_str())
    .bind(version.import_id)
    .bind(version.test_count)
    .bind(version.sample_count)
    .bind(version.created_at)
    .execute()
    .await?;
    Ok(())
}

pub async fn get(db: impl Read<'_>, problem: Uuid, version: i64) -> Result<Option<Version>> {
    let query = db.query(SELECT).push("WHERE problem_id = ").push_bind(problem);
    Ok(query.push(" AND version = ").push_bind(version).fetch_optional().await?)
}

pub async fn test_count(db: impl Read<'_>, problem: Uuid, version: i64) -> Result<i64> {
    let query = db.query("SELECT test_count FROM versions WHERE problem_id = $1 AND version = $2");
    let count = query.bind(problem).bind(version).fetch_scalar_optional().await?;
    Ok(count.unwrap_or_default())
}

pub async fn newest_verified(db: impl Read<'_>, problem: Uuid) -> Result<Option<Version>> {
    let query = db.query(SELECT).push("WHERE state = 'verified' AND problem_id = ");
    let query = query.push_bind(problem).push(" ORDER BY version DESC LIMIT 1");
    Ok(query.fetch_optional().await?)
}

/// The versions of a problem below `before`, newest first.
pub async fn list(
    db: impl Read<'_>,
    problem: Uuid,
    before: i64,
    limit: i64,
) -> Result<Vec<Version>> {
    let query = db.query(SELECT).push("WHERE problem_id = ").push_bind(problem);
    let query = query.push(" AND version < ").push_bind(before);
    Ok(query.push(" ORDER BY version DESC LIMIT ").push_bind(limit).fetch_all().await?)
}

pub async fn set_time_limit(tx: &mut Tx, problem: Uuid, version: i64, limit_us: i64) -> Result<()> {
    tx.query("UPDATE versions SET time_limit_us = $3 WHERE problem_id = $1 AND version = $2")
        .bind(problem)
        .bind(version)
        .bind(limit_us)
        .execute()
        .await?;
    Ok(())
}

pub async fn verify(tx: &mut Tx, problem: Uuid, version: i64) -> Result<()> {
    set_state(tx, problem, version, "verified").await
}

/// Rejects a version and releases its objects: only verified versions are judged or published.
pub async fn reject(tx: &mut Tx, problem: Uuid, version: i64) -> Result<()> {
    set_state(tx, problem, version, "rejected").await?;
    super::objects::release_version(tx, problem, version).await
}

async fn set_state(tx: &mut Tx, problem: Uuid, version: i64, state: &str) -> Result<()> {
    tx.query("UPDATE versions SET state = $3 WHERE problem_id = $1 AND version = $2")
        .bind(problem)
        .bind(version)
        .bind(state)
        .execute()
        .await?;
    Ok(())
}

db::record! {
    #[derive(Clone, Debug)]
    pub struct Statement {
        /// BCP 47.
        pub language: String,
        pub title: String,
        /// Sanitised HTML.
        pub html: String,
        /// The Markdown source, or empty.
        pub markdown: String,
    }
}

pub async fn insert_statement(
    tx: &mut Tx,
    problem: Uuid,
    version: i64,
    position: i64,
    statement: &Statement,
) -> Result<()> {
    tx.query(
        "INSERT INTO statements (problem_id, version, position, language, title, html, markdown)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(problem)
    .bind(version)
    .bind(position)
    .bind(statement.language.as_str())
    .bind(statement.title.as_str())
    .bind(statement.html.as_str())
    .bind(statement.markdown.as_str())
    .execute()
    .await?;
    Ok(())
}

pub async fn statement(
    db: impl Read<'_>,
    problem: Uuid,
    version: i64,
    language: &str,
) -> Result<Option<Statement>> {
    Ok(db
        .query(
            "SELECT language, title, html, markdown FROM statements
             WHERE problem_id = $1 AND version = $2 AND language = $3",
        )
        .bind(problem)
        .bind(version)
        .bind(language)
        .fetch_optional()
        .await?)
}
