//! Rejudgings: preview, apply and discard.

use prost::Message as _;
use proto::challenge::rejudging_service_client::RejudgingServiceClient;
use proto::challenge::*;
use proto::event::{JudgementCompleted, JudgementRequested};
use rpc::Channel;
use tonic::{Code, Status};

use crate::contest_world::*;
use crate::leaks::answers;
use crate::world::*;

const REASON: &str = "the answer of test 3 was wrong";

fn client(world: &World) -> RejudgingServiceClient<Channel> {
    RejudgingServiceClient::new(world.running.channel.clone())
}

async fn create(
    world: &World,
    user: &User,
    request: CreateRejudgingRequest,
) -> Result<Rejudging, Status> {
    let request = CreateRejudgingRequest { reason: REASON.into(), ..request };
    let response = client(world).create_rejudging(world.request(user, request)).await?;
    Ok(response.into_inner().rejudging.unwrap())
}

async fn apply(world: &World, user: &User, it: &Rejudging) -> Result<Rejudging, Status> {
    let (contest_id, rejudging_id) = (it.contest_id.clone(), it.rejudging_id.clone());
    let request = ApplyRejudgingRequest { contest_id, rejudging_id, ..Default::default() };
    let response = client(world).apply_rejudging(world.request(user, request)).await?;
    Ok(response.into_inner().rejudging.unwrap())
}

async fn discard(world: &World, user: &User, it: &Rejudging) -> Result<Rejudging, Status> {
    let (contest_id, rejudging_id) = (it.contest_id.clone(), it.rejudging_id.clone());
    let request = DiscardRejudgingRequest { contest_id, rejudging_id, ..Default::default() };
    let response = client(world).discard_rejudging(world.request(user, request)).await?;
    Ok(response.into_inner().rejudging.unwrap())
}

async fn get(
    world: &World,
    user: &User,
    it: &Rejudging,
    page_size: i32,
) -> Result<GetRejudgingResponse, Status> {
    let (contest_id, rejudging_id) = (it.contest_id.clone(), it.rejudging_id.clone());
    let request =
        GetRejudgingRequest { contest_id, rejudging_id, page_size, page_token: String::new() };
    Ok(client(world).get_rejudging(world.request(user, request)).await?.into_inner())
}

/// Publishes a judgement of a rejudging as the judge would.
async fn judge(world: &World, submission: &Submission, ordinal: i64, verdict: Verdict) {
    let judged = JudgementCompleted {
        judgement_id: world.clock().new_id().to_string(),
        submission_id: submission.submission_id.clone(),
        verdict: verdict.into(),
        ordinal,
        ..JudgementCompleted::default()
    };
    world.publish(&judged).await;
}

async fn judged_count(world: &World, user: &User, it: &Rejudging, count: i32) {
    db::testing::eventually("submissions are judged again", || async {
        let found = get(world, user, it, 0).await.unwrap().rejudging.unwrap();
        found.judged_count == count
    })
    .await;
}

/// A contest of which ada and bob each have a judged submission to A: rejected at minute 20, accepted at 42, after the
/// freeze.
async fn started(world: &World) -> (User, String, [User; 2], [Submission; 2]) {
    let (olga, contest) = world.finals().await;
    let id = contest.contest_id;
    let users = [world.user("ada"), world.user("bob")];
    for user in &users {
        world.join(user, &id).await.unwrap();
    }
    world.set_minute(20);
    let first = world.enter(&users[0], &id, "A").await.unwrap();
    world.give(&users[0], &first, Verdict::WrongAnswer).await;
    world.set_minute(42);
    let second = world.enter(&users[1], &id, "A").await.unwrap();
    world.give(&users[1], &second, Verdict::Accepted).await;
    (olga, id, users, [first, second])
}

fn of_contest(id: &str) -> CreateRejudgingRequest {
    CreateRejudgingRequest { contest_id: id.into(), ..Default::default() }
}

#[tokio::test]
async fn new_verdicts_count_once_they_are_applied() {
    each(|world| async move {
        let (olga, id, [ada, bob], [first, second]) = started(&world).await;
        world.fakes.publish("a-plus-b", 4);
        let jury = world.jury(&olga, &id).await;
        let viewers = [None, Some(&ada), Some(&bob)];
        let seen = async || {
            let mut all = Vec::new();
            for viewer in viewers {
                all.push(
                    answers(&world, viewer, &id, &second.submission_id, &second.submission_id)
                        .await,
                );
            }
            all
        };
        let before = seen().await;
        let once = CreateRejudgingRequest { request_id: "once".into(), ..of_contest(&id) };
        let rejudging = create(&world, &olga, once.clone()).await.unwrap();
        assert_eq!(create(&world, &olga, once).await.unwrap(), rejudging);
        assert_eq!((rejudging.submission_count, rejudging.judged_count), (2, 0));
        let again = create(&world, &olga, of_contest(&id)).await;
        assert_refused(again, Code::FailedPrecondition, "REJUDGING_OPEN");
        db::testing::eventually("judgements are requested", || async {
            world.event_count("JudgementRequested").await == 2
        })
        .await;
        let requested = requested(&world).await;
        assert!(requested.iter().all(|it| (it.ordinal, it.problem_version) == (2, 4)));

        judge(&world, &first, 2, Verdict::Accepted).await;
        judged_count(&world, &olga, &rejudging, 1).await;
        let early = apply(&world, &olga, &rejudging).await;
        assert_refused(early, Code::FailedPrecondition, "REJUDGING_RUNNING");
        judge(&world, &second, 2, Verdict::WrongAnswer).await;
        // A repeated event changes nothing.
        judge(&world, &second, 2, Verdict::Accepted).await;
        judge(&world, &second, 1, Verdict::RuntimeError).await;
        judged_count(&world, &olga, &rejudging, 2).await;
        assert_eq!(seen().await, before);
        // A new submission is judged as usual.
        let fresh = world.enter(&bob, &id, "B").await.unwrap();
        world.give(&bob, &fresh, Verdict::WrongAnswer).await;

        let shown = get(&world, &olga, &rejudging, 1).await.unwrap();
        assert_eq!(shown.submissions.len(), 1);
        assert!(!shown.next_page_token.is_empty());
        assert_eq!(shown.submissions[0].new_verdict(), Verdict::Accepted);
        assert_eq!(shown.rejudging.as_ref().unwrap().changed_count, 2);
        let changes = shown.verdict_changes.iter().map(|it| it.count).collect::<Vec<_>>();
        assert_eq!(changes, [1, 1]);
        assert_eq!(shown.standings_change_count, 2);
        let row = &shown.standings_changes[0];
        let (old, new) = (row.before.as_ref().unwrap(), row.after.as_ref().unwrap());
        assert_eq!((new.name.as_str(), old.solved_count, new.solved_count), ("ada", 0, 1));
        assert_eq!(
            world.get(&bob, &second.submission_id).await.unwrap().verdict(),
            Verdict::Accepted
        );
        assert_eq!(table(&world.jury(&olga, &id).await), table(&jury));

        let (one, two) =
            tokio::join!(apply(&world, &olga, &rejudging), apply(&world, &olga, &rejudging));
        let refused = if one.is_ok() { two } else { one };
        assert_refused(refused, Code::FailedPrecondition, "REJUDGING_CLOSED");
        db::testing::eventually("the application is published", || async {
            world.event_count("RejudgingApplied").await == 1
        })
        .await;
        let jury = world.jury(&olga, &id).await;
        assert_eq!(cell(&jury, &ada, "A"), Some((true, 1, 0)));
        assert_eq!(cell(&jury, &bob, "A"), Some((false, 1, 0)));
        // The freeze hides the new verdict as it hid the old one.
        let public = world.public(&id).await;
        assert_eq!(cell(&public, &ada, "A"), Some((true, 1, 0)));
        assert_eq!(cell(&public, &bob, "A"), Some((false, 0, 1)));
        let found = world.get(&ada, &first.submission_id).await.unwrap();
        assert_eq!((found.verdict(), found.problem_version), (Verdict::Accepted, 4));
        let late = discard(&world, &olga, &rejudging).await;
        assert_refused(late, Code::FailedPrecondition, "REJUDGING_CLOSED");
        let closed = get(&world, &olga, &rejudging, 0).await.unwrap();
        assert_eq!(closed.rejudging.unwrap().state(), RejudgingState::Applied);
        assert_eq!(closed.standings_change_count, 0);
    })
    .await;
}

#[tokio::test]
async fn discarded_verdicts_never_count_and_final_results_wait_for_a_decision() {
    each(|world| async move {
        let (olga, id, [ada, bob], [first, second]) = started(&world).await;
        world.set_minute(50);
        let before = world.jury(&olga, &id).await;
        let rejudging = create(&world, &olga, of_contest(&id)).await.unwrap();
        let request = WatchRejudgingRequest {
            contest_id: id.clone(),
            rejudging_id: rejudging.rejudging_id.clone(),
        };
        let stream = client(&world).watch_rejudging(world.request(&olga, request)).await;
        let mut stream = stream.unwrap().into_inner();
        judge(&world, &first, 2, Verdict::Accepted).await;
        judged_count(&world, &olga, &rejudging, 1).await;
        let finalize = async || {
            let request = FinalizeContestRequest { contest_id: id.clone(), ..Default::default() };
            world.contests().finalize_contest(world.request(&olga, request)).await
        };
        assert_refused(finalize().await, Code::FailedPrecondition, "REJUDGING_OPEN");
        discard(&world, &olga, &rejudging).await.unwrap();
        let mut last = None;
        while let Some(message) = stream.message().await.unwrap() {
            last = message.rejudging;
        }
        assert_eq!(last.unwrap().state(), RejudgingState::Discarded);

        // A judgement of the discarded rejudging is no judgement of the next one.
        let of_ada = CreateRejudgingRequest {
            verdict: Verdict::WrongAnswer.into(),
            label: "a".into(),
            ..of_contest(&id)
        };
        let next = create(&world, &olga, of_ada).await.unwrap();
        assert_eq!(next.submission_count, 1);
        judge(&world, &second, 2, Verdict::WrongAnswer).await;
        judge(&world, &first, 2, Verdict::Accepted).await;
        judge(&world, &first, 3, Verdict::JudgeError).await;
        judged_count(&world, &olga, &next, 1).await;
        assert_eq!(world.jury(&olga, &id).await, before);
        assert_eq!(
            world.get(&bob, &second.submission_id).await.unwrap().verdict(),
            Verdict::Accepted
        );
        // A submission with a judge error is pending again.
        apply(&world, &olga, &next).await.unwrap();
        assert_eq!(cell(&world.public(&id).await, &ada, "A"), Some((false, 0, 1)));
        assert_refused(finalize().await, Code::FailedPrecondition, "SUBMISSIONS_PENDING");
        let last = create(
            &world,
            &olga,
            CreateRejudgingRequest {
                submission_ids: vec![first.submission_id.clone()],
                ..of_contest(&id)
            },
        );
        let last = last.await.unwrap();
        judge(&world, &first, 4, Verdict::Accepted).await;
        judged_count(&world, &olga, &last, 1).await;
        apply(&world, &olga, &last).await.unwrap();
        assert_eq!(cell(&world.public(&id).await, &ada, "A"), Some((true, 1, 0)));
        finalize().await.unwrap();
        let late = create(&world, &olga, of_contest(&id)).await;
        assert_refused(late, Code::FailedPrecondition, "CONTEST_CLOSED");
        let list =
            ListRejudgingsRequest { contest_id: id.clone(), page_size: 2, ..Default::default() };
        let page = client(&world).list_rejudgings(world.request(&olga, list.clone())).await;
        let page = page.unwrap().into_inner();
        assert_eq!(page.rejudgings[0].rejudging_id, last.rejudging_id);
        let list = ListRejudgingsRequest { page_token: page.next_page_token, ..list };
        let page = client(&world).list_rejudgings(world.request(&olga, list)).await.unwrap();
        assert_eq!(page.into_inner().rejudgings.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn rejudgings_are_for_the_jury_of_the_contest_and_fields_are_checked() {
    each(|world| async move {
        let (olga, id, [ada, _], _) = started(&world).await;
        let otto = world.organiser("otto");
        let other = Contest { slug: "other".into(), start_time: at(55), ..finals() };
        let other = world.create_contest(&otto, other).await.unwrap().contest_id;
        let (jan, jo) = (world.user("jan"), world.with_roles("jo", &[access::Role::Judge]));
        world.grant(&jan, "challenge.contest.judge", &id);
        let rejudging = create(&world, &jan, of_contest(&id)).await.unwrap();
        for user in [&ada, &otto] {
            let denied = Code::PermissionDenied;
            assert_refused(create(&world, user, of_contest(&id)).await, denied, "NOT_JURY");
            assert_refused(get(&world, user, &rejudging, 0).await, denied, "NOT_JURY");
            assert_refused(apply(&world, user, &rejudging).await, denied, "NOT_JURY");
            assert_refused(discard(&world, user, &rejudging).await, denied, "NOT_JURY");
        }
        let foreign = Rejudging { contest_id: other.clone(), ..rejudging.clone() };
        assert_refused(
            get(&world, &otto, &foreign, 0).await,
            Code::NotFound,
            "REJUDGING_NOT_FOUND",
        );
        let hidden = discard(&world, &otto, &foreign).await;
        assert_refused(hidden, Code::NotFound, "REJUDGING_NOT_FOUND");
        let none = create(&world, &otto, of_contest(&other)).await;
        assert_refused(none, Code::FailedPrecondition, "NO_SUBMISSIONS");
        let hidden = create(&world, &ada, of_contest(&other)).await;
        assert_refused(hidden, Code::NotFound, "CONTEST_NOT_FOUND");
        let root = world.with_roles("root", &[access::Role::Admin]);
        for user in [&olga, &jo, &root] {
            get(&world, user, &rejudging, 0).await.unwrap();
        }
        discard(&world, &jo, &rejudging).await.unwrap();

        let small = CreateRejudgingRequest { max_count: 1, ..of_contest(&id) };
        let refused = create(&world, &olga, small).await;
        assert_refused(refused, Code::FailedPrecondition, "REJUDGING_TOO_LARGE");
        let bad = CreateRejudgingRequest {
            label: "?".into(),
            language: "C++".into(),
            verdict: 99,
            submission_ids: vec!["x".into()],
            max_count: 5001,
            ..of_contest(&id)
        };
        let fields = ["label", "language", "verdict", "submission_ids[0]", "max_count"];
        assert_invalid(create(&world, &olga, bad).await, &fields);
        let many = vec![unknown(); 1001];
        let many = CreateRejudgingRequest { submission_ids: many, ..of_contest(&id) };
        assert_invalid(create(&world, &olga, many).await, &["submission_ids"]);
        let label = CreateRejudgingRequest { label: "Z".into(), ..of_contest(&id) };
        let missing = create(&world, &olga, label).await;
        assert_refused(missing, Code::NotFound, "PROBLEM_NOT_FOUND");
        let unnamed = Rejudging { rejudging_id: "x".into(), ..rejudging.clone() };
        assert_invalid(apply(&world, &olga, &unnamed).await, &["rejudging_id"]);
        let unknown = Rejudging { rejudging_id: unknown(), ..rejudging };
        let missing = apply(&world, &olga, &unknown).await;
        assert_refused(missing, Code::NotFound, "REJUDGING_NOT_FOUND");
    })
    .await;
}

/// The requests of judgements that were published.
async fn requested(world: &World) -> Vec<JudgementRequested> {
    let sql = "SELECT data FROM event_log WHERE type = $1";
    let rows: Vec<(Vec<u8>,)> =
        world.db.query(sql).bind("agon.event.v1.JudgementRequested").fetch_all().await.unwrap();
    rows.iter().map(|(data,)| JudgementRequested::decode(data.as_slice()).unwrap()).collect()
}
