//! Scenarios of players and operators on every setup. They share a world per setup, because starting one is slow.

use db::testing::PrintOnPanic;

use crate::world::World;
use crate::{attacks, ccs, command_line, contests, duels, players};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_and_operators() {
    for setup in World::setups() {
        let _guard = PrintOnPanic(&setup.kind);
        let world = &World::small(setup.clone(), &[]);
        players::from_registration_to_verdict(world).await;
        players::grpc_watch_ends_with_the_verdict(world).await;
        players::request_id_makes_submission_idempotent(world).await;
        players::deleted_session_is_revoked(world).await;
        contests::from_draft_to_results(world).await;
        ccs::tools_follow_a_contest(world).await;
        duels::from_tickets_to_result(world).await;
        contests::organised_by_commands(world).await;
        command_line::submit_waits_for_the_verdict(world).await;
        command_line::import_shows_the_report(world).await;
        command_line::archives_are_imported_over_rest(world).await;
        command_line::refused_packages_list_every_error(world).await;
        command_line::problems_are_listed_shown_published_and_downloaded(world).await;
        command_line::import_is_canceled_on_interrupt(world).await;
        command_line::admin_resets_a_password(world).await;
        command_line::token_is_issued_to_known_services_only(world).await;
        attacks::withheld_messages_leave_others_alone(world).await;
        attacks::streams_of_one_player_leave_others_room(world).await;
        attacks::suspension_ends_streams(world).await;
    }
}
