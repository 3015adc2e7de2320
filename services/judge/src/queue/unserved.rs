//! Waiting jobs that no connected worker can take, because it does not offer their language.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto::judge as pb;
use tokio::time::Instant;

use super::Queue;
use super::workers::{LANGUAGES_TTL, read_all};
use crate::error::Error;
use crate::measure;
use crate::store;

/// The languages of the connected workers, and when they were read.
pub(super) type CachedOffer = Option<(Instant, Arc<Offer>)>;

/// The languages that the connected workers of all instances offer.
#[derive(Debug, Default)]
pub(super) struct Offer {
    worker_count: usize,
    languages: BTreeSet<String>,
    /// Whether all workers have tested their languages.
    complete: bool,
}

impl Offer {
    fn of(workers: Vec<pb::WorkerHello>) -> Offer {
        Offer {
            worker_count: workers.len(),
            complete: workers.iter().all(|worker| worker.languages_complete),
            languages: workers
                .into_iter()
                .flat_map(|worker| worker.languages)
                .map(|language| language.language_id)
                .collect(),
        }
    }

    /// Why a job in this language waits; `None` if a worker can take it. Jobs without a language fit every worker.
    fn lacks(&self, language: &str) -> Option<String> {
        if self.worker_count == 0 {
            return Some("no worker is connected".into());
        }
        let lacks = self.complete && !language.is_empty() && !self.languages.contains(language);
        lacks.then(|| format!("no connected worker offers the language {language}"))
    }
}

impl Queue {
    /// The languages of the workers; `None` shortly after the start, when they are not all known.
    async fn offer_of_workers(&self) -> Result<Option<Arc<Offer>>, Error> {
        if self.is_starting() {
            return Ok(None);
        }
        let cached = self.cached_offer().clone();
        if let Some((since, offer)) = cached
            && since.elapsed() < LANGUAGES_TTL
        {
            return Ok(Some(offer));
        }
        let since = Instant::now();
        let hellos = store::workers::live_hellos(&self.0.db, self.heard_since()).await?;
        let offer = Arc::new(Offer::of(read_all(hellos)?));
        *self.cached_offer() = Some((since, offer.clone()));
        Ok(Some(offer))
    }

    /// Why a waiting job in this language cannot be taken; `None` if a connected worker can take it.
    pub async fn waits_for(&self, language: &str) -> Result<Option<String>, Error> {
        Ok(self.offer_of_workers().await?.and_then(|offer| offer.lacks(language)))
    }

    /// Marks the languages that no connected worker offers.
    pub async fn mark_unserved(&self, languages: &mut [pb::Language]) -> Result<(), Error> {
        let offer = self.offer_of_workers().await?;
        for language in languages {
            let lacks = |offer: &Arc<Offer>| offer.lacks(&language.language_id).is_some();
            language.unserved = offer.as_ref().is_some_and(lacks);
        }
        Ok(())
    }

    /// The languages of waiting jobs that no connected worker offers, sorted.
    pub async fn unserved_languages(&self) -> Result<Vec<String>, Error> {
        let queued = store::queued_languages(&self.0.db).await?;
        if queued.is_empty() {
            return Ok(Vec::new());
        }
        let Some(offer) = self.offer_of_workers().await? else { return Ok(Vec::new()) };
        let lacks = |id: &String| !id.is_empty() && offer.lacks(id).is_some();
        Ok(queued.into_iter().filter(lacks).collect())
    }

    /// Reports the languages that no connected worker offers, and logs them when they change.
    pub(super) async fn report_unserved(&self, known: &mut Vec<String>) {
        // The database reports its own failures.
        let Ok(languages) = self.unserved_languages().await else { return };
        measure::unserved(languages.len());
        if languages != *known && !languages.is_empty() {
            tracing::warn!(?languages, "jobs wait for a worker");
        }
        *known = languages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(language: &str, languages_complete: bool) -> pb::WorkerHello {
        let languages =
            vec![pb::Language { language_id: language.to_owned(), ..Default::default() }];
        pb::WorkerHello { languages, languages_complete, ..Default::default() }
    }

    #[test]
    fn missing_languages_are_known_once_all_workers_have_tested_theirs() {
        let lacks = |workers: &[pb::WorkerHello], language| {
            Offer::of(workers.to_vec()).lacks(language).unwrap_or_default()
        };
        assert_eq!(lacks(&[], "c17"), "no worker is connected");
        let (c, java) = (worker("c17", true), worker("java", true));
        let text = "no connected worker offers the language java";
        assert_eq!(lacks(std::slice::from_ref(&c), "java"), text);
        for (workers, language) in [
            (vec![c.clone()], ""),
            (vec![c.clone()], "c17"),
            (vec![c.clone(), java], "java"),
            (vec![c, worker("go", false)], "java"),
        ] {
            assert_eq!(lacks(&workers, language), "", "{workers:?}");
        }
    }
}
