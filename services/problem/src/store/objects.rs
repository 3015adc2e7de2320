//! Which objects are needed, and by what.
//!
//! Pins and removals wait for each other (an advisory lock), so that an object is not removed while
//! somebody is about to name it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use db::{Db, Read, Tx};
use uuid::Uuid;

use crate::error::Result;

const LOCK: &str = "problem objects";

/// Keeps objects from being removed until they are named.
pub async fn pin(tx: &mut Tx, pin: Uuid, digests: &BTreeSet<String>) -> Result<()> {
    tx.advisory_lock(LOCK).await?;
    let now = tx.now();
    for digest in digests {
        tx.query("INSERT INTO object_pins (digest, pin_id, created_at) VALUES ($1, $2, $3)")
            .bind(digest.as_str())
            .bind(pin)
            .bind(now)
            .execute()
            .await?;
    }
    Ok(())
}

/// Lets pinned objects go.
pub async fn unpin(tx: &mut Tx, pin: Uuid) -> Result<()> {
    tx.query("DELETE FROM object_pins WHERE pin_id = $1").bind(pin).execute().await?;
    Ok(())
}

/// Lets objects go whose pins were forgotten by a process that died.
pub async fn unpin_before(tx: &mut Tx, time: DateTime<Utc>) -> Result<()> {
    tx.query("DELETE FROM object_pins WHERE created_at < $1").bind(time).execute().await?;
    Ok(())
}

/// Names the objects that a version needs.
pub async fn name(
    tx: &mut Tx,
    problem: Uuid,
    version: i64,
    digests: &BTreeSet<String>,
) -> Result<()> {
    for digest in digests {
        tx.query("INSERT INTO object_refs (digest, problem_id, version) VALUES ($1, $2, $3)")
            .bind(digest.as_str())
            .bind(problem)
            .bind(version)
            .execute()
            .await?;
    }
    Ok(())
}

/// Every object that a version needs.
pub async fn all(db: &Db) -> Result<Vec<String>> {
    let query = db.query("SELECT DISTINCT digest FROM object_refs ORDER BY digest");
    let rows: Vec<(String,)> = query.fetch_all().await?;
    Ok(rows.into_iter().map(|(digest,)| digest).collect())
}

/// Whether any version needs an object.
pub async fn is_named(db: impl Read<'_>, digest: &str) -> Result<bool> {
    let query = db.query("SELECT digest FROM object_refs WHERE digest = $1 LIMIT 1");
    Ok(query.bind(digest).fetch_scalar_optional::<String>().await?.is_some())
}

/// Which of these objects nobody needs. Until the transaction ends nobody can come to need one.
pub async fn unneeded(tx: &mut Tx, digests: &[String]) -> Result<Vec<String>> {
    tx.advisory_lock(LOCK).await?;
    let mut needed: BTreeSet<String> = BTreeSet::new();
    for sql in [
        "SELECT DISTINCT digest FROM object_refs WHERE digest",
        "SELECT DISTINCT digest FROM object_pins WHERE digest",
    ] {
        let rows: Vec<(String,)> =
            tx.query(sql).push_in(digests.iter().cloned()).fetch_all().await?;
        needed.extend(rows.into_iter().map(|(digest,)| digest));
    }
    Ok(digests.iter().filter(|digest| !needed.contains(*digest)).cloned().collect())
}
