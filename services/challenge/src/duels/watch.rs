//! Live streams of duels and tickets.

use proto::challenge as pb;
use service::Watched;

use super::{channel, tickets, wire};
use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::duel::Duel;
use crate::duel::score::Attempt;
use crate::error::Error;
use crate::matchmaker::Ticket;
use crate::store;

impl Challenge {
    pub async fn watch_duel(
        &self,
        viewer: &Viewer,
        id: &str,
    ) -> Result<service::Views<WatchedDuel>, Error> {
        let duel = self.duel(viewer, id).await?;
        let id = duel.id;
        let watched = WatchedDuel { challenge: self.clone(), duel, attempts: Vec::new() };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        service::watch(&self.cache, &channel(id), refresh, shutdown, watched).await
    }

    pub async fn watch_ticket(
        &self,
        viewer: &Viewer,
        id: &str,
    ) -> Result<service::Views<WatchedTicket>, Error> {
        let ticket = self.ticket(viewer, id).await?;
        let id = ticket.id;
        let watched = WatchedTicket { challenge: self.clone(), ticket };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        service::watch(&self.cache, &tickets::channel(id), refresh, shutdown, watched).await
    }
}

pub struct WatchedDuel {
    challenge: Challenge,
    duel: Duel,
    attempts: Vec<Attempt>,
}

impl Watched for WatchedDuel {
    type View = pb::Duel;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let db = &self.challenge.db;
        self.duel = store::duels::by_id(db, self.duel.id).await?.ok_or(Error::DuelNotFound)?;
        self.attempts = store::duels::attempts(db, &self.duel).await?;
        Ok(())
    }

    fn view(&self) -> Result<pb::Duel, Error> {
        Ok(wire::duel(&self.duel, &self.attempts, self.challenge.clock.now()))
    }

    fn is_final(view: &pb::Duel) -> bool {
        !matches!(view.state(), pb::DuelState::Invited | pb::DuelState::Running)
    }
}

pub struct WatchedTicket {
    challenge: Challenge,
    ticket: Ticket,
}

impl Watched for WatchedTicket {
    type View = pb::Ticket;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let found = store::tickets::by_id(&self.challenge.db, self.ticket.id).await?;
        self.ticket = found.ok_or(Error::TicketNotFound)?;
        Ok(())
    }

    fn view(&self) -> Result<pb::Ticket, Error> {
        Ok(wire::ticket(&self.ticket))
    }

    fn is_final(view: &pb::Ticket) -> bool {
        view.state() != pb::TicketState::Open
    }
}
