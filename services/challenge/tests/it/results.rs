//! Awards and results.

use std::collections::HashSet;

use proto::challenge::result_service_client::ResultServiceClient;
use proto::challenge::*;
use rpc::Channel;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::contest_world::*;
use crate::world::*;

fn client(world: &World) -> ResultServiceClient<Channel> {
    ResultServiceClient::new(world.running.channel.clone())
}

fn request<T>(world: &World, user: Option<&User>, message: T) -> Request<T> {
    match user {
        Some(user) => world.request(user, message),
        None => Request::new(message),
    }
}

async fn awards(
    world: &World,
    user: Option<&User>,
    message: ListAwardsRequest,
) -> Result<ListAwardsResponse, Status> {
    Ok(client(world).list_awards(request(world, user, message)).await?.into_inner())
}

/// Award and name of each.
fn given(response: &ListAwardsResponse) -> Vec<(&str, &str)> {
    let awards = response.awards.iter();
    awards.map(|it| (it.award_id.as_str(), it.participant_name.as_str())).collect()
}

/// The content type and the whole file.
async fn export(
    world: &World,
    user: Option<&User>,
    contest_id: &str,
    format: ResultsFormat,
    view: StandingsView,
) -> Result<(String, String), Status> {
    let message = ExportResultsRequest {
        contest_id: contest_id.into(),
        format: format.into(),
        view: view.into(),
    };
    let response = client(world).export_results(request(world, user, message)).await?;
    let (mut stream, mut content_type, mut file) = (response.into_inner(), String::new(), vec![]);
    while let Some(body) = stream.message().await? {
        content_type += &body.content_type;
        file.extend(body.data);
    }
    Ok((content_type, String::from_utf8(file).unwrap()))
}

/// Ada solves A before the freeze, bob A and B in it; cy solves nothing and di is unofficial.
async fn contest(world: &World) -> (User, String) {
    let (olga, contest) = world.finals().await;
    let id = contest.contest_id;
    let users = ["ada", "bob", "cy", "di"].map(|name| world.user(name));
    let [ada, bob, _, di] = &users;
    let mut last = String::new();
    for user in &users {
        last = world.join(user, &id).await.unwrap().participant_id;
    }
    let participant =
        Participant { participant_id: last, unofficial: true, ..Participant::default() };
    let update = UpdateParticipantRequest {
        contest_id: id.clone(),
        participant: Some(participant),
        update_mask: Some(prost_types::FieldMask { paths: vec!["unofficial".into()] }),
    };
    world.contests().update_participant(world.request(&olga, update)).await.unwrap();
    for (minute, user, label) in [(15, di, "A"), (20, ada, "A"), (41, bob, "B"), (42, bob, "A")] {
        world.set_minute(minute);
        let entry = world.enter(user, &id, label).await.unwrap();
        world.give(user, &entry, Verdict::Accepted).await;
    }
    (olga, id)
}

#[tokio::test]
async fn awards_follow_the_standings_of_the_view() {
    each(|world| async move {
        let (olga, id) = contest(&world).await;
        let of = ListAwardsRequest { contest_id: id.clone(), ..Default::default() };
        let frozen = awards(&world, None, of.clone()).await.unwrap();
        let expected = [("winner", "ada"), ("gold-medal", "ada"), ("first-to-solve-A", "ada")];
        assert_eq!(given(&frozen), expected);
        assert!(frozen.provisional);
        let jury = ListAwardsRequest { view: StandingsView::Jury.into(), ..of.clone() };
        let all = awards(&world, Some(&olga), jury.clone()).await.unwrap();
        let expected = [
            ("winner", "bob"),
            ("gold-medal", "bob"),
            ("gold-medal", "ada"),
            ("first-to-solve-A", "ada"),
            ("first-to-solve-B", "bob"),
        ];
        assert_eq!(given(&all), expected);
        assert_eq!(all.awards[4].citation, "First to solve problem B");
        let ada = world.user("ada");
        let refused = awards(&world, Some(&ada), jury.clone()).await;
        assert_refused(refused, Code::PermissionDenied, "NOT_JURY");
        let mut page = ListAwardsRequest { page_size: 2, ..jury };
        let (mut pages, mut count) = (Vec::new(), 0);
        loop {
            let response = awards(&world, Some(&olga), page.clone()).await.unwrap();
            pages.extend(response.awards);
            count += 1;
            page.page_token = response.next_page_token;
            if page.page_token.is_empty() {
                break;
            }
        }
        assert_eq!((pages, count), (all.awards, 3));
        // A token of the jury's view is not one of the public view.
        page.page_size = 1;
        let token = awards(&world, Some(&olga), page).await.unwrap().next_page_token;
        let other = ListAwardsRequest { page_token: token, ..of.clone() };
        assert_invalid(awards(&world, None, other).await, &["page_token"]);
        assert_invalid(awards(&world, None, ListAwardsRequest { view: 9, ..of }).await, &["view"]);
    })
    .await;
}

#[tokio::test]
async fn results_are_exported_when_they_are_final() {
    each(|world| async move {
        let (olga, id) = contest(&world).await;
        let (public, jury) = (StandingsView::Public, StandingsView::Jury);
        let formats =
            [ResultsFormat::Tsv, ResultsFormat::Csv, ResultsFormat::Json, ResultsFormat::Html];
        let marks = ["PROVISIONAL", "provisional", "\"provisional\"", "Provisional:"];
        let early = Code::FailedPrecondition;
        for (format, mark) in formats.into_iter().zip(marks) {
            let refused = export(&world, None, &id, format, public).await;
            assert_refused(refused, early, "RESULTS_NOT_FINAL");
            let refused = export(&world, Some(&world.user("ada")), &id, format, jury).await;
            assert_refused(refused, Code::PermissionDenied, "NOT_JURY");
            let (_, file) = export(&world, Some(&olga), &id, format, jury).await.unwrap();
            assert!(file.contains(mark), "{file}");
        }
        world.set_minute(50);
        let finalize = |extra_bronze_count| FinalizeContestRequest {
            contest_id: id.clone(),
            extra_bronze_count,
            ..Default::default()
        };
        for count in [-1, 101] {
            let refused = world.request(&olga, finalize(count));
            let refused = world.contests().finalize_contest(refused).await;
            assert_invalid(refused, &["extra_bronze_count"]);
        }
        let request = world.request(&olga, finalize(2));
        world.contests().finalize_contest(request).await.unwrap();
        // Final, but still frozen for the public.
        let refused = export(&world, None, &id, ResultsFormat::Tsv, public).await;
        assert_refused(refused, early, "RESULTS_NOT_FINAL");
        let of = ListAwardsRequest { contest_id: id.clone(), ..Default::default() };
        assert!(awards(&world, None, of.clone()).await.unwrap().provisional);
        let thaw = ThawContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().thaw_contest(world.request(&olga, thaw)).await.unwrap();
        assert!(!awards(&world, None, of).await.unwrap().provisional);

        let (media, tsv) = export(&world, None, &id, ResultsFormat::Tsv, public).await.unwrap();
        assert_eq!(media, "text/tab-separated-values; charset=utf-8");
        let rows: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(rows[0], ["results", "1"]);
        assert_eq!(rows[1][1..], ["1", "Gold Medal", "2", "63", "32", ""]);
        assert_eq!(rows[2][1..], ["2", "Gold Medal", "1", "10", "10", ""]);
        assert_eq!(rows[3][1..], ["", "Honorable", "0", "0", "0", ""]);
        assert_eq!(rows.len(), 4);
        for (format, mark) in formats.into_iter().zip(marks) {
            let (media, file) = export(&world, None, &id, format, public).await.unwrap();
            assert!(!file.contains(mark) && !media.is_empty(), "{file}");
        }
        let (_, json) = export(&world, None, &id, ResultsFormat::Json, public).await.unwrap();
        assert!(json.contains("\"firstToSolve\":[{\"label\":\"A\""), "{json}");
        assert!(json.contains("\"status\":\"final\""), "{json}");
    })
    .await;
}

/// Registers copies of a participant, without calls.
async fn copy_participant(world: &World, contest: &str, original: &str, count: usize) {
    let ids = [contest, original].map(|id| id.parse::<Uuid>().unwrap());
    let [contest, original] = ids;
    let last = "SELECT last_seq FROM challenge_logs WHERE challenge_id = $1";
    let last: i64 = world.db.query(last).bind(contest).fetch_scalar().await.unwrap();
    let entry = "SELECT entry FROM challenge_log WHERE challenge_id = $1 AND seq = $2";
    let entry = world.db.query(entry).bind_all((contest, last));
    let entry: Vec<u8> = entry.fetch_scalar().await.unwrap();
    let at = entry.windows(16).position(|bytes| bytes == original.as_bytes()).unwrap();
    let mut tx = world.db.begin().await.unwrap();
    for (number, seq) in (0..count).zip(last + 1..) {
        let id = world.clock().new_id();
        let mut entry = entry.clone();
        entry[at..at + 16].copy_from_slice(id.as_bytes());
        tx.query(
            "INSERT INTO challenge_log (challenge_id, seq, time, entry)
             SELECT challenge_id, $3, time, $4 FROM challenge_log WHERE challenge_id = $1 AND seq = $2",
        )
        .bind_all((contest, last, seq, entry))
        .execute()
        .await
        .unwrap();
        tx.query(
            "INSERT INTO participants (participant_id, contest_id, user_id, name, unofficial, hidden, disqualified,
               extra_time_s, registered_at)
             SELECT $2, contest_id, $2, $3, unofficial, hidden, disqualified, extra_time_s, registered_at
             FROM participants WHERE participant_id = $1",
        )
        .bind_all((original, id, format!("copy-{number}")))
        .execute()
        .await
        .unwrap();
    }
    tx.query("UPDATE challenge_logs SET last_seq = $2 WHERE challenge_id = $1")
        .bind_all((contest, last + i64::try_from(count).unwrap()))
        .execute()
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn exports_have_every_participant_once() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.join(&world.user("ada"), &id).await.unwrap();
        copy_participant(&world, &id, &ada.participant_id, 1_200).await;
        let jury = StandingsView::Jury;
        let (_, csv) = export(&world, Some(&olga), &id, ResultsFormat::Csv, jury).await.unwrap();
        let names: HashSet<&str> =
            csv.lines().skip(1).filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!((csv.lines().count(), names.len()), (1_202, 1_201));
        let (_, json) = export(&world, Some(&olga), &id, ResultsFormat::Json, jury).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["results"].as_array().unwrap().len(), 1_201);
        let of = ListAwardsRequest { contest_id: id, ..Default::default() };
        assert!(awards(&world, None, of).await.unwrap().awards.is_empty());
    })
    .await;
}

#[tokio::test]
async fn invalid_exports_are_refused() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let contest_id = contest.contest_id;
        let send =
            async |message: ExportResultsRequest| client(&world).export_results(message).await;
        let request = ExportResultsRequest { contest_id, ..Default::default() };
        let format = ExportResultsRequest { format: 9, ..request.clone() };
        assert_invalid(send(format).await, &["format"]);
        assert_invalid(send(ExportResultsRequest { view: 9, ..request.clone() }).await, &["view"]);
        let unknown = ExportResultsRequest { contest_id: unknown(), ..request };
        assert_refused(send(unknown).await, Code::NotFound, "CONTEST_NOT_FOUND");
        assert_invalid(send(ExportResultsRequest::default()).await, &["contest_id"]);
    })
    .await;
}
