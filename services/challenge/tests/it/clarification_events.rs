//! Which events of clarifications subscribers get.

use access::Role;
use futures_util::StreamExt as _;
use prost::Message as _;
use proto::challenge::clarification_service_client::ClarificationServiceClient;
use proto::challenge::result_service_client::ResultServiceClient;
use proto::challenge::*;
use proto::event::event_service_client::EventServiceClient;
use proto::event::{ClarificationAnswered, Event, SubscribeRequest};

use tonic::Code;

use crate::clarifications::{ask, client as clarifications, to};
use crate::contest_world::finals;
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

#[tokio::test]
async fn clarifications_and_results_of_private_contests_are_for_their_participants() {
    each(|world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let private = Contest { visibility: ContestVisibility::Private.into(), ..finals() };
        let private = Contest {
            registration: Registration::Code.into(),
            access_code: "letmein".into(),
            ..private
        };
        let id = world.create_contest(&olga, private).await.unwrap().contest_id;
        world.publish_contest(&olga, &id).await.unwrap();
        let (ada, eve) = (world.user("ada"), world.user("eve"));
        let register = RegisterForContestRequest {
            contest_id: id.clone(),
            access_code: "letmein".into(),
            ..Default::default()
        };
        world.contests().register_for_contest(world.request(&ada, register)).await.unwrap();
        let announcement = CreateAnnouncementRequest {
            contest_id: id.clone(),
            text: "Lunch".into(),
            ..Default::default()
        };
        let announcement = world.request(&olga, announcement);
        clarifications(&world).create_announcement(announcement).await.unwrap();

        let list = ListClarificationsRequest { contest_id: id.clone(), ..Default::default() };
        let watch = WatchClarificationsRequest { contest_id: id.clone(), ..Default::default() };
        let awards = ListAwardsRequest { contest_id: id.clone(), ..Default::default() };
        let export = ExportResultsRequest { contest_id: id.clone(), ..Default::default() };
        let mut client = clarifications(&world);
        let mut results = ResultServiceClient::new(world.running.channel.clone());
        let (code, reason) = (Code::NotFound, "CONTEST_NOT_FOUND");
        let hidden = client.list_clarifications(world.request(&eve, list.clone())).await;
        assert_refused(hidden, code, reason);
        let hidden = client.watch_clarifications(world.request(&eve, watch.clone())).await;
        assert_refused(hidden, code, reason);
        assert_refused(results.list_awards(world.request(&eve, awards)).await, code, reason);
        assert_refused(results.export_results(world.request(&eve, export)).await, code, reason);
        assert_refused(ask(&world, &eve, &id, "", "Why?").await, code, reason);
        let shown = client.list_clarifications(world.request(&ada, list)).await.unwrap();
        assert_eq!(shown.into_inner().clarifications.len(), 1);

        // A participant who withdraws watches no more.
        let stream = client.watch_clarifications(world.request(&ada, watch)).await.unwrap();
        let mut stream = stream.into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().clarifications.len(), 1);
        let withdraw = WithdrawFromContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().withdraw_from_contest(world.request(&ada, withdraw)).await.unwrap();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), stream.message());
        assert_refused(ended.await.expect("the end within 20 s"), code, reason);
    })
    .await;
}
