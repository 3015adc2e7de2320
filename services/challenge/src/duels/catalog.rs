//! What duels learn from other services: which problems there are, which were withdrawn, and which users were suspended.

use bus::{Fault, Received};
use chrono::{DateTime, Utc};
use db::Tx;
use proto::event::{
    ProblemCreated, ProblemDeleted, ProblemPublished, ProblemUndeleted, ProblemUpdated,
    UserAccessChanged,
};
use uuid::Uuid;

use crate::Challenge;
use crate::duel::State;
use crate::error::Error;
use crate::store::{self, catalog::Entry};

/// Why a duel is voided whose problem is withdrawn.
const WITHDRAWN: &str = "a problem of the duel was withdrawn";

/// The consumer of the events of problems and users.
pub struct Catalog(pub Challenge);

impl bus::Handler for Catalog {
    fn handles(&self, event: &Received) -> bool {
        event.is::<ProblemCreated>()
            || event.is::<ProblemUpdated>()
            || event.is::<ProblemPublished>()
            || event.is::<ProblemDeleted>()
            || event.is::<ProblemUndeleted>()
            || event.is::<UserAccessChanged>()
    }

    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        let handled = if event.is::<UserAccessChanged>() {
            let changed: UserAccessChanged = event.decode()?;
            let user = id("user_id", &changed.user_id)?;
            match changed.suspended {
                true => self.0.suspend_player(tx, user, event.time).await,
                false => Ok(()),
            }
        } else {
            let mut entry = store::catalog::find(tx, event.aggregate_id).await?;
            apply(&mut entry, event)?;
            store::catalog::save(tx, event.aggregate_id, &entry).await?;
            match entry.public && !entry.deleted {
                true => Ok(()),
                false => self.0.void_duels_with(tx, event.aggregate_id, event.time).await,
            }
        };
        match handled {
            Ok(()) => Ok(()),
            Err(Error::Common(error)) => Err(error.into()),
            Err(error) => Err(Fault::permanent(error.to_string())),
        }
    }
}

fn id(field: &str, text: &str) -> Result<Uuid, Fault> {
    ids::parse(text).ok_or_else(|| Fault::undecodable(format!("{field} {text:?} must be a UUID")))
}

/// Applies an event of a problem.
fn apply(entry: &mut Entry, event: &Received) -> Result<(), Fault> {
    if event.is::<ProblemCreated>() {
        let created: ProblemCreated = event.decode()?;
        entry.owner_id = Some(id("owner_id", &created.owner_id)?);
    } else if event.is::<ProblemUpdated>() {
        let updated: ProblemUpdated = event.decode()?;
        (entry.public, entry.difficulty) = (updated.public, updated.difficulty.into());
    } else if event.is::<ProblemPublished>() {
        let published: ProblemPublished = event.decode()?;
        (entry.public, entry.difficulty) = (published.public, published.difficulty.into());
        entry.published_at.get_or_insert(event.time);
    } else if event.is::<ProblemUndeleted>() {
        let undeleted: ProblemUndeleted = event.decode()?;
        (entry.public, entry.deleted) = (undeleted.public, false);
    } else if event.is::<ProblemDeleted>() {
        entry.deleted = true;
    }
    Ok(())
}

impl Challenge {
    /// Voids the running duels with a problem that started before its withdrawal.
    async fn void_duels_with(
        &self,
        tx: &mut Tx,
        problem: Uuid,
        withdrawn_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        for id in store::duels::open_with_problem(&mut *tx, problem).await? {
            let (mut log, mut duel) = self.locked_duel(tx, id).await?;
            let affected = duel.started_at.is_some_and(|start| start <= withdrawn_at);
            if affected && duel.state == State::Running {
                let now = tx.now();
                duel.void(WITHDRAWN, now)?;
                self.save_duel(tx, &mut log, &duel, now).await?;
            }
        }
        Ok(())
    }

    /// Ends the duels of a user that were created before the suspension.
    async fn suspend_player(
        &self,
        tx: &mut Tx,
        user: Uuid,
        suspended_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        for id in store::duels::open_of_player(&mut *tx, user).await? {
            let (mut log, mut duel) = self.locked_duel(tx, id).await?;
            let now = tx.now();
            let Some(side) = duel.side(user).filter(|_| duel.created_at <= suspended_at) else {
                continue;
            };
            if duel.suspend(side, now) {
                self.save_duel(tx, &mut log, &duel, now).await?;
            }
        }
        self.cancel_ticket(tx, user).await
    }
}
