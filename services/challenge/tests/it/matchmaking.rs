//! Tickets and the matchmaker.

use proto::challenge::*;
use tonic::Code;

use crate::contest_world::seconds;
use crate::duel_world::act;
use crate::world::*;

/// Waits until a ticket is in a state.
async fn reaches(world: &World, user: &User, id: &str, state: TicketState) -> Ticket {
    db::testing::eventually("the ticket reaches its state", || async {
        world.ticket(user, id).await.unwrap().state() == state
    })
    .await;
    world.ticket(user, id).await.unwrap()
}

#[tokio::test]
async fn tickets_of_one_mode_become_a_duel_that_ends_the_wait() {
    each(|world| async move {
        let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
        let sue = world.user("sue");
        world.published("one", &sue, 1100).await;
        let mode = DuelMode::FirstToSolve;
        let first = world.create_ticket(&ada, mode).await.unwrap();
        assert_eq!(first.state(), TicketState::Open);
        let second = world.create_ticket(&ada, mode).await;
        assert_refused(second, Code::AlreadyExists, "TICKET_OPEN");
        let other = world.create_ticket(&eve, DuelMode::Lockout).await.unwrap();
        let hidden = world.ticket(&bob, &first.ticket_id).await;
        assert_refused(hidden, Code::NotFound, "TICKET_NOT_FOUND");

        let watch = WatchTicketRequest { ticket_id: first.ticket_id.clone() };
        let watched = world.tickets().watch_ticket(world.request(&ada, watch)).await.unwrap();
        let mut watched = watched.into_inner();
        world.create_ticket(&bob, mode).await.unwrap();
        let mut last = None;
        while let Some(message) = watched.message().await.unwrap() {
            last = message.ticket;
        }
        let matched = last.unwrap();
        assert_eq!(matched.state(), TicketState::Matched);
        let reason = matched.r#match.unwrap();
        assert_eq!((reason.ratings, reason.ranges), (vec![1500, 1500], vec![50, 50]));
        let duel = world.duel(&sue, &matched.duel_id).await.unwrap();
        assert_eq!((duel.state(), duel.players[0].name.as_str()), (DuelState::Running, "ada"));
        assert_eq!(duel.time_limit, seconds(45 * 60));

        // An accepted invitation closes the ticket.
        assert_eq!(world.ticket(&eve, &other.ticket_id).await.unwrap().state(), TicketState::Open);
        world.published("two", &ada, 1100).await;
        let invited = world.invited(&sue, "eve").await;
        let refused = act!(world, &eve, accept_duel, AcceptDuelRequest, invited);
        // Sue owns the first problem, but not the second.
        assert_eq!(refused.unwrap().state(), DuelState::Running);
        reaches(&world, &eve, &other.ticket_id, TicketState::Canceled).await;
    })
    .await;
}

#[tokio::test]
async fn tickets_are_deleted_expire_and_do_not_match_the_same_two_at_once() {
    each(|world| async move {
        let (ada, bob, sue) = (world.user("ada"), world.user("bob"), world.user("sue"));
        world.published("one", &sue, 1100).await;
        world.published("two", &sue, 1100).await;
        let mode = DuelMode::FirstToSolve;
        let ticket = world.create_ticket(&ada, mode).await.unwrap();
        let delete = DeleteTicketRequest { ticket_id: ticket.ticket_id.clone() };
        let deleted = world.tickets().delete_ticket(world.request(&ada, delete.clone())).await;
        assert_eq!(deleted.unwrap().into_inner().ticket.unwrap().state(), TicketState::Canceled);
        let again = world.tickets().delete_ticket(world.request(&ada, delete)).await;
        assert_refused(again, Code::FailedPrecondition, "TICKET_CLOSED");

        let first = world.create_ticket(&ada, mode).await.unwrap();
        world.create_ticket(&bob, mode).await.unwrap();
        let matched = reaches(&world, &ada, &first.ticket_id, TicketState::Matched).await;
        let duel = world.duel(&ada, &matched.duel_id).await.unwrap();
        act!(world, &ada, forfeit_duel, ForfeitDuelRequest, duel).unwrap();
        let third = world.create_ticket(&ada, mode).await.unwrap();
        world.create_ticket(&bob, mode).await.unwrap();
        let lonely = world.create_ticket(&sue, DuelMode::Points).await.unwrap();
        world.set_minute(9);
        assert_eq!(world.ticket(&ada, &third.ticket_id).await.unwrap().state(), TicketState::Open);
        world.set_minute(11);
        reaches(&world, &ada, &third.ticket_id, TicketState::Matched).await;
        world.set_minute(15);
        reaches(&world, &sue, &lonely.ticket_id, TicketState::Expired).await;
        let wrong = CreateTicketRequest { mode: 9, ..Default::default() };
        let refused = world.tickets().create_ticket(world.request(&sue, wrong)).await;
        assert_invalid(refused, &["mode"]);
    })
    .await;
}
