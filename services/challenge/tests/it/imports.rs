//! Imports of participants.

use proto::challenge::participant_import_service_client::ParticipantImportServiceClient;
use proto::challenge::*;
use proto::google::api::HttpBody;
use tonic::{Code, Status};

use crate::world::*;

async fn import(
    world: &World,
    user: &User,
    contest: &str,
    file: &str,
    dry_run: bool,
) -> Result<ImportParticipantsResponse, Status> {
    // In pieces, as an upload arrives.
    let pieces: Vec<_> = file.as_bytes().chunks(20_000).map(<[u8]>::to_vec).collect();
    let body = |data: &Vec<u8>| HttpBody { data: data.clone().into(), ..HttpBody::default() };
    let mut messages = vec![ImportParticipantsRequest {
        contest_id: contest.to_owned(),
        dry_run,
        content: pieces.first().map(body),
    }];
    messages.extend(
        pieces.iter().skip(1).map(|data| ImportParticipantsRequest {
            content: Some(body(data)),
            ..Default::default()
        }),
    );
    let mut client = ParticipantImportServiceClient::new(world.running.channel.clone());
    let request = world.request(user, futures_util::stream::iter(messages));
    Ok(client.import_participants(request).await?.into_inner())
}

const FILE: &str = "id\tusername\tname\torganization\tcountry\tgroup\tunofficial
7\tteamseven\tSeven\tETH\tCHE\tnorth\tfalse
8\tteameight\t\t\t\tsouth\ttrue
";

async fn rows(world: &World, id: &str) -> Vec<(String, i32, String)> {
    let standings = world.public(id).await;
    standings.rows.into_iter().map(|row| (row.name, row.rank, row.country)).collect()
}

#[tokio::test]
async fn an_import_registers_once_and_updates() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let dry = import(&world, &olga, id, FILE, true).await.unwrap();
        assert_eq!((dry.created_count, dry.updated_count), (2, 0));
        assert!(dry.participants.iter().all(|it| it.created && it.password.is_empty()));
        assert!(rows(&world, id).await.is_empty());
        assert!(world.fakes.accounts.lock().unwrap().is_empty());

        let made = import(&world, &olga, id, FILE, false).await.unwrap();
        assert_eq!((made.created_count, made.updated_count), (2, 0));
        let first = &made.participants[0];
        assert_eq!(
            (first.line, first.external_id.as_str(), first.username.as_str()),
            (2, "7", "teamseven")
        );
        assert!(first.created && first.password.starts_with("teamseven-"));
        let expected =
            [("Seven".to_owned(), 1, "CHE".to_owned()), ("teameight".to_owned(), 0, String::new())];
        assert_eq!(rows(&world, id).await, expected);
        assert_eq!(world.contest(&olga, id).await.unwrap().participant_count, 2);
        assert_eq!(world.event_count("ParticipantRegistered").await, 2);
        // Those who were imported take part.
        world.set_minute(10);
        world.enter(&world.user("teamseven"), id, "A").await.unwrap();

        let again = import(&world, &olga, id, FILE, false).await.unwrap();
        assert_eq!((again.created_count, again.updated_count), (0, 0));
        assert_eq!(again.participants[0].participant_id, first.participant_id);
        assert!(again.participants.iter().all(|it| it.password.is_empty() && !it.created));
        assert_eq!(world.event_count("ParticipantRegistered").await, 2);

        let changed = FILE.replace("CHE", "DEU").replace("true", "false") + "9\tteamnine\n";
        let changed = import(&world, &olga, id, &changed, false).await.unwrap();
        assert_eq!((changed.created_count, changed.updated_count), (1, 2));
        let names: Vec<_> = rows(&world, id).await;
        assert_eq!(names[0], ("Seven".to_owned(), 1, "DEU".to_owned()));
        assert_eq!((names.len(), names[1].1), (3, 1));

        let list = ListParticipantsRequest { contest_id: id.to_owned(), ..Default::default() };
        let external = async |user: &User| {
            let request = world.request(user, list.clone());
            let listed = world.contests().list_participants(request).await.unwrap().into_inner();
            listed.participants.into_iter().map(|it| it.external_id).collect::<Vec<_>>()
        };
        assert_eq!(external(&olga).await, ["7", "8", "9"]);
        assert_eq!(external(&world.user("eve")).await, ["", "", ""]);
    })
    .await;
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let call = async |file: &str| import(&world, &olga, id, file, false).await;
        let bad = "id,username,country\n1,ada,NZL\n2,bob,nz\n,cy,\n";
        assert_invalid(call(bad).await, &["lines[3].country", "lines[4].id"]);
        assert_invalid(call("id,username\n1,ada\n\n2,taken\n").await, &["lines[4].username"]);
        let dry = import(&world, &olga, id, "id,username\n2,taken\n", true).await;
        assert_invalid(dry, &["lines[2].username"]);
        assert_invalid(call("").await, &["content"]);
        assert_invalid(call(&"x".repeat((1 << 20) + 1)).await, &["content"]);
        assert!(rows(&world, id).await.is_empty());
        assert!(world.fakes.accounts.lock().unwrap().is_empty());

        call("id,username\n1,ada\n").await.unwrap();
        assert_invalid(call("id,username\n1,bob\n").await, &["lines[2].username"]);
        // An account that takes part in another way is refused as a whole.
        world.join(&world.user("bob"), id).await.unwrap();
        let twice = call("id,username\n2,cy\n3,bob\n").await;
        assert_refused(twice, Code::FailedPrecondition, "TAKES_PART_ALREADY");
        assert_eq!(world.contest(&olga, id).await.unwrap().participant_count, 2);
        let retried = call("id,username\n2,cy\n").await.unwrap();
        assert!(retried.participants[0].created && !retried.participants[0].password.is_empty());

        world.fakes.set_unavailable(true);
        let status = call("id,username\n5,eve\n").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        world.fakes.set_unavailable(false);
    })
    .await;
}

#[tokio::test]
async fn organisers_import_into_their_contest() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let (otto, dora) = (world.organiser("otto"), world.user("dora"));
        world.grant(&dora, "challenge.contest.update", id);
        let call = async |user: &User, id: &str| import(&world, user, id, FILE, false).await;
        for user in [&otto, &world.user("ada")] {
            let denied = call(user, id).await;
            assert_refused(denied, Code::PermissionDenied, "NOT_YOUR_CONTEST");
        }
        // A director may not make accounts.
        assert_refused(call(&dora, id).await, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_refused(call(&world.service(), id).await, Code::PermissionDenied, "USER_ONLY");
        assert_refused(call(&olga, "none").await, Code::NotFound, "CONTEST_NOT_FOUND");
        assert_invalid(call(&olga, "").await, &["contest_id"]);
        let cancel = CancelContestRequest { contest_id: id.to_owned(), ..Default::default() };
        world.contests().cancel_contest(world.request(&olga, cancel)).await.unwrap();
        assert_refused(call(&olga, id).await, Code::FailedPrecondition, "CONTEST_CLOSED");
    })
    .await;
}

#[tokio::test]
async fn many_participants_are_imported_at_once() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let lines = (0..400).map(|n| format!("{n},u{n:04},north,NZL\n"));
        let file = "id,username,group,country\n".to_owned() + &lines.collect::<String>();
        let (one, two) = tokio::join!(
            import(&world, &olga, id, &file, false),
            import(&world, &olga, id, &file, false),
        );
        assert_eq!(one.unwrap().created_count + two.unwrap().created_count, 400);
        assert_eq!(world.contest(&olga, id).await.unwrap().participant_count, 400);
        let north = GetStandingsRequest {
            contest_id: id.to_owned(),
            group: "north".into(),
            page_size: 200,
            ..Default::default()
        };
        let first = world.standings(&olga, north.clone()).await.unwrap();
        let second = GetStandingsRequest { page_token: first.next_page_token, ..north };
        let second = world.standings(&olga, second).await.unwrap();
        assert_eq!((second.rows.len(), second.row_count), (200, 400));
        assert_eq!(second.next_page_token, "");
    })
    .await;
}
