//! Who may call the RPCs of clarifications, balloons and results.

use access::Role;
use proto::challenge::balloon_service_client::BalloonServiceClient;
use proto::challenge::result_service_client::ResultServiceClient;
use proto::challenge::*;
use tonic::{Code, Request, Status};

use crate::clarifications::client;
use crate::contest_world::*;
use crate::world::*;

fn code<T>(result: Result<T, Status>) -> Code {
    result.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// The results of a caller: list clarifications, ask, answer an unknown question, announce; list balloons, mark an unknown
/// one; the public awards, those of the jury, the results of the jury.
async fn row(world: &World, user: Option<&User>, id: &str) -> [Code; 9] {
    fn request<T>(world: &World, user: Option<&User>, message: T) -> Request<T> {
        match user {
            Some(user) => world.request(user, message),
            None => Request::new(message),
        }
    }
    let contest_id = || id.to_owned();
    let list = ListClarificationsRequest { contest_id: contest_id(), ..Default::default() };
    let question = "Why?".to_owned();
    let ask = AskClarificationRequest { contest_id: contest_id(), question, ..Default::default() };
    let answer = AnswerClarificationRequest {
        contest_id: contest_id(),
        clarification_id: unknown(),
        answer: "So.".into(),
        ..Default::default()
    };
    let text = "Lunch".to_owned();
    let announce =
        CreateAnnouncementRequest { contest_id: contest_id(), text, ..Default::default() };
    let balloons = ListBalloonsRequest { contest_id: contest_id(), ..Default::default() };
    let mark = MarkBalloonDeliveredRequest {
        contest_id: contest_id(),
        submission_id: unknown(),
        ..Default::default()
    };
    let view = StandingsView::Jury.into();
    let public = ListAwardsRequest { contest_id: contest_id(), ..Default::default() };
    let awards = ListAwardsRequest { view, ..public.clone() };
    let export = ExportResultsRequest { contest_id: contest_id(), view, ..Default::default() };
    let mut clarifications = client(world);
    let mut balloon = BalloonServiceClient::new(world.running.channel.clone());
    let mut results = ResultServiceClient::new(world.running.channel.clone());
    [
        code(clarifications.list_clarifications(request(world, user, list)).await),
        code(clarifications.ask_clarification(request(world, user, ask)).await),
        code(clarifications.answer_clarification(request(world, user, answer)).await),
        code(clarifications.create_announcement(request(world, user, announce)).await),
        code(balloon.list_balloons(request(world, user, balloons)).await),
        code(balloon.mark_balloon_delivered(request(world, user, mark)).await),
        code(results.list_awards(request(world, user, public)).await),
        code(results.list_awards(request(world, user, awards)).await),
        code(results.export_results(request(world, user, export)).await),
    ]
}

#[tokio::test]
async fn callers_reach_what_their_role_allows() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let otto = world.organiser("otto");
        let other = Contest { slug: "other".into(), ..finals() };
        let other = world.create_contest(&otto, other).await.unwrap().contest_id;
        let (ada, dora, jan) = (world.user("ada"), world.user("dora"), world.user("jan"));
        world.join(&ada, &id).await.unwrap();
        world.grant(&dora, "challenge.contest.update", &id);
        world.grant(&jan, "challenge.contest.judge", &id);
        let (ok, denied, missing) = (Code::Ok, Code::PermissionDenied, Code::NotFound);
        let unknown = Code::Unauthenticated;
        let jury = [ok, denied, missing, ok, ok, missing, ok, ok, ok];
        let (judge, admin) =
            (world.with_roles("jo", &[Role::Judge]), world.with_roles("root", &[Role::Admin]));
        for user in [&olga, &dora, &jan, &judge, &admin] {
            assert_eq!(row(&world, Some(user), &id).await, jury);
        }
        let public = [ok, denied, denied, denied, denied, denied, ok, denied, denied];
        for user in [&otto, &world.user("eve")] {
            assert_eq!(row(&world, Some(user), &id).await, public);
        }
        let mut participant = public;
        participant[1] = ok;
        assert_eq!(row(&world, Some(&ada), &id).await, participant);
        let anonymous = [ok, unknown, unknown, unknown, unknown, unknown, ok, denied, denied];
        assert_eq!(row(&world, None, &id).await, anonymous);
        // Only users ask, answer, announce and deliver.
        let service = [ok, denied, denied, denied, ok, denied, ok, ok, ok];
        assert_eq!(row(&world, Some(&world.service()), &id).await, service);
        // The draft of another organiser does not exist.
        for user in [&olga, &dora, &jan, &ada] {
            assert_eq!(row(&world, Some(user), &other).await, [missing; 9]);
        }
        let invalid = User { id: ada.id, token: "invalid".into(), account: None };
        assert_eq!(row(&world, Some(&invalid), &id).await, [unknown; 9]);
    })
    .await;
}
