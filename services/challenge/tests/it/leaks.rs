//! No answer depends on a verdict that its reader may not see.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;
use proto::challenge::balloon_service_client::BalloonServiceClient;
use proto::challenge::clarification_service_client::ClarificationServiceClient;
use proto::challenge::contest_jury_service_client::ContestJuryServiceClient;
use proto::challenge::rejudging_service_client::RejudgingServiceClient;
use proto::challenge::result_service_client::ResultServiceClient;
use proto::challenge::team_service_client::TeamServiceClient;
use proto::challenge::*;
use tonic::{Request, Status};

use crate::world::*;

/// The read RPCs of the service that this test calls.
const CALLED: [&str; 30] = [
    "DownloadContestAttachment",
    "ExportResults",
    "GetContest",
    "GetContestStatement",
    "GetDuel",
    "GetRejudging",
    "GetStandings",
    "GetSubmission",
    "GetSubmissionSource",
    "GetTeam",
    "GetTicket",
    "ListAwards",
    "ListBalloons",
    "ListClarifications",
    "ListContestProblems",
    "ListContests",
    "ListDuels",
    "ListJuryActions",
    "ListParticipants",
    "ListRejudgings",
    "ListSubmissions",
    "ListTeams",
    "WatchBalloons",
    "WatchClarifications",
    "WatchContest",
    "WatchDuel",
    "WatchRejudging",
    "WatchStandings",
    "WatchSubmission",
    "WatchTicket",
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
    team: &str,
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
    let (mut duels, mut tickets) = (world.duels(), world.tickets());
    let channel = || world.running.channel.clone();
    let mut jury = ContestJuryServiceClient::new(channel());
    let mut clarifications = ClarificationServiceClient::new(channel());
    let mut balloons = BalloonServiceClient::new(channel());
    let mut results = ResultServiceClient::new(channel());
    let mut teams = TeamServiceClient::new(channel());
    let mut rejudgings = RejudgingServiceClient::new(channel());
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
        call!(
            contests,
            get_standings,
            GetStandingsRequest {
                contest_id: contest_id(),
                group: "north".into(),
                page_size: 1,
                ..Default::default()
            }
        ),
        call!(
            contests,
            get_standings,
            GetStandingsRequest {
                contest_id: contest_id(),
                at_minute: Some(35),
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
        call!(duels, get_duel, GetDuelRequest { duel_id: contest_id() }),
        call!(duels, list_duels, ListDuelsRequest::default()),
        watch!(duels, watch_duel, WatchDuelRequest { duel_id: contest_id() }),
        call!(tickets, get_ticket, GetTicketRequest { ticket_id: contest_id() }),
        watch!(tickets, watch_ticket, WatchTicketRequest { ticket_id: contest_id() }),
        call!(
            clarifications,
            list_clarifications,
            ListClarificationsRequest {
                contest_id: contest_id(),
                page_size: 1,
                ..Default::default()
            }
        ),
        watch!(
            clarifications,
            watch_clarifications,
            WatchClarificationsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        call!(
            balloons,
            list_balloons,
            ListBalloonsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        watch!(
            balloons,
            watch_balloons,
            WatchBalloonsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        call!(
            results,
            list_awards,
            ListAwardsRequest { contest_id: contest_id(), page_size: 1, ..Default::default() }
        ),
        watch!(
            results,
            export_results,
            ExportResultsRequest { contest_id: contest_id(), ..Default::default() }
        ),
        call!(teams, get_team, GetTeamRequest { team_id: team.to_owned() }),
        call!(teams, list_teams, ListTeamsRequest { user_id: "bob".into(), ..Default::default() }),
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
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
        world.join(&ada, &id).await.unwrap();
        let team = world.team(&bob, "Engines", &[&world.user("zoe")]).await.team_id;
        let bobs = world.join_with(&bob, &id, &team).await.unwrap();
        world.set_group(&olga, &id, &bobs, "north", "NZL").await.unwrap();
        world.set_minute(20);
        for (user, label) in [(&ada, "A"), (&bob, "B")] {
            let open = world.enter(user, &id, label).await.unwrap();
            world.give(user, &open, Verdict::WrongAnswer).await;
        }
        world.set_minute(42);
        let mut hidden = Vec::new();
        for label in ["A", "B", "B", "A"] {
            hidden.push(world.enter(&bob, &id, label).await.unwrap());
        }
        for text in ["Hello", "Lunch"] {
            let contest_id = id.clone();
            let announcement =
                CreateAnnouncementRequest { contest_id, text: text.into(), ..Default::default() };
            let mut client = ClarificationServiceClient::new(world.running.channel.clone());
            client.create_announcement(world.request(&olga, announcement)).await.unwrap();
        }
        let all = async || {
            let mut all = Vec::new();
            for viewer in [None, Some(&ada), Some(&eve)] {
                all.push(answers(&world, viewer, &id, &hidden[0].submission_id, &team).await);
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
        world.give(&bob, &hidden[3], Verdict::Accepted).await;
        assert_eq!(all().await, before, "after the end");
    })
    .await;
}
