//! No answer depends on a verdict that its reader may not see.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;
use proto::challenge::contest_jury_service_client::ContestJuryServiceClient;
use proto::challenge::rejudging_service_client::RejudgingServiceClient;
use proto::challenge::*;
use tonic::{Request, Status};

use crate::world::*;

/// The read RPCs of the service that this test calls.
const CALLED: [&str; 17] = [
    "DownloadContestAttachment",
    "GetContest",
    "GetContestStatement",
    "GetRejudging",
    "GetStandings",
    "GetSubmission",
    "GetSubmissionSource",
    "ListContestProblems",
    "ListContests",
    "ListJuryActions",
    "ListParticipants",
    "ListRejudgings",
    "ListSubmissions",
    "WatchContest",
    "WatchRejudging",
    "WatchStandings",
    "WatchSubmission",
];

#[test]
fn every_read_rpc_is_called() {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let files = set.file.into_iter().filter(|file| file.package() == "agon.challenge.v1");
    let methods = files.flat_map(|file| file.service).flat_map(|service| service.method);
    let reads = methods.filter(|method| {
        let options = method.options.as_ref();
        options.is_some_and(|it| it.idempotency_level() == IdempotencyLevel::NoSideEffects)
    });
    let mut names: Vec<String> = reads.map(|method| method.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, CALLED, "add the new RPC to the answers of this test");
}

/// The answer of an RPC without what differs between any two calls.
fn shown<T: std::fmt::Debug>(result: Result<tonic::Response<T>, Status>) -> String {
    match result {
        Ok(response) => format!("{:?}", response.get_ref()),
        Err(status) => format!("{:?} {} {:?}", status.code(), status.message(), status.details()),
    }
}

/// The first message of a stream.
async fn first<T: std::fmt::Debug>(
    result: Result<tonic::Response<tonic::Streaming<T>>, Status>,
) -> String {
    match result {
        Ok(response) => {
            format!("{:?}", response.into_inner().message().await.map_err(|e| e.code()))
        }
        Err(status) => format!("{:?} {}", status.code(), status.message()),
    }
}

/// What a user, or an anonymous caller, gets from every RPC of [`CALLED`].
pub async fn answers(
    world: &World,
    user: Option<&User>,
    contest: &str,
    hidden: &str,
) -> Vec<String> {
    fn request<T>(world: &World, user: Option<&User>, message: T) -> Request<T> {
        match user {
            Some(user) => world.request(user, message),
            None => Request::new(message),
        }
    }
    macro_rules! call {
        ($client:expr, $rpc:ident, $message:expr) => {
            shown($client.$rpc(request(world, user, $message)).await)
        };
    }
    macro_rules! watch {
        ($client:expr, $rpc:ident, $message:expr) => {
            first($client.$rpc(request(world, user, $message)).await).await
        };
    }
    let (mut contests, mut submissions) = (world.contests(), world.client());
    let mut jury = ContestJuryServiceClient::new(world.running.channel.clone());
    let mut rejudgings = RejudgingServiceClient::new(world.running.channel.clone());
    let contest_id = || contest.to_owned();
    let submission_id = || hidden.to_owned();
    let label = || "B".to_owned();
    let challenge_id = contest_id();
    vec![
        call!(contests, get_contest, GetContestRequest { contest_id: contest_id() }),
        call!(contests, list_contests, ListContestsRequest::default()),
        call!(
            contests,
            list_contest_problems,
            ListContestProblemsRequest { contest_id: contest_id() }
        ),
        call!(
            contests,
            get_contest_statement,
            GetContestStatementRequest {
                contest_id: contest_id(),
                label: label(),
                ..Default::default()
            }
        ),
        watch!(
            contests,
            download_contest_attachment,
            DownloadContestAttachmentRequest {
                contest_id: contest_id(),
                label: label(),
                name: "a".into()
            }
        ),
        call!(
            contests,
            list_participants,
            ListParticipantsRequest {
                contest_id: contest_id(),
                page_size: 1,
                ..Default::default()
            }
        ),
        call!(
            contests,
            get_standings,
            GetStandingsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        // With a page token.
        call!(
            contests,
            get_standings,
            GetStandingsRequest { contest_id: contest_id(), page_size: 1, ..Default::default() }
        ),
        call!(
            contests,
            get_standings,
            GetStandingsRequest {
                contest_id: contest_id(),
                view: StandingsView::Jury.into(),
                ..Default::default()
            }
        ),
        watch!(
            contests,
            watch_standings,
            WatchStandingsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        watch!(contests, watch_contest, WatchContestRequest { contest_id: contest_id() }),
        call!(
            jury,
            list_jury_actions,
            ListJuryActionsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        call!(
            rejudgings,
            list_rejudgings,
            ListRejudgingsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        call!(
            rejudgings,
            get_rejudging,
            GetRejudgingRequest {
                contest_id: contest_id(),
                rejudging_id: submission_id(),
                ..Default::default()
            }
        ),
        watch!(
            rejudgings,
            watch_rejudging,
            WatchRejudgingRequest { contest_id: contest_id(), rejudging_id: submission_id() }
        ),
        call!(submissions, get_submission, GetSubmissionRequest { submission_id: submission_id() }),
        call!(
            submissions,
            get_submission_source,
            GetSubmissionSourceRequest { submission_id: submission_id() }
        ),
        watch!(
            submissions,
            watch_submission,
            WatchSubmissionRequest { submission_id: submission_id() }
        ),
        call!(
            submissions,
            list_submissions,
            ListSubmissionsRequest { challenge_id: challenge_id.clone(), ..Default::default() }
        ),
        call!(
            submissions,
            list_submissions,
            ListSubmissionsRequest {
                challenge_id,
                verdict: Verdict::Accepted.into(),
                ..Default::default()
            }
        ),
    ]
}

#[tokio::test]
async fn frozen_verdicts_change_no_answer() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
        for user in [&ada, &bob] {
            world.join(user, &id).await.unwrap();
        }
        world.set_minute(20);
        for (user, label) in [(&ada, "A"), (&bob, "B")] {
            let open = world.enter(user, &id, label).await.unwrap();
            world.give(user, &open, Verdict::WrongAnswer).await;
        }
        world.set_minute(42);
        let mut hidden = Vec::new();
        for label in ["A", "B", "B"] {
            hidden.push(world.enter(&bob, &id, label).await.unwrap());
        }
        let all = async || {
            let mut all = Vec::new();
            for viewer in [None, Some(&ada), Some(&eve)] {
                all.push(answers(&world, viewer, &id, &hidden[0].submission_id).await);
            }
            all
        };
        let mut before = all().await;
        let verdicts = [Verdict::Accepted, Verdict::CompileError, Verdict::Accepted];
        for (submission, verdict) in hidden.iter().zip(verdicts) {
            world.give(&bob, submission, verdict).await;
            assert_eq!(all().await, before, "{verdict:?}");
        }
        // Nor does the end of the contest reveal them.
        world.set_minute(50);
        before = all().await;
        assert!(before[0].iter().any(|answer| answer.contains("frozen: true")), "{before:?}");
        assert!(!before[0].iter().any(|answer| answer.contains("solved_count: 1")), "{before:?}");
    })
    .await;
}
