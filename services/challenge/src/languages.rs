//! The languages that the judge offers, cached.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use access::Authorised;
use proto::judge::ListLanguagesRequest;
use proto::judge::language_service_client::LanguageServiceClient;
use tokio::sync::Mutex;
use tonic::Request;

/// A list of at most this age may confirm a language.
const MAX_AGE_TO_ACCEPT: Duration = Duration::from_secs(60);
/// A list of at most this age may refuse a language.
const MAX_AGE_TO_REFUSE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone)]
pub struct Languages(Arc<Inner>);

struct Inner {
    client: LanguageServiceClient<Authorised>,
    known: RwLock<Option<Known>>,
    // Held during the call, so that a burst of submissions makes one call.
    fetching: Mutex<()>,
}

#[derive(Clone)]
struct Known {
    ids: Arc<[String]>,
    at: Instant,
}

impl Known {
    fn has(&self, language: &str) -> bool {
        self.ids.iter().any(|id| id == language)
    }
}

impl Languages {
    pub fn new(judge: Authorised) -> Self {
        let client = LanguageServiceClient::new(judge);
        Self(Arc::new(Inner { client, known: RwLock::default(), fetching: Mutex::default() }))
    }

    /// Checks that a submission in this language can be judged; otherwise returns the ids of the languages that can.
    ///
    /// Succeeds when the judge is unavailable or has no worker: then submissions are accepted and wait for a worker.
    pub async fn check(&self, language: &str) -> Result<(), Arc<[String]>> {
        if let Some(known) = self.known(MAX_AGE_TO_ACCEPT)
            && known.has(language)
        {
            return Ok(());
        }
        let known = self.current().await;
        if known.ids.is_empty() || known.has(language) { Ok(()) } else { Err(known.ids) }
    }

    fn known(&self, age: Duration) -> Option<Known> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.at.elapsed() < age).cloned()
    }

    async fn current(&self) -> Known {
        let _fetching = self.0.fetching.lock().await;
        if let Some(known) = self.known(MAX_AGE_TO_REFUSE) {
            return known;
        }
        let mut request = Request::new(ListLanguagesRequest {});
        request.set_timeout(TIMEOUT);
        let ids = match self.0.client.clone().list_languages(request).await {
            Ok(answer) => {
                let languages = answer.into_inner().languages;
                languages.into_iter().map(|language| language.language_id).collect()
            }
            Err(status) => {
                tracing::warn!(cause = %status, "cannot list languages, using the cached list");
                let before = self.known(Duration::MAX);
                before.map_or_else(|| Arc::from([]), |known| known.ids)
            }
        };
        let known = Known { ids, at: Instant::now() };
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        known
    }
}
