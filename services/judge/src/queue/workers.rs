//! The workers of all instances and what they offer, as the database knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use db::Tx;
use prost::Message;
use proto::judge as pb;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Queue, lost};
use crate::error::Error;
use crate::judgement::timestamp;
use crate::store;

/// How often the workers that are connected here are noted.
pub(super) const NOTE: Duration = Duration::from_secs(15);
/// A worker that nobody has heard for so long is no longer listed.
const SILENCE: chrono::Duration = chrono::Duration::seconds(60);
/// For so long a list of languages is good.
const FRESH: Duration = Duration::from_millis(500);

/// A list of languages, and since when.
pub(super) type Listed = Option<(Instant, Vec<pb::Language>)>;

type Languages = BTreeMap<String, pb::Language>;

impl Queue {
    /// Takes over what a worker says of itself.
    pub(super) async fn register(
        &self,
        stream: Uuid,
        hello: &pb::WorkerHello,
        first: bool,
    ) -> Result<(), Error> {
        let register = |mut tx: db::TxGuard| async move {
            // One after the other: two that offer different languages must know of each other.
            tx.advisory_lock("workers").await?;
            let now = tx.now();
            let lost = match first {
                true => {
                    store::workers::connected(&mut tx, stream, hello, now).await?;
                    lost::succeed(&mut tx, hello).await?
                }
                false => {
                    store::workers::heard(&mut tx, stream, hello, now).await?;
                    Vec::new()
                }
            };
            self.offer(&mut tx, hello).await?;
            Ok::<_, Error>(lost)
        };
        let lost = self.0.db.transact(register).await?;
        self.listed().take();
        self.lost(&lost);
        Ok(())
    }

    async fn offer(&self, tx: &mut Tx, hello: &pb::WorkerHello) -> Result<(), Error> {
        let known = by_id(read_all(store::workers::languages(&mut *tx).await?)?);
        let live = store::workers::live(&mut *tx, self.living_since()).await?;
        let live: Vec<pb::WorkerHello> = read_all(live.into_iter().map(|worker| worker.hello))?;
        let before = match known.is_empty() {
            true => by_id(self.0.configured.clone()),
            false => known.clone(),
        };
        let offered = offered(before, hello, &live);
        for (id, language) in &offered {
            if known.get(id) != Some(language) {
                store::workers::offer(tx, language).await?;
            }
        }
        for id in known.keys().filter(|id| !offered.contains_key(*id)) {
            store::workers::withdraw(tx, id).await?;
        }
        Ok(())
    }

    /// Notes who is connected here, and forgets who is nowhere.
    pub(super) async fn note_workers(&self) -> db::Result<()> {
        let since = self.living_since();
        let heard: Vec<_> = {
            let state = self.state();
            let heard = state.links.iter().filter(|(_, link)| link.seen >= since);
            heard.map(|(stream, link)| (*stream, link.hello.clone(), link.seen)).collect()
        };
        let heard = &heard;
        let note = |mut tx: db::TxGuard| async move {
            for (stream, hello, seen) in heard {
                store::workers::heard(&mut tx, *stream, hello, *seen).await?;
            }
            store::workers::sweep(&mut tx, since).await
        };
        self.0.db.transact(note).await
    }

    fn living_since(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.db.clock().now() - self.0.config.lease().max(SILENCE)
    }

    /// The workers of all instances, by name.
    pub async fn workers(&self) -> Result<Vec<pb::Worker>, Error> {
        let mut workers = Vec::new();
        for worker in store::workers::live(&self.0.db, self.living_since()).await? {
            let hello: pb::WorkerHello = read(&worker.hello)?;
            // Of those that are connected here it is known exactly.
            let seen = self.state().links.get(&worker.stream).map(|link| link.seen);
            workers.push(pb::Worker {
                worker_id: hello.worker_id,
                slot_count: hello.slot_count,
                busy_count: i32::try_from(worker.busy_count).unwrap_or(i32::MAX),
                isolation: hello.isolation,
                languages: hello.languages.into_iter().map(|l| l.language_id).collect(),
                seen_time: Some(timestamp(seen.unwrap_or(worker.seen_at))),
            });
        }
        workers.sort_by(|a, b| a.worker_id.cmp(&b.worker_id));
        Ok(workers)
    }

    /// The languages on offer, by id.
    pub async fn languages(&self) -> Result<Vec<pb::Language>, Error> {
        let listed = self.listed().clone();
        if let Some((since, languages)) = listed
            && since.elapsed() < FRESH
        {
            return Ok(languages);
        }
        let since = Instant::now();
        let stored = read_all(store::workers::languages(&self.0.db).await?)?;
        let languages = if stored.is_empty() { self.0.configured.clone() } else { stored };
        *self.listed() = Some((since, languages.clone()));
        Ok(languages)
    }
}

/// What is on offer after a worker said what it can: nothing goes while a worker is still trying.
fn offered(before: Languages, hello: &pb::WorkerHello, live: &[pb::WorkerHello]) -> Languages {
    let mut offered = before;
    offered.extend(by_id(hello.languages.clone()));
    if live.iter().all(|worker| worker.languages_complete) {
        let known = live.iter().flat_map(|worker| &worker.languages);
        let known: BTreeSet<&str> = known.map(|language| language.language_id.as_str()).collect();
        offered.retain(|id, _| known.contains(id.as_str()));
    }
    offered
}

fn by_id(languages: Vec<pb::Language>) -> Languages {
    languages.into_iter().map(|language| (language.language_id.clone(), language)).collect()
}

fn read_all<M: Message + Default>(
    stored: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Vec<M>, Error> {
    stored.into_iter().map(|stored| read(&stored)).collect()
}

fn read<M: Message + Default>(stored: &[u8]) -> Result<M, Error> {
    M::decode(stored).map_err(Error::stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(languages: &[&str], languages_complete: bool) -> pb::WorkerHello {
        let language = |id: &&str| pb::Language { language_id: (*id).into(), ..Default::default() };
        let languages = languages.iter().map(language).collect();
        pb::WorkerHello { languages, languages_complete, ..Default::default() }
    }

    #[test]
    fn languages_go_when_all_have_tried_and_none_has_them() {
        let ids = |languages: Languages| languages.into_keys().collect::<Vec<_>>();
        let before = || by_id(worker(&["c", "java"], true).languages);
        let trying = worker(&["c"], false);
        let hello = std::slice::from_ref(&trying);
        assert_eq!(ids(offered(before(), &trying, hello)), ["c", "java"]);
        let done = worker(&["c", "go"], true);
        let others = [done.clone(), trying];
        assert_eq!(ids(offered(before(), &done, &others)), ["c", "go", "java"]);
        let others = [done.clone(), worker(&["java"], true)];
        assert_eq!(ids(offered(before(), &done, &others)), ["c", "go", "java"]);
        let others = [done.clone(), worker(&["c"], true)];
        assert_eq!(ids(offered(before(), &done, &others)), ["c", "go"]);
    }
}
