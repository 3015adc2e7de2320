//! Replays dead letters that an operator has marked.

use super::Processor;
use crate::cursor;
use crate::dead_letters;
use crate::{Fault, Received};

impl Processor<'_> {
    /// Replays marked keys one after the other, each in order until an event fails that could be decoded.
    pub(super) async fn replay(&mut self) -> db::Result<()> {
        let (db, consumer, scope) = (self.db(), self.consumer(), self.scope);
        for (key,) in scope.keys_to_replay(db).await? {
            while let Some(event) = scope.next_to_replay(db, key).await? {
                match self.replay_event(&event).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(fault) => {
                        let (topic, event_id) = (self.topic.name, event.id);
                        tracing::warn!(consumer, topic, %event_id, %fault, "replay failed");
                        dead_letters::replay_failed(db, consumer, &event, &fault).await?;
                        if fault.blocks_key() {
                            break;
                        }
                    }
                }
            }
        }
        self.load_dead_letters().await
    }

    /// Applies and deletes a dead letter. Returns false if another process moved the cursor or deleted it.
    async fn replay_event(&mut self, event: &Received) -> Result<bool, Fault> {
        let Some(at) = self.at else { return Ok(false) };
        let mut tx = self.db().begin().await?;
        let result = async {
            // Locks the cursor without moving it.
            let locked = cursor::advance(&mut tx, self.consumer(), &self.name, at, at).await?;
            if !locked || !dead_letters::delete(&mut tx, self.consumer(), event).await? {
                return Ok(false);
            }
            self.handle(&mut tx, event).await.map(|()| true)
        }
        .await;
        match result {
            Ok(true) => tx.commit().await.map(|()| true).map_err(Fault::from),
            Ok(false) => {
                tx.rollback().await;
                self.at = None;
                Ok(false)
            }
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }
}
