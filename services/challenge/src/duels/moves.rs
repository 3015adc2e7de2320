//! What players and the jury do with a duel.

use access::Caller;
use db::TxGuard;
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};

use super::wire;
use crate::Challenge;
use crate::contests::jury::check_reason;
use crate::contests::viewer::Viewer;
use crate::duel::Move;
use crate::error::Error;
use crate::store;

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Accept,
    Make(Move),
}

impl Step {
    fn rpc(self) -> &'static str {
        match self {
            Self::Accept => "AcceptDuel",
            Self::Make(Move::Decline) => "DeclineDuel",
            Self::Make(Move::Cancel) => "CancelDuel",
            Self::Make(Move::Forfeit) => "ForfeitDuel",
            Self::Make(Move::OfferDraw) => "OfferDraw",
            Self::Make(Move::AcceptDraw) => "AcceptDraw",
        }
    }
}

impl Challenge {
    /// Makes a move for the caller, once per request id.
    pub async fn move_duel(
        &self,
        caller: &Caller,
        duel_id: &str,
        request_id: &str,
        step: Step,
    ) -> Result<pb::Duel, Error> {
        let user = caller.user()?.id;
        let mut violations = Violations::default();
        check_request_id(&mut violations, request_id);
        violations.into_result()?;
        let id = self.duel(&Viewer::of(caller), duel_id).await?.id;
        let once = Idempotent::new(user, step.rpc(), request_id, &[id.as_bytes()]);
        let change = |mut tx: TxGuard| async move {
            let (mut log, mut duel) = self.locked_duel(&mut tx, id).await?;
            let side = duel.side(user).ok_or(Error::NotPlayer)?;
            let now = tx.now();
            let attempts = store::duels::attempts(&mut *tx, &duel).await?;
            // The time may be over before the scheduler notices.
            duel.settle(&attempts, now);
            match step {
                Step::Accept => {
                    duel.check_accept(side, now)?;
                    self.start_duel(&mut tx, &mut log, &mut duel, None).await?;
                }
                Step::Make(made) => {
                    duel.make(made, side, now)?;
                    self.save_duel(&mut tx, &mut log, &duel, now).await?;
                }
            }
            Ok(wire::duel(&duel, &attempts, now))
        };
        once.run(&self.db, change).await
    }

    /// Voids a duel for the jury, once per request id.
    pub async fn void_duel(
        &self,
        caller: &Caller,
        request: &pb::VoidDuelRequest,
    ) -> Result<pb::Duel, Error> {
        let user = caller.user()?.id;
        let pb::VoidDuelRequest { duel_id, reason, request_id } = request;
        let mut violations = Violations::default();
        if let Err(what) = check_reason(reason) {
            violations.add("reason", what);
        }
        check_request_id(&mut violations, request_id);
        violations.into_result()?;
        let viewer = Viewer::of(caller);
        let id = self.duel(&viewer, duel_id).await?.id;
        if !viewer.judges_all() {
            return Err(Error::NotJury);
        }
        let content = [id.as_bytes().as_slice(), reason.as_bytes()];
        let once = Idempotent::new(user, "VoidDuel", request_id, &content);
        let void = |mut tx: TxGuard| async move {
            let (mut log, mut duel) = self.locked_duel(&mut tx, id).await?;
            let now = tx.now();
            duel.void(reason.trim(), now)?;
            self.save_duel(&mut tx, &mut log, &duel, now).await?;
            let attempts = store::duels::attempts(&mut *tx, &duel).await?;
            Ok(wire::duel(&duel, &attempts, now))
        };
        once.run(&self.db, void).await
    }
}
