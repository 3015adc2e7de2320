//! The audit log: security events in a hash chain.
//!
//! Events are written at the end of the transaction that causes them, so that the lock of the chain
//! is held briefly.

use chrono::{DateTime, Utc};
use db::{AtCommit, Tx};
use uuid::Uuid;

use crate::secret::sha256;
use crate::store::audit as store;

/// A security event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// For example `user.suspended`.
    pub kind: &'static str,
    pub actor_id: Option<Uuid>,
    pub subject_id: Option<Uuid>,
    /// Must not contain secrets.
    pub detail: serde_json::Value,
}

/// Appends an event when `tx` commits.
pub fn append(tx: &mut Tx, entry: Entry) {
    let now = tx.now();
    tx.at_commit::<Chain>().entries.push((now, entry));
}

#[derive(Default)]
struct Chain {
    entries: Vec<(DateTime<Utc>, Entry)>,
}

impl AtCommit for Chain {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        tx.advisory_lock("audit_log").await?;
        let (mut sequence, mut hash) = store::last(&mut *tx).await?.unwrap_or_default();
        for (occurred_at, entry) in self.entries {
            sequence += 1;
            let mut record = store::Record {
                sequence,
                occurred_at,
                kind: entry.kind.to_owned(),
                actor_id: entry.actor_id,
                subject_id: entry.subject_id,
                detail: entry.detail.to_string(),
                hash: Vec::new(),
            };
            record.hash = chain_hash(&record, &hash);
            store::append(tx, &record).await?;
            hash = record.hash;
        }
        Ok(())
    }
}

/// The hash of a record, given that of the previous one.
fn chain_hash(record: &store::Record, previous: &[u8]) -> Vec<u8> {
    let fields = serde_json::json!([
        record.sequence,
        record.occurred_at.timestamp_micros(),
        record.kind,
        record.actor_id,
        record.subject_id,
        record.detail,
    ]);
    let mut text = previous.to_vec();
    text.extend_from_slice(fields.to_string().as_bytes());
    sha256(&text)
}

/// The sequence number of the first record that breaks the chain.
pub fn first_broken(records: &[store::Record]) -> Option<i64> {
    let mut previous: &[u8] = &[];
    for (index, record) in records.iter().enumerate() {
        let in_order = i64::try_from(index).is_ok_and(|index| record.sequence == index + 1);
        if !in_order || record.hash != chain_hash(record, previous) {
            return Some(record.sequence);
        }
        previous = &record.hash;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<store::Record> {
        let mut records: Vec<store::Record> = Vec::new();
        for sequence in 1..=4 {
            let mut record = store::Record {
                sequence,
                occurred_at: DateTime::from_timestamp(sequence, 0).unwrap(),
                kind: "user.suspended".into(),
                actor_id: Some(Uuid::from_u128(1)),
                subject_id: None,
                detail: "{}".into(),
                hash: Vec::new(),
            };
            record.hash = chain_hash(&record, records.last().map_or(&[], |last| &last.hash));
            records.push(record);
        }
        records
    }

    #[test]
    fn any_change_breaks_the_chain() {
        assert_eq!(first_broken(&chain()), None);
        let broken = |change: fn(&mut Vec<store::Record>)| {
            let mut records = chain();
            change(&mut records);
            first_broken(&records)
        };
        assert_eq!(broken(|r| r[1].kind.push('x')), Some(2));
        assert_eq!(broken(|r| r[2].actor_id = None), Some(3));
        assert_eq!(broken(|r| drop(r.remove(0))), Some(2));
        assert_eq!(broken(|r| r.swap(0, 1)), Some(2));
    }
}
