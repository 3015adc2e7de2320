//! References to objects, and pins that protect objects before they are referenced.
//!
//! Pinning and removal take the same advisory lock, so that an object is not removed while an import is about to
//! reference it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use db::{Db, Read, Tx};
use uuid::Uuid;

use crate::error::Result;

const LOCK: &str = "problem objects";

/// Protects objects from removal until they are referenced.
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

pub async fn unpin(tx: &mut Tx, pin: Uuid) -> Result<()> {
    tx.query("DELETE FROM object_pins WHERE pin_id = $1").bind(pin).execute().await?;
    Ok(())
}

/// Removes the pins of imports that did not finish.
pub async fn remove_pins_before(tx: &mut Tx, time: DateTime<Utc>) -> Result<()> {
    tx.query("DELETE FROM object_pins WHERE created_at < $1").bind(time).execute().await?;
    Ok(())
}

pub async fn add_references(
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

/// All referenced objects, sorted.
pub async fn referenced(db: &Db) -> Result<Vec<String>> {
    let query = db.query(
        "SELECT DISTINCT digest FROM object_refs /* scans: for a promotion */ ORDER BY digest",
    );
    let rows: Vec<(String,)> = query.fetch_all().await?;
    Ok(rows.into_iter().map(|(digest,)| digest).collect())
}

pub async fn is_referenced(db: impl Read<'_>, digest: &str) -> Result<bool> {
    let query = db.query("SELECT digest FROM object_refs WHERE digest = $1 LIMIT 1");
    Ok(query.bind(digest).fetch_scalar_optional::<String>().await?.is_some())
}

/// The objects without references and pins. None can be added until the transaction ends.
pub async fn unreferenced(tx: &mut Tx, digests: &[String]) -> Result<Vec<String>> {
    tx.advisory_lock(LOCK).await?;
    let mut used: BTreeSet<String> = BTreeSet::new();
    for sql in [
        "SELECT DISTINCT digest FROM object_refs WHERE digest",
        "SELECT DISTINCT digest FROM object_pins WHERE digest",
    ] {
        let rows: Vec<(String,)> =
            tx.query(sql).push_in(digests.iter().cloned()).fetch_all().await?;
        used.extend(rows.into_iter().map(|(digest,)| digest));
    }
    Ok(digests.iter().filter(|digest| !used.contains(*digest)).cloned().collect())
}
