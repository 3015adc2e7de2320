//! The languages on offer, remembered for a while.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use access::Authorised;
use proto::judge::ListLanguagesRequest;
use proto::judge::language_service_client::LanguageServiceClient;
use tokio::sync::Mutex;
use tonic::Request;

/// A list this old is still good for saying yes.
const FRESH: Duration = Duration::from_secs(60);
/// Before saying no, a list must not be older than this.
const CURRENT: Duration = Duration::from_secs(1);
/// How long the judge may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the judge offers. Cheap to clone.
#[derive(Clone)]
pub struct Languages(Arc<Inner>);

struct Inner {
    client: LanguageServiceClient<Authorised>,
    known: RwLock<Option<Known>>,
    // Held while asking, so that a burst of submissions asks once.
    asking: Mutex<()>,
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
    /// Nothing known yet.
    pub fn new(judge: Authorised) -> Self {
        let client = LanguageServiceClient::new(judge);
        Self(Arc::new(Inner { client, known: RwLock::default(), asking: Mutex::default() }))
    }

    /// Whether a submission in this language can be judged.
    ///
    /// When the judge does not answer or has no worker at the moment, nobody can tell, and the
    /// answer is yes: submissions wait for a worker, they are not turned away for the lack of one.
    pub async fn offer(&self, language: &str) -> bool {
        if let Some(known) = self.known(FRESH)
            && known.has(language)
        {
            return true;
        }
        let known = self.current().await;
        known.ids.is_empty() || known.has(language)
    }

    fn known(&self, age: Duration) -> Option<Known> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.at.elapsed() < age).cloned()
    }

    async fn current(&self) -> Known {
        let _asking = self.0.asking.lock().await;
        if let Some(known) = self.known(CURRENT) {
            return known;
        }
        let mut request = Request::new(ListLanguagesRequest {});
        request.set_timeout(PATIENCE);
        let ids = match self.0.client.clone().list_languages(request).await {
            Ok(answer) => {
                let languages = answer.into_inner().languages;
                languages.into_iter().map(|language| language.language_id).collect()
            }
            Err(status) => {
                tracing::warn!(cause = %status, "the judge did not tell its languages");
                // What it offered before it fell silent still holds.
                let before = self.known(Duration::MAX);
                before.map_or_else(|| Arc::from([]), |known| known.ids)
            }
        };
        let known = Known { ids, at: Instant::now() };
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        known
    }
}
