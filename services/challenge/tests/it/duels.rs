//! Duels between invited players.

use proto::challenge::*;
use proto::event::{ProblemDeleted, UserAccessChanged};
use tonic::Code;

use crate::contest_world::{MINUTE, seconds};
use crate::duel_world::act;
use crate::world::*;

#[tokio::test]
async fn the_earliest_accepted_submission_wins_and_a_rematch_has_another_problem() {
    each(|world| async move {
        let (ada, bob, sue) = (world.user("ada"), world.user("bob"), world.user("sue"));
        let first = world.published("first", &sue, 1100).await;
        world.published("second", &sue, 900).await;
        world.published("own", &ada, 1100).await;
        let duel = world.invited(&ada, "bob").await;
        assert_eq!((duel.state(), duel.mode()), (DuelState::Invited, DuelMode::FirstToSolve));
        assert_eq!(
            duel.players.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
            ["ada", "bob"]
        );
        let id = duel.duel_id.as_str();
        assert_refused(world.duel(&sue, id).await, Code::NotFound, "DUEL_NOT_FOUND");
        let duel = act!(world, &bob, accept_duel, AcceptDuelRequest, duel).unwrap();
        assert_eq!(duel.state(), DuelState::Running);
        // Neither player owns it, and it is the nearest to the wanted difficulty.
        assert_eq!(duel.problems[0].problem_id, first.to_string());
        assert!(duel.problems[0].reason.contains("difficulty 1100"), "{duel:?}");

        world.set_minute(1);
        let early = world.enter(&ada, id, "A").await.unwrap();
        assert_eq!(early.challenge_id, duel.duel_id);
        world.set_minute(2);
        let late = world.enter(&bob, id, "first").await.unwrap();
        world.give(&bob, &late, Verdict::Accepted).await;
        let open = world.duel(&sue, id).await.unwrap();
        assert_eq!(open.state(), DuelState::Running);
        let cells = &open.problems[0].cells;
        assert_eq!((cells[0].pending_count, cells[1].solved, cells[1].scored), (1, true, false));
        assert_eq!(cells[1].solve_time, seconds(2 * MINUTE));
        world.give(&ada, &early, Verdict::Accepted).await;
        let over = world.reaches(&sue, id, DuelState::Finished).await;
        assert_eq!((over.result(), &over.winner_id), (DuelResult::Won, &ada.id.to_string()));
        assert_eq!([over.players[0].points, over.players[1].points], [1, 0]);
        assert_eq!(world.event_count("DuelFinished").await, 1);
        let refused = world.enter(&bob, id, "A").await;
        assert_refused(refused, Code::FailedPrecondition, "DUEL_NOT_RUNNING");

        let rematch = act!(world, &bob, request_rematch, RequestRematchRequest, over).unwrap();
        assert_eq!((rematch.rematch_of.as_str(), rematch.players[0].name.as_str()), (id, "bob"));
        let rematch = act!(world, &ada, accept_duel, AcceptDuelRequest, rematch).unwrap();
        assert_eq!(rematch.problems[0].difficulty, 900);
        // Both problems that are not Ada's own are known now.
        let over = act!(world, &bob, forfeit_duel, ForfeitDuelRequest, rematch).unwrap();
        assert_eq!((over.result(), &over.winner_id), (DuelResult::Forfeited, &ada.id.to_string()));
        let third = world.invited(&ada, "bob").await;
        let refused = act!(world, &bob, accept_duel, AcceptDuelRequest, third);
        assert_refused(refused, Code::FailedPrecondition, "NO_PROBLEMS");

        let list = ListDuelsRequest { user_id: "me".into(), page_size: 2, ..Default::default() };
        let page = world.list_duels(&ada, list.clone()).await;
        assert_eq!(page.duels.len(), 2);
        let rest = ListDuelsRequest { page_token: page.next_page_token, ..list };
        assert_eq!(world.list_duels(&ada, rest).await.duels[0].duel_id, id);
        // Others see no invitations.
        let of_ada = ListDuelsRequest { user_id: "ada".into(), ..Default::default() };
        assert_eq!(world.list_duels(&sue, of_ada).await.duels.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn time_decides_after_the_last_verdict_and_invitations_expire() {
    each(|world| async move {
        let (ada, bob, sue) = (world.user("ada"), world.user("bob"), world.user("sue"));
        for (slug, difficulty) in [("one", 1100), ("two", 1200), ("three", 1300)] {
            world.published(slug, &sue, difficulty).await;
        }
        let unanswered = world.invited(&sue, "ada").await;
        let request = InviteToDuelRequest {
            opponent: bob.id.to_string(),
            mode: DuelMode::Points.into(),
            problem_count: 2,
            time_limit: seconds(10 * MINUTE),
            ..Default::default()
        };
        let duel = world.challenge(&ada, request).await.unwrap();
        let duel = act!(world, &bob, accept_duel, AcceptDuelRequest, duel).unwrap();
        let points: Vec<i32> = duel.problems.iter().map(|problem| problem.points).collect();
        assert_eq!(points, [100, 200]);
        let id = duel.duel_id.as_str();
        world.set_minute(5);
        let expired = world.reaches(&ada, &unanswered.duel_id, DuelState::Expired).await;
        let late = act!(world, &ada, accept_duel, AcceptDuelRequest, expired);
        assert_refused(late, Code::FailedPrecondition, "DUEL_NOT_INVITED");
        let solved = world.enter(&bob, id, "A").await.unwrap();
        world.give(&bob, &solved, Verdict::Accepted).await;
        let pending = world.enter(&ada, id, "B").await.unwrap();
        world.set_minute(10);
        // The result waits for the verdict.
        let refused = world.enter(&ada, id, "A").await;
        assert_refused(refused, Code::FailedPrecondition, "DUEL_NOT_RUNNING");
        let busy = world.create_ticket(&ada, DuelMode::Points).await;
        assert_refused(busy, Code::FailedPrecondition, "PLAYER_BUSY");
        world.give(&ada, &pending, Verdict::WrongAnswer).await;
        let over = world.reaches(&ada, id, DuelState::Finished).await;
        assert_eq!((over.result(), &over.winner_id), (DuelResult::Won, &bob.id.to_string()));
        world.create_ticket(&ada, DuelMode::Points).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn withdrawn_problems_void_and_suspended_players_lose() {
    each(|world| async move {
        let (ada, bob, sue) = (world.user("ada"), world.user("bob"), world.user("sue"));
        let problem = world.published("one", &sue, 1100).await;
        let duel = world.invited(&ada, "bob").await;
        let duel = act!(world, &bob, accept_duel, AcceptDuelRequest, duel).unwrap();
        let deleted = ProblemDeleted { problem_id: problem.to_string() };
        world.base.publish(&PROBLEM, problem, &deleted).await;
        let voided = world.reaches(&ada, &duel.duel_id, DuelState::Finished).await;
        assert_eq!((voided.result(), voided.winner_id.as_str()), (DuelResult::Voided, ""));
        assert!(voided.void_reason.contains("withdrawn"), "{voided:?}");

        world.published("two", &sue, 1100).await;
        let duel = world.invited(&ada, "bob").await;
        let duel = act!(world, &bob, accept_duel, AcceptDuelRequest, duel).unwrap();
        let other = world.invited(&sue, "bob").await;
        let suspended = UserAccessChanged {
            user_id: bob.id.to_string(),
            auth_epoch: 2,
            suspended: true,
            roles: Vec::new(),
        };
        world.base.publish(&USER, bob.id, &suspended).await;
        let over = world.reaches(&ada, &duel.duel_id, DuelState::Finished).await;
        assert_eq!((over.result(), &over.winner_id), (DuelResult::Forfeited, &ada.id.to_string()));
        world.reaches(&sue, &other.duel_id, DuelState::Canceled).await;

        // The jury voids finished duels.
        let judge = world.with_roles("jo", &[access::Role::Judge]);
        let void = VoidDuelRequest {
            duel_id: over.duel_id.clone(),
            reason: "same program".into(),
            ..Default::default()
        };
        let refused = world.duels().void_duel(world.request(&ada, void.clone())).await;
        assert_refused(refused, Code::PermissionDenied, "NOT_JURY");
        let voided = world.duels().void_duel(world.request(&judge, void.clone())).await.unwrap();
        let voided = voided.into_inner().duel.unwrap();
        assert_eq!(
            (voided.result(), voided.void_reason.as_str()),
            (DuelResult::Voided, "same program")
        );
        assert_eq!(world.event_count("DuelFinished").await, 3);
        let without = VoidDuelRequest { reason: " ".into(), ..void };
        let refused = world.duels().void_duel(world.request(&judge, without)).await;
        assert_invalid(refused, &["reason"]);
    })
    .await;
}

#[tokio::test]
async fn a_player_plays_one_duel_at_a_time() {
    each(|world| async move {
        let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
        let sue = world.user("sue");
        for (slug, difficulty) in [("one", 1100), ("two", 1100), ("three", 1100)] {
            world.published(slug, &sue, difficulty).await;
        }
        let with_bob = world.invited(&ada, "bob").await;
        let with_eve = world.invited(&ada, "eve").await;
        let accept = async |user: &User, duel: &Duel| {
            act!(world, user, accept_duel, AcceptDuelRequest, duel)
        };
        let (first, second) = tokio::join!(accept(&bob, &with_bob), accept(&eve, &with_eve));
        assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
        let refused = if first.is_err() { first } else { second };
        assert_refused(refused, Code::FailedPrecondition, "PLAYER_BUSY");
        let free =
            if world.duel(&bob, &with_bob.duel_id).await.unwrap().state() == DuelState::Running {
                &eve
            } else {
                &bob
            };
        // The free player is not held up.
        let request = InviteToDuelRequest { opponent: "sue".into(), ..Default::default() };
        world.challenge(free, request).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_players_move_and_fields_are_checked() {
    each(|world| async move {
        let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
        world.published("one", &eve, 0).await;
        let invite = |opponent: &str| InviteToDuelRequest {
            opponent: opponent.into(),
            ..Default::default()
        };
        assert_invalid(world.challenge(&ada, invite("ada")).await, &["opponent"]);
        assert_invalid(world.challenge(&ada, invite("")).await, &["opponent"]);
        assert_refused(
            world.challenge(&ada, invite("Nemo")).await,
            Code::NotFound,
            "USER_NOT_FOUND",
        );
        let wrong = InviteToDuelRequest {
            mode: 9,
            problem_count: -1,
            time_limit: seconds(59),
            request_id: "x".repeat(129),
            ..invite("bob")
        };
        let fields = ["mode", "problem_count", "time_limit", "request_id"];
        assert_invalid(world.challenge(&ada, wrong).await, &fields);
        let many = InviteToDuelRequest { problem_count: 2, ..invite("bob") };
        assert_invalid(world.challenge(&ada, many).await, &["problem_count"]);

        let once = InviteToDuelRequest { request_id: "once".into(), ..invite("bob") };
        let duel = world.challenge(&ada, once.clone()).await.unwrap();
        assert_eq!(world.challenge(&ada, once).await.unwrap().duel_id, duel.duel_id);
        for (user, opponent) in [(&ada, "bob"), (&bob, "ada")] {
            let refused = world.challenge(user, invite(opponent)).await;
            assert_refused(refused, Code::AlreadyExists, "DUEL_EXISTS");
        }
        for user in [&ada, &eve] {
            let refused = act!(world, user, accept_duel, AcceptDuelRequest, duel);
            let (code, reason) = match user.id == eve.id {
                true => (Code::NotFound, "DUEL_NOT_FOUND"),
                false => (Code::FailedPrecondition, "OTHER_PLAYER"),
            };
            assert_refused(refused, code, reason);
        }
        let duel = act!(world, &bob, accept_duel, AcceptDuelRequest, duel).unwrap();
        let refused = act!(world, &eve, forfeit_duel, ForfeitDuelRequest, duel);
        assert_refused(refused, Code::PermissionDenied, "NOT_A_PLAYER");
        let refused = world.enter(&eve, &duel.duel_id, "A").await;
        assert_refused(refused, Code::PermissionDenied, "NOT_A_PLAYER");
        let refused = world.enter(&ada, &duel.duel_id, "B").await;
        assert_refused(refused, Code::NotFound, "PROBLEM_NOT_FOUND");
        let early = act!(world, &ada, offer_draw, OfferDrawRequest, duel);
        assert_refused(early, Code::FailedPrecondition, "TOO_EARLY");
        world.set_minute(11);
        let offered = act!(world, &ada, offer_draw, OfferDrawRequest, duel).unwrap();
        assert_eq!(offered.draw_offer.unwrap().user_id, ada.id.to_string());
        let over = act!(world, &bob, accept_draw, AcceptDrawRequest, duel).unwrap();
        assert_eq!(over.result(), DuelResult::Drawn);
        for id in ["", "x", "\0"] {
            assert_invalid(world.duel(&ada, id).await, &["duel_id"]);
        }
    })
    .await;
}
