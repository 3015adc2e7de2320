//! The stories of players and operators, one after another in one world per kind of database:
//! making a world takes longer than any of them.

use db::testing::SaysWhere;

use crate::world::World;
use crate::{command_line, players};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_and_operators() {
    for place in World::places() {
        let _says = SaysWhere(&place.kind);
        let world = &World::small(place.clone(), &[]);
        players::from_registration_to_verdict(world).await;
        players::grpc_tells_the_same_story(world).await;
        players::a_request_id_makes_one_submission(world).await;
        players::who_logged_out_is_out(world).await;
        command_line::submit_follows_to_the_verdict(world).await;
        command_line::import_shows_the_report(world).await;
        command_line::an_administrator_resets_a_password(world).await;
        command_line::tokens_are_for_services_only(world).await;
    }
}
