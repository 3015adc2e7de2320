//! Calls about duels, for tests.

use proto::challenge::duel_service_client::DuelServiceClient;
use proto::challenge::matchmaking_service_client::MatchmakingServiceClient;
use proto::challenge::*;
use proto::event::{ProblemCreated, ProblemPublished};
use rpc::Channel;
use tonic::Status;
use uuid::Uuid;

use crate::world::*;

/// Calls an RPC about a duel; all have the same shape.
macro_rules! act {
    ($world:expr, $user:expr, $rpc:ident, $message:ident, $duel:expr) => {{
        let request = $message { duel_id: $duel.duel_id.clone(), ..Default::default() };
        let answer = $world.duels().$rpc($world.request($user, request)).await;
        answer.map(|response| response.into_inner().duel.unwrap())
    }};
}
pub(crate) use act;

impl World {
    pub fn duels(&self) -> DuelServiceClient<Channel> {
        DuelServiceClient::new(self.running.channel.clone())
    }

    pub fn tickets(&self) -> MatchmakingServiceClient<Channel> {
        MatchmakingServiceClient::new(self.running.channel.clone())
    }

    /// Adds a public problem with an owner, as the problem service would; returns its id.
    pub async fn published(&self, slug: &str, owner: &User, difficulty: i32) -> Uuid {
        let problem_id = self.fakes.problem(slug);
        let id: Uuid = problem_id.parse().unwrap();
        let created =
            ProblemCreated { problem_id: problem_id.clone(), owner_id: owner.id.to_string() };
        self.base.publish(&PROBLEM, id, &created).await;
        let published =
            ProblemPublished { problem_id, version: 1, public: true, difficulty, tags: Vec::new() };
        self.base.publish(&PROBLEM, id, &published).await;
        self.known(id, true).await;
        id
    }

    /// Waits until duels can have a problem, or cannot.
    pub async fn known(&self, id: Uuid, public: bool) {
        db::testing::eventually("the catalog has the problem", || async {
            let sql = "SELECT COUNT(*) FROM problem_catalog
                       WHERE problem_id = $1 AND public AND NOT deleted AND published_at IS NOT NULL";
            let count: i64 = self.db.query(sql).bind(id).fetch_scalar().await.unwrap();
            (count == 1) == public
        })
        .await;
    }

    pub async fn challenge(
        &self,
        user: &User,
        request: InviteToDuelRequest,
    ) -> Result<Duel, Status> {
        let response = self.duels().invite_to_duel(self.request(user, request)).await?;
        Ok(response.into_inner().duel.unwrap())
    }

    /// An invitation to a duel of the default kind.
    pub async fn invited(&self, user: &User, opponent: &str) -> Duel {
        let request = InviteToDuelRequest { opponent: opponent.into(), ..Default::default() };
        self.challenge(user, request).await.unwrap()
    }

    pub async fn duel(&self, user: &User, id: &str) -> Result<Duel, Status> {
        let request = GetDuelRequest { duel_id: id.into() };
        let response = self.duels().get_duel(self.request(user, request)).await?;
        Ok(response.into_inner().duel.unwrap())
    }

    /// Waits until a duel is in a state.
    pub async fn reaches(&self, user: &User, id: &str, state: DuelState) -> Duel {
        db::testing::eventually("the duel reaches its state", || async {
            self.duel(user, id).await.unwrap().state() == state
        })
        .await;
        self.duel(user, id).await.unwrap()
    }

    pub async fn list_duels(&self, user: &User, request: ListDuelsRequest) -> ListDuelsResponse {
        let response = self.duels().list_duels(self.request(user, request)).await.unwrap();
        response.into_inner()
    }

    pub async fn create_ticket(&self, user: &User, mode: DuelMode) -> Result<Ticket, Status> {
        let request = CreateTicketRequest { mode: mode.into(), ..Default::default() };
        let response = self.tickets().create_ticket(self.request(user, request)).await?;
        Ok(response.into_inner().ticket.unwrap())
    }

    pub async fn ticket(&self, user: &User, id: &str) -> Result<Ticket, Status> {
        let request = GetTicketRequest { ticket_id: id.into() };
        let response = self.tickets().get_ticket(self.request(user, request)).await?;
        Ok(response.into_inner().ticket.unwrap())
    }
}
