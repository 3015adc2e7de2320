//! Balloons.

use proto::challenge::balloon_service_client::BalloonServiceClient;
use proto::challenge::contest_jury_service_client::ContestJuryServiceClient;
use proto::challenge::*;
use rpc::Channel;
use tonic::{Code, Status, Streaming};

use crate::contest_world::*;
use crate::world::*;

fn client(world: &World) -> BalloonServiceClient<Channel> {
    BalloonServiceClient::new(world.running.channel.clone())
}

fn of(contest_id: &str) -> ListBalloonsRequest {
    ListBalloonsRequest { contest_id: contest_id.into(), ..Default::default() }
}

async fn list(
    world: &World,
    user: &User,
    request: ListBalloonsRequest,
) -> Result<ListBalloonsResponse, Status> {
    Ok(client(world).list_balloons(world.request(user, request)).await?.into_inner())
}

/// Name, label, first, and whether it is delivered.
async fn table(
    world: &World,
    user: &User,
    request: ListBalloonsRequest,
) -> Vec<(String, String, bool, bool)> {
    let response = list(world, user, request).await.unwrap();
    let row = |it: Balloon| (it.participant_name, it.label, it.first, it.deliver_time.is_some());
    response.balloons.into_iter().map(row).collect()
}

fn rows(rows: &[(&str, &str, bool, bool)]) -> Vec<(String, String, bool, bool)> {
    let owned = |(name, label, first, delivered): &(&str, &str, bool, bool)| {
        ((*name).to_owned(), (*label).to_owned(), *first, *delivered)
    };
    rows.iter().map(owned).collect()
}

async fn mark(
    world: &World,
    user: &User,
    contest_id: &str,
    submission_id: &str,
    restore: bool,
) -> Result<Balloon, Status> {
    let request = MarkBalloonDeliveredRequest {
        contest_id: contest_id.into(),
        submission_id: submission_id.into(),
        restore,
        ..Default::default()
    };
    let response = client(world).mark_balloon_delivered(world.request(user, request)).await?;
    Ok(response.into_inner().balloon.unwrap())
}

async fn ignore(world: &World, user: &User, id: &str, submission: &str, restore: bool) {
    let request = IgnoreSubmissionRequest {
        contest_id: id.into(),
        submission_id: submission.into(),
        restore,
        reason: "outage".into(),
        ..Default::default()
    };
    let mut jury = ContestJuryServiceClient::new(world.running.channel.clone());
    jury.ignore_submission(world.request(user, request)).await.unwrap();
}

async fn next(stream: &mut Streaming<WatchBalloonsResponse>) -> Option<WatchBalloonsResponse> {
    let message = tokio::time::timeout(std::time::Duration::from_secs(20), stream.message()).await;
    message.expect("a message within 20 s").unwrap()
}

#[tokio::test]
async fn each_solved_problem_has_one_balloon_in_the_order_of_the_verdicts() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        for user in [&ada, &bob] {
            world.join(user, &id).await.unwrap();
        }
        world.set_minute(20);
        let ada_a = world.enter(&ada, &id, "A").await.unwrap();
        world.set_minute(21);
        let bob_a = world.enter(&bob, &id, "A").await.unwrap();
        world.give(&bob, &bob_a, Verdict::Accepted).await;
        // Whether bob is the first is open while ada's earlier submission is pending.
        assert_eq!(table(&world, &olga, of(&id)).await, rows(&[("bob", "A", false, false)]));
        world.set_minute(22);
        world.give(&ada, &ada_a, Verdict::Accepted).await;
        for verdict in [Verdict::WrongAnswer, Verdict::Accepted, Verdict::Accepted] {
            world.set_minute(23);
            let more = world.enter(&bob, &id, "B").await.unwrap();
            world.give(&bob, &more, verdict).await;
            world.clock().advance(std::time::Duration::from_secs(1));
        }
        let all =
            [("bob", "A", false, false), ("ada", "A", true, false), ("bob", "B", true, false)];
        assert_eq!(table(&world, &olga, of(&id)).await, rows(&all));
        let mut request = ListBalloonsRequest { page_size: 1, ..of(&id) };
        let mut pages = Vec::new();
        loop {
            let page = list(&world, &olga, request.clone()).await.unwrap();
            pages.extend(page.balloons.into_iter().map(|it| it.participant_name + &it.label));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(pages, ["bobA", "adaA", "bobB"]);

        // A delivery is kept, reversible, and survives that the submission does not count for a while.
        let (one, other) = tokio::join!(
            mark(&world, &olga, &id, &bob_a.submission_id, false),
            mark(&world, &olga, &id, &bob_a.submission_id, false)
        );
        let first = one.unwrap();
        assert_eq!(first, other.unwrap());
        assert_eq!(first.deliver_user_id, olga.id.to_string());
        let undelivered = ListBalloonsRequest { undelivered: true, ..of(&id) };
        assert_eq!(table(&world, &olga, undelivered.clone()).await, rows(&all[1..]));
        ignore(&world, &olga, &id, &bob_a.submission_id, false).await;
        assert_eq!(table(&world, &olga, of(&id)).await, rows(&all[1..]));
        let gone = mark(&world, &olga, &id, &bob_a.submission_id, true).await;
        assert_refused(gone, Code::NotFound, "BALLOON_NOT_FOUND");
        ignore(&world, &olga, &id, &bob_a.submission_id, true).await;
        let delivered = ("bob", "A", false, true);
        let expected = rows(&[delivered, all[1], all[2]]);
        assert_eq!(table(&world, &olga, of(&id)).await, expected);
        let back = mark(&world, &olga, &id, &bob_a.submission_id, true).await.unwrap();
        assert!(back.deliver_time.is_none() && back.deliver_user_id.is_empty());
        assert_eq!(table(&world, &olga, undelivered).await, rows(&all));
    })
    .await;
}

#[tokio::test]
async fn the_freeze_withholds_balloons_until_they_are_asked_for() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        let watch = async |include_frozen: bool| {
            let contest_id = id.clone();
            let request = WatchBalloonsRequest { contest_id, include_frozen, ..Default::default() };
            let request = world.request(&olga, request);
            client(&world).watch_balloons(request).await.unwrap().into_inner()
        };
        let (mut open, mut all) = (watch(false).await, watch(true).await);
        for stream in [&mut open, &mut all] {
            assert_eq!(next(stream).await.unwrap().sequence, 1);
        }
        // An outage of two minutes moves the freeze from minute 40 to 42 of the clock.
        let request = AddRemovedIntervalRequest {
            contest_id: id.clone(),
            from: seconds(10 * MINUTE),
            to: seconds(12 * MINUTE),
            reason: "outage".into(),
            ..Default::default()
        };
        let mut jury = ContestJuryServiceClient::new(world.running.channel.clone());
        jury.add_removed_interval(world.request(&olga, request)).await.unwrap();
        world.set_minute(41);
        let early = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &early, Verdict::Accepted).await;
        for stream in [&mut open, &mut all] {
            let update = next(stream).await.unwrap();
            assert_eq!(update.submission_ids, std::slice::from_ref(&early.submission_id));
            assert!(!update.balloons[0].frozen && update.balloons[0].first);
        }
        world.set_minute(42);
        let late = world.enter(&ada, &id, "B").await.unwrap();
        world.give(&ada, &late, Verdict::Accepted).await;
        let update = next(&mut all).await.unwrap();
        assert_eq!(update.submission_ids.len(), 2);
        assert!(update.balloons[0].frozen);
        let shown = table(&world, &olga, of(&id)).await;
        assert_eq!(shown, rows(&[("ada", "A", true, false)]));
        let frozen = ListBalloonsRequest { include_frozen: true, ..of(&id) };
        assert_eq!(table(&world, &olga, frozen).await.len(), 2);
        mark(&world, &olga, &id, &early.submission_id, false).await.unwrap();
        // The hidden verdict sent no message.
        let update = next(&mut open).await.unwrap();
        assert_eq!((update.sequence, update.submission_ids.len()), (3, 0));

        world.set_minute(50);
        let thaw = ThawContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().thaw_contest(world.request(&olga, thaw)).await.unwrap();
        let update = next(&mut open).await.unwrap();
        assert_eq!(update.submission_ids, [late.submission_id]);
        let finalize = FinalizeContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().finalize_contest(world.request(&olga, finalize)).await.unwrap();
        while next(&mut open).await.is_some() {}
        // Balloons are delivered after the contest too.
        mark(&world, &olga, &id, &early.submission_id, true).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn balloons_are_for_the_jury_of_the_contest() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let other = Contest { slug: "other".into(), ..finals() };
        let otto = world.organiser("otto");
        let other = world.create_contest(&otto, other).await.unwrap().contest_id;
        world.publish_contest(&otto, &other).await.unwrap();
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(20);
        let wrong = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &wrong, Verdict::WrongAnswer).await;
        let entry = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &entry, Verdict::Accepted).await;
        let watch = async |user: &User| {
            let request = WatchBalloonsRequest { contest_id: id.clone(), ..Default::default() };
            client(&world).watch_balloons(world.request(user, request)).await
        };
        let denied = Code::PermissionDenied;
        for user in [&ada, &otto, &world.user("eve")] {
            assert_refused(list(&world, user, of(&id)).await, denied, "NOT_JURY");
            assert_refused(watch(user).await, denied, "NOT_JURY");
            let refused = mark(&world, user, &id, &entry.submission_id, false).await;
            assert_refused(refused, denied, "NOT_JURY");
        }
        let anonymous = client(&world).list_balloons(of(&id)).await;
        assert_refused(anonymous, Code::Unauthenticated, "TOKEN_MISSING");
        let missing = Code::NotFound;
        for (user, contest, submission) in [
            (&otto, &other, &entry.submission_id),
            (&olga, &id, &wrong.submission_id),
            (&olga, &id, &unknown()),
        ] {
            let refused = mark(&world, user, contest, submission, false).await;
            assert_refused(refused, missing, "BALLOON_NOT_FOUND");
        }
        let hidden = list(&world, &olga, of(&unknown())).await;
        assert_refused(hidden, missing, "CONTEST_NOT_FOUND");
        assert_invalid(mark(&world, &olga, &id, "x", false).await, &["submission_id"]);
        for (request, field) in [
            (ListBalloonsRequest { page_size: -1, ..of(&id) }, "page_size"),
            (ListBalloonsRequest { page_token: "x".into(), ..of(&id) }, "page_token"),
            (ListBalloonsRequest::default(), "contest_id"),
        ] {
            assert_invalid(list(&world, &olga, request).await, &[field]);
        }
    })
    .await;
}
