//! Invitations to duels.

use access::Caller;
use chrono::TimeDelta;
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};
use uuid::Uuid;

use super::wire;
use crate::Challenge;
use crate::contest::request::seconds;
use crate::contests::viewer::Viewer;
use crate::duel::{Duel, INVITATION, Mode, Player, State, TIME_LIMIT};
use crate::error::Error;
use crate::log::{self, Log};
use crate::peers::User;
use crate::{events, request, store};

/// The most open invitations of one player.
const MAX_OPEN: usize = 10;
const MAX_PROBLEMS: i64 = 10;
/// The bounds of the time limit, in seconds.
const TIME_LIMITS: (i64, i64) = (60, 4 * 3600);

/// The kind of a duel.
#[derive(Clone, Copy, Debug)]
struct Terms {
    mode: Mode,
    problem_count: i64,
    time_limit: TimeDelta,
    rematch_of: Option<Uuid>,
}

impl Challenge {
    /// Invites a user, once per request id.
    pub async fn invite_to_duel(
        &self,
        caller: &Caller,
        request: &pb::InviteToDuelRequest,
    ) -> Result<pb::Duel, Error> {
        let user = caller.user()?.id;
        let terms = terms(request)?;
        let content = format!("{terms:?}");
        let content = [request.opponent.as_bytes(), content.as_bytes()];
        let once = Idempotent::new(user, "InviteToDuel", &request.request_id, &content);
        if let Some(response) = once.replay(&self.db).await? {
            return Ok(response);
        }
        let User { person, suspended } = self.peers.user(&request.opponent).await?;
        if person.user_id == user {
            return Err(Error::invalid("opponent", "must be another user"));
        }
        if suspended {
            let text = "the invited user is suspended";
            return Err(Error::precondition("USER_SUSPENDED", text));
        }
        let opponent = Player { user_id: person.user_id, name: person.name };
        self.invite_once(caller, opponent, terms, &once).await
    }

    /// Invites the other player of a finished duel again, once per request id.
    pub async fn rematch(
        &self,
        caller: &Caller,
        request: &pb::RequestRematchRequest,
    ) -> Result<pb::Duel, Error> {
        let user = caller.user()?.id;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let duel = self.duel(&Viewer::of(caller), &request.duel_id).await?;
        let once =
            Idempotent::new(user, "RequestRematch", &request.request_id, &[duel.id.as_bytes()]);
        let side = duel.side(user).ok_or(Error::NotPlayer)?;
        if duel.state != State::Finished {
            let text = "the duel is not finished";
            return Err(Error::precondition("DUEL_NOT_FINISHED", text));
        }
        let Duel { id, mode, problem_count, time_limit, .. } = duel;
        let terms = Terms { mode, problem_count, time_limit, rematch_of: Some(id) };
        let opponent = duel.players[side.other().index()].clone();
        self.invite_once(caller, opponent, terms, &once).await
    }

    async fn invite_once(
        &self,
        caller: &Caller,
        opponent: Player,
        terms: Terms,
        once: &Idempotent<'_>,
    ) -> Result<pb::Duel, Error> {
        let user = caller.user()?;
        let challenger = Player { user_id: user.id, name: user.name.clone() };
        let players = &[challenger, opponent];
        let invite = |mut tx: TxGuard| async move {
            check_open_invitations(&mut tx, players).await?;
            let now = tx.now();
            let expires_at = Some(now + INVITATION);
            let duel = Duel {
                id: tx.new_id(),
                mode: terms.mode,
                state: State::Invited,
                ending: None,
                players: players.clone(),
                problem_count: terms.problem_count,
                time_limit: terms.time_limit,
                problems: Vec::new(),
                created_at: now,
                expires_at,
                started_at: None,
                ends_at: None,
                finished_at: None,
                draw_offer: None,
                void_reason: String::new(),
                rematch_of: terms.rematch_of,
                matched: None,
                due_at: expires_at,
            };
            let mut log = Log::create(&mut tx, duel.id).await?;
            let number = log.append(&mut tx, now, &log::duel(&duel)).await?;
            store::duels::save(&mut tx, &duel).await?;
            store::duels::insert_players(&mut tx, &duel).await?;
            events::duel_invited(&mut tx, &duel, number);
            Ok(wire::duel(&duel, &[], now))
        };
        once.run(&self.db, invite).await
    }
}

/// Locks both players, in the order of their ids.
async fn check_open_invitations(tx: &mut Tx, players: &[Player; 2]) -> Result<(), Error> {
    let [user, opponent] = [players[0].user_id, players[1].user_id];
    for id in [user.min(opponent), user.max(opponent)] {
        store::duels::lock_player(tx, id).await?;
    }
    let sent = store::duels::invited_by(&mut *tx, user).await?;
    let received = store::duels::invited_by(&mut *tx, opponent).await?;
    if sent.contains(&opponent) || received.contains(&user) {
        let text = "there is an open invitation between the two players";
        return Err(Error::Exists("DUEL_EXISTS", text.into()));
    }
    if sent.len() >= MAX_OPEN {
        return Err(Error::TooManyInvitations(MAX_OPEN));
    }
    Ok(())
}

fn terms(request: &pb::InviteToDuelRequest) -> Result<Terms, Error> {
    let mut violations = Violations::default();
    let what = "must be a user id or a username";
    violations.check(request::is_username(&request.opponent), "opponent", what);
    let mode = wire::mode_of(request.mode);
    violations.check(mode.is_some(), "mode", "must be a value of the enum DuelMode");
    let mode = mode.unwrap_or(Mode::FirstToSolve);
    let problem_count = match i64::from(request.problem_count) {
        0 => mode.default_problem_count(),
        count => count,
    };
    let most = if mode == Mode::FirstToSolve { 1 } else { MAX_PROBLEMS };
    if !(1..=most).contains(&problem_count) {
        let what =
            format!("must be at most {most} in this mode, and not negative, got {problem_count}");
        violations.add("problem_count", what);
    }
    let time_limit = match &request.time_limit {
        None => TIME_LIMIT,
        limit => seconds(limit.as_ref(), TIME_LIMITS.0, TIME_LIMITS.1).unwrap_or_else(|what| {
            violations.add("time_limit", what);
            TIME_LIMIT
        }),
    };
    check_request_id(&mut violations, &request.request_id);
    violations.into_result()?;
    Ok(Terms { mode, problem_count, time_limit, rematch_of: None })
}
