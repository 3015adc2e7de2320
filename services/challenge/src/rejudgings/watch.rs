//! WatchRejudging: a rejudging until it is applied or discarded.

use bytes::Bytes;
use proto::challenge as pb;
use service::Watched;

use super::{channel, wire};
use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::error::Error;
use crate::rejudging::{Count, Rejudging};
use crate::store;

pub struct WatchedRejudging {
    challenge: Challenge,
    rejudging: Rejudging,
    counts: Vec<Count>,
}

impl Challenge {
    pub async fn watch_rejudging(
        &self,
        viewer: &Viewer,
        request: &pb::WatchRejudgingRequest,
    ) -> Result<service::Views<WatchedRejudging>, Error> {
        let (_, rejudging) =
            self.rejudging(viewer, &request.contest_id, &request.rejudging_id).await?;
        let id = rejudging.id;
        let watched = WatchedRejudging { challenge: self.clone(), rejudging, counts: Vec::new() };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        service::watch(&self.cache, &channel(id), refresh, shutdown, watched).await
    }
}

impl Watched for WatchedRejudging {
    type View = pb::Rejudging;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let Rejudging { id, contest_id, .. } = self.rejudging;
        let db = &self.challenge.db;
        let found = store::rejudgings::find(db, contest_id, id).await?;
        self.rejudging = found.ok_or(Error::RejudgingNotFound)?;
        self.counts = store::rejudgings::counts(db, &[id]).await?;
        Ok(())
    }

    fn apply(&mut self, _: Bytes) -> bool {
        true
    }

    fn view(&self) -> Result<pb::Rejudging, Error> {
        Ok(wire::rejudging(&self.rejudging, &self.counts))
    }

    fn is_final(view: &pb::Rejudging) -> bool {
        view.state() != pb::RejudgingState::Open
    }
}
