//! References to objects, pins that protect objects before they are referenced, and released objects.
//!
//! Every object that loses a pin or a reference is noted as released in the same transaction, unless it is known to
//! have a reference. So housekeeping finds unreferenced objects without a list of all objects.
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

/// Ends the protection of a pin, after the objects were referenced. Returns the number of objects that it protected.
pub async fn unpin(tx: &mut Tx, pin: Uuid) -> Result<u64> {
    tx.query(
        "INSERT INTO released_objects (digest, release_id)
         SELECT digest, pin_id FROM object_pins
         WHERE pin_id = $1
           AND NOT EXISTS (SELECT 1 FROM object_refs WHERE object_refs.digest = object_pins.digest)
         ON CONFLICT DO NOTHING",
    )
    .bind(pin)
    .execute()
    .await?;
    let query = tx.query("DELETE FROM object_pins WHERE pin_id = $1").bind(pin);
    Ok(query.execute().await?)
}

/// Releases the objects of imports that did not finish.
pub async fn release_pins_before(tx: &mut Tx, time: DateTime<Utc>) -> Result<()> {
    tx.query(
        "INSERT INTO released_objects (digest, release_id)
         SELECT digest, pin_id FROM object_pins WHERE created_at < $1
         ON CONFLICT DO NOTHING",
    )
    .bind(time)
    .execute()
    .await?;
    tx.query("DELETE FROM object_pins WHERE created_at < $1").bind(time).execute().await?;
    Ok(())
}

/// Releases the objects of a problem that is about to be deleted.
pub async fn release_problem(tx: &mut Tx, problem: Uuid) -> Result<()> {
    let release = tx.new_id();
    tx.query(
        "INSERT INTO released_objects (digest, release_id)
         SELECT DISTINCT digest, $1 FROM object_refs WHERE problem_id = $2",
    )
    .bind(release)
    .bind(problem)
    .execute()
    .await?;
    Ok(())
}

/// Ends the references of a version, and releases their objects. Housekeeping keeps those with another reference;
/// to look for one here would miss that of a version that is released at the same time.
pub async fn release_version(tx: &mut Tx, problem: Uuid, version: i64) -> Result<()> {
    let release = tx.new_id();
    tx.query(
        "INSERT INTO released_objects (digest, release_id)
         SELECT digest, $1 FROM object_refs WHERE problem_id = $2 AND version = $3",
    )
    .bind(release)
    .bind(problem)
    .bind(version)
    .execute()
    .await?;
    tx.query("DELETE FROM object_refs WHERE problem_id = $1 AND version = $2")
        .bind(problem)
        .bind(version)
        .execute()
        .await?;
    Ok(())
}

db::record! {
    #[derive(Clone, Debug)]
    pub struct Released {
        pub digest: String,
        pub release_id: Uuid,
    }
}

/// Up to 100 released objects, with each of their releases.
pub async fn released(db: impl Read<'_>) -> Result<Vec<Released>> {
    let query =
        "SELECT digest, release_id FROM released_objects ORDER BY digest, release_id LIMIT 100";
    Ok(db.query(query).fetch_all().await?)
}

/// Removes notes about released objects, after these were removed or found in use.
pub async fn forget_released(tx: &mut Tx, released: &[Released]) -> Result<()> {
    for Released { digest, release_id } in released {
        tx.query("DELETE FROM released_objects WHERE digest = $1 AND release_id = $2")
            .bind(digest.as_str())
            .bind(*release_id)
            .execute()
            .await?;
    }
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

/// The objects without references and pins. No pin can be added until the transaction ends.
pub async fn unreferenced(tx: &mut Tx, digests: &[String]) -> Result<Vec<String>> {
    tx.advisory_lock(LOCK).await?;
    let mut used: BTreeSet<String> = BTreeSet::new();
    // Pins first: a concurrent import replaces its pin by references in one commit.
    for sql in [
        "SELECT DISTINCT digest FROM object_pins WHERE digest",
        "SELECT DISTINCT digest FROM object_refs WHERE digest",
    ] {
        let rows: Vec<(String,)> =
            tx.query(sql).push_in(digests.iter().cloned()).fetch_all().await?;
        used.extend(rows.into_iter().map(|(digest,)| digest));
    }
    Ok(digests.iter().filter(|digest| !used.contains(*digest)).cloned().collect())
}
