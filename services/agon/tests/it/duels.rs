//! A duel of two players whom the matchmaker pairs.

use serde_json::json;

use crate::world::{PYTHON, World, eventually};

pub async fn from_tickets_to_result(world: &World) {
    let [ada, bob] = ["duelist-a", "duelist-b"].map(async |name| world.player(name).await);
    let (ada, bob) = (ada.await, bob.await);
    let ticket = world.post("/v1/matchmaking-tickets", Some(&ada), json!({})).await;
    world.post("/v1/matchmaking-tickets", Some(&bob), json!({})).await;
    let path = format!("/v1/matchmaking-tickets/{}", ticket["ticketId"].as_str().unwrap());
    let duel_id = eventually("the players are matched", async || {
        let ticket = world.get(&path, Some(&ada)).await;
        (ticket["state"] == "TICKET_STATE_MATCHED").then(|| ticket["duelId"].clone())
    })
    .await;
    let duel_id = duel_id.as_str().unwrap();
    for (token, source) in [(&bob, "print(0)\n"), (&ada, PYTHON)] {
        let body = json!({
            "challengeId": duel_id, "problemId": "A", "language": "python3", "source": source,
        });
        let created = world.post("/v1/submissions", Some(token), body).await;
        world.verdict(token, created["submissionId"].as_str().unwrap()).await;
    }
    let duel = world.get(&format!("/v1/duels/{duel_id}"), None).await;
    assert_eq!(duel["result"], "DUEL_RESULT_WON", "{duel}");
    let winner = duel["players"].as_array().unwrap().iter().find(|it| it["points"] == 1).unwrap();
    assert_eq!((&winner["name"], &winner["userId"]), (&json!("duelist-a"), &duel["winnerId"]));
}
