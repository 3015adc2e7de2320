//! WatchProblemImport: one import until it is complete.

use std::time::Duration;

use cache::Cache;
use service::Watched;
use uuid::Uuid;

use crate::Problems;
use crate::error::{Error, Result};
use crate::import::Report;
use crate::viewer::Viewer;

fn channel(id: &str) -> String {
    format!("problem-import/{id}")
}

/// Notifies all watchers of an import.
pub fn notify(cache: &Cache, id: Uuid) {
    cache.publish(&channel(&id.to_string()), bytes::Bytes::new());
}

pub struct Watch {
    problems: Problems,
    viewer: Viewer,
    id: String,
    report: Option<Report>,
}

impl Problems {
    /// Streams the import now and after every change; ends when it is complete.
    pub async fn watch(&self, viewer: Viewer, id: String) -> Result<service::Views<Watch>> {
        let (cache, shutdown) = (&self.cache, self.shutdown.clone());
        let refresh = Duration::from_millis(self.config.watch_refresh_ms.max(10));
        let channel = channel(&id);
        let watch = Watch { problems: self.clone(), viewer, id, report: None };
        service::watch(cache, &channel, refresh, shutdown, watch).await
    }
}

impl Watched for Watch {
    type View = Report;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<()> {
        self.report = Some(self.problems.report(&self.viewer, &self.id).await?);
        Ok(())
    }

    fn view(&self) -> Result<Report> {
        self.report.clone().ok_or(Error::NotFound("import"))
    }

    fn is_final(report: &Report) -> bool {
        report.import.state != "verifying"
    }
}
