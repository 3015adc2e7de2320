//! Which events of clarifications subscribers get.

use access::Role;
use futures_util::StreamExt as _;
use prost::Message as _;
use proto::challenge::clarification_service_client::ClarificationServiceClient;
use proto::challenge::{AnswerClarificationRequest, CreateAnnouncementRequest};
use proto::event::event_service_client::EventServiceClient;
use proto::event::{ClarificationAnswered, Event, SubscribeRequest};

use crate::clarifications::{ask, to};
use crate::world::*;

/// The first events of contests that a user gets.
async fn events(world: &World, user: &User, count: usize) -> Vec<Event> {
    let mut client = EventServiceClient::new(world.running.channel.clone());
    let request = SubscribeRequest { from_start: true, ..Default::default() };
    let events = client.subscribe(world.request(user, request)).await.unwrap().into_inner();
    let events = events.filter_map(|answer| async { answer.unwrap().event });
    let events = events.filter(|event| {
        let is_about_contest = event.topic == "agon.challenge.v1";
        async move { is_about_contest }
    });
    let events = events.take(count).collect();
    let events = tokio::time::timeout(std::time::Duration::from_secs(20), events).await;
    events.expect("the events within 20 s")
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.r#type.trim_start_matches("agon.event.v1.")).collect()
}

#[tokio::test]
async fn subscribers_get_their_own_and_public_clarifications_without_the_numbers_of_the_log() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        world.join(&ada, &id).await.unwrap();
        let mut client = ClarificationServiceClient::new(world.running.channel.clone());
        let secret = ask(&world, &ada, &id, "", "Why?").await.unwrap();
        let open = ask(&world, &ada, &id, "", "How?").await.unwrap();
        let private = world.request(&olga, to(&id, &secret, "So."));
        client.answer_clarification(private).await.unwrap();
        let public = AnswerClarificationRequest { public: true, ..to(&id, &open, "So.") };
        client.answer_clarification(world.request(&olga, public)).await.unwrap();
        let announcement = CreateAnnouncementRequest {
            contest_id: id.clone(),
            text: "Lunch".into(),
            ..Default::default()
        };
        client.create_announcement(world.request(&olga, announcement)).await.unwrap();

        let all = events(&world, &world.with_roles("jo", &[Role::Judge]), 8).await;
        let own = events(&world, &ada, 8).await;
        let expected = [
            "ContestPublished",
            "ContestStateChanged",
            "ParticipantRegistered",
            "ClarificationAsked",
            "ClarificationAsked",
            "ClarificationAnswered",
            "ClarificationAnswered",
            "AnnouncementCreated",
        ];
        assert_eq!((names(&all), names(&own)), (expected.to_vec(), expected.to_vec()));
        let others = events(&world, &bob, 4).await;
        let expected = [
            "ContestPublished",
            "ContestStateChanged",
            "ClarificationAnswered",
            "AnnouncementCreated",
        ];
        assert_eq!(names(&others), expected);
        let answered = |event: &Event| {
            let data = event.data.as_ref().unwrap().value.as_slice();
            ClarificationAnswered::decode(data).unwrap()
        };
        assert_eq!(answered(&others[2]).clarification_id, open.clarification_id);
        assert_eq!(
            (answered(&others[2]).user_id, answered(&others[2]).participant_id),
            Default::default()
        );
        assert_eq!(answered(&own[6]).user_id, ada.id.to_string());
        // Numbers of the log count hidden verdicts.
        assert!(all.iter().all(|event| event.sequence > 0));
        assert!(own.iter().chain(&others).all(|event| event.sequence == 0));
    })
    .await;
}
