//! The use cases of duels: find, list, move and decide them.

pub mod catalog;
pub mod invitations;
pub mod moves;
pub mod scheduler;
pub mod start;
pub mod submissions;
pub mod tickets;
pub mod watch;
pub mod wire;

use access::Caller;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use db::Tx;
use proto::challenge as pb;
use service::Page;
use uuid::Uuid;

use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::duel::{Duel, State};
use crate::error::Error;
use crate::log::{self, Log};
use crate::store::{self, duels::Filter};
use crate::{events, request};

/// The channel that announces changes of a duel.
pub fn channel(id: Uuid) -> String {
    format!("duel/{id}")
}

impl Challenge {
    /// The duel with this id, if the viewer may see it.
    pub(crate) async fn duel(&self, viewer: &Viewer, id: &str) -> Result<Duel, Error> {
        let Some(id) = ids::parse(id) else {
            return Err(Error::invalid("duel_id", "must be a duel id (a UUID)"));
        };
        let duel = store::duels::by_id(&self.db, id).await?;
        duel.filter(|duel| sees(viewer, duel)).ok_or(Error::DuelNotFound)
    }

    /// The duel with this id that the caller may see; `None` if the name is that of another challenge.
    pub(crate) async fn duel_named(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Option<Duel>, Error> {
        let Some(id) = ids::parse(name) else { return Ok(None) };
        let duel = store::duels::by_id(&self.db, id).await?;
        Ok(duel.filter(|duel| sees(&Viewer::of(caller), duel)))
    }

    pub async fn get_duel(&self, viewer: &Viewer, id: &str) -> Result<pb::Duel, Error> {
        let duel = self.duel(viewer, id).await?;
        let attempts = store::duels::attempts(&self.db, &duel).await?;
        Ok(wire::duel(&duel, &attempts, self.clock.now()))
    }

    pub async fn list_duels(
        &self,
        caller: &Caller,
        request: &pb::ListDuelsRequest,
    ) -> Result<pb::ListDuelsResponse, Error> {
        let viewer = Viewer::of(caller);
        let user_id = match request.user_id.as_str() {
            "" => None,
            "me" => Some(caller.user()?.id),
            name if request::is_username(name) => Some(match ids::parse(name) {
                Some(id) => id,
                None => self.peers.user_id(name).await?,
            }),
            _ => {
                let text = "must be a user id, a username or `me`";
                return Err(Error::invalid("user_id", text));
            }
        };
        let state =
            match request.state {
                0 => None,
                number => Some(wire::state_of(number).ok_or_else(|| {
                    Error::invalid("state", "must be a value of the enum DuelState")
                })?),
            };
        let all = viewer.judges_all() || (user_id.is_some() && user_id == viewer.user);
        let filter = Filter { user_id, state, all };
        let args = format!("{filter:?}");
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> =
            Page::open(&self.page_key, "ListDuels", &[args.as_bytes()], size, token)?;
        let rows = store::duels::list(&self.db, &filter, page.after, page.limit()).await?;
        let (duels, next_page_token) = page.close(rows, |last| last.id);
        let now = self.clock.now();
        let duels = duels.iter().map(|duel| wire::listed(duel, now)).collect();
        Ok(pb::ListDuelsResponse { duels, next_page_token })
    }

    /// Locks a duel until the end of the transaction.
    pub(crate) async fn locked_duel(&self, tx: &mut Tx, id: Uuid) -> Result<(Log, Duel), Error> {
        let log = Log::lock(tx, id).await?.ok_or(Error::DuelNotFound)?;
        let duel = store::duels::by_id(tx, id).await?.ok_or(Error::DuelNotFound)?;
        Ok((log, duel))
    }

    /// Applies what the time and the verdicts make of a locked duel.
    pub(crate) async fn settle_duel(
        &self,
        tx: &mut Tx,
        log: &mut Log,
        duel: &mut Duel,
    ) -> Result<(), Error> {
        let attempts = store::duels::attempts(&mut *tx, duel).await?;
        let now = tx.now();
        if duel.settle(&attempts, now) {
            self.save_duel(tx, log, duel, now).await?;
        }
        Ok(())
    }

    /// Saves a changed duel. If it is finished, its players are free and its result is announced.
    pub(crate) async fn save_duel(
        &self,
        tx: &mut Tx,
        log: &mut Log,
        duel: &Duel,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let number = log.append(tx, now, &log::duel(duel)).await?;
        store::duels::save(tx, duel).await?;
        if let (State::Finished, Some(ending)) = (duel.state, duel.ending) {
            let mut users = duel.user_ids();
            users.sort();
            for user in users {
                store::duels::release(tx, user, duel.id).await?;
            }
            events::duel_finished(tx, duel, number);
            tx.after_commit(move || {
                let result = ending.name();
                metrics::counter!("agon_duels_finished_total", "result" => result).increment(1);
            });
        }
        self.notify_duel(tx, duel.id);
        Ok(())
    }

    /// Makes all watchers of a duel read it again once `tx` is committed.
    pub(crate) fn notify_duel(&self, tx: &mut Tx, id: Uuid) {
        let cache = self.cache.clone();
        tx.after_commit(move || cache.publish(&channel(id), Bytes::new()));
    }
}

/// Running and finished duels are public.
fn sees(viewer: &Viewer, duel: &Duel) -> bool {
    let plays = viewer.user.is_some_and(|user| duel.side(user).is_some());
    duel.state.is_public() || plays || viewer.judges_all()
}
