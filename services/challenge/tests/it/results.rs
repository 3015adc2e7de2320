//! Awards and results.

use proto::challenge::result_service_client::ResultServiceClient;
use proto::challenge::*;
use rpc::Channel;
use tonic::{Code, Request, Status};

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
