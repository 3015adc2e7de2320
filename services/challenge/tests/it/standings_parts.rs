//! Standings of a group or country, and of an earlier minute.

use proto::challenge::*;
use tonic::Code;

use crate::contest_world::*;
use crate::world::*;

fn of(contest: &str) -> GetStandingsRequest {
    GetStandingsRequest { contest_id: contest.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn filters_rank_within_their_participants() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let origins = [
            ("ada", "north", "NZL"),
            ("bob", "south", "NZL"),
            ("cy", "north", "DEU"),
            ("dan", "north", "NZL"),
        ];
        for (name, group, country) in origins {
            let entered = world.join(&world.user(name), id).await.unwrap();
            let set = world.set_group(&olga, id, &entered, group, country).await.unwrap();
            assert_eq!((set.group.as_str(), set.country.as_str()), (group, country));
        }
        world.set_minute(15);
        for name in ["bob", "cy", "dan"] {
            let user = world.user(name);
            let entry = world.enter(&user, id, "A").await.unwrap();
            world.give(&user, &entry, Verdict::Accepted).await;
        }
        let all = world.public(id).await;
        let ranks = [("bob", 1, 1, 5), ("cy", 1, 1, 5), ("dan", 1, 1, 5), ("ada", 4, 0, 0)];
        assert_eq!(table(&all), ranks);
        let ada = world.user("ada");
        let north = GetStandingsRequest { group: "north".into(), ..of(id) };
        let page = world.standings(&ada, north.clone()).await.unwrap();
        assert_eq!(table(&page), [("cy", 1, 1, 5), ("dan", 1, 1, 5), ("ada", 3, 0, 0)]);
        assert_eq!((page.row_count, page.rows[0].organization.as_str()), (3, "Organization north"));
        let both = GetStandingsRequest { country: "NZL".into(), ..north.clone() };
        let page = world.standings(&ada, both).await.unwrap();
        assert_eq!(table(&page), [("dan", 1, 1, 5), ("ada", 2, 0, 0)]);
        let none = GetStandingsRequest { group: "east".into(), ..of(id) };
        let page = world.standings(&ada, none).await.unwrap();
        assert_eq!((page.rows.len(), page.row_count), (0, 0));

        let first = GetStandingsRequest { page_size: 2, ..north };
        let page_token = world.standings(&ada, first.clone()).await.unwrap().next_page_token;
        let second = GetStandingsRequest { page_token: page_token.clone(), ..first.clone() };
        let page = world.standings(&ada, second).await.unwrap();
        assert_eq!((table(&page), page.row_count), (vec![("ada", 3, 0, 0)], 3));
        assert_eq!(page.next_page_token, "");
        // The token belongs to the filter.
        let other = GetStandingsRequest { page_token, group: String::new(), ..first };
        assert_invalid(world.standings(&ada, other).await, &["page_token"]);
    })
    .await;
}

#[tokio::test]
async fn earlier_minutes_show_what_the_viewer_may_see() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let [ada, bob] = ["ada", "bob"].map(|name| world.user(name));
        for user in [&ada, &bob] {
            world.join(user, id).await.unwrap();
        }
        let at = |minute| GetStandingsRequest { at_minute: Some(minute), ..of(id) };
        for (minute, user, label, verdict) in [
            (15, &ada, "A", Verdict::WrongAnswer),
            (20, &ada, "A", Verdict::Accepted),
            (25, &bob, "A", Verdict::Accepted),
            (42, &bob, "B", Verdict::Accepted),
        ] {
            world.set_minute(minute);
            let entry = world.enter(user, id, label).await.unwrap();
            world.give(user, &entry, verdict).await;
        }
        let early = world.standings(&olga, at(10)).await;
        assert_refused(early, Code::FailedPrecondition, "CONTEST_NOT_ENDED");
        world.set_minute(50);
        // Minutes count from the start in minute 10. A submission in minute 10 is after it began.
        for (minute, expected) in [
            (0, [("ada", 1, 0, 0), ("bob", 1, 0, 0)]),
            (10, [("ada", 1, 0, 0), ("bob", 1, 0, 0)]),
            (11, [("ada", 1, 1, 30), ("bob", 2, 0, 0)]),
            (16, [("bob", 1, 1, 15), ("ada", 2, 1, 30)]),
            (40, [("bob", 1, 1, 15), ("ada", 2, 1, 30)]),
        ] {
            let page = world.standings(&ada, at(minute)).await.unwrap();
            assert_eq!(table(&page), expected, "minute {minute}");
        }
        let frozen = world.standings(&ada, at(40)).await.unwrap();
        assert_eq!(cell(&frozen, &bob, "B"), Some((false, 0, 1)));
        assert_eq!(cell(&world.standings(&ada, at(32)).await.unwrap(), &bob, "B"), None);
        let jury = GetStandingsRequest { view: StandingsView::Jury.into(), ..at(40) };
        assert_refused(
            world.standings(&ada, jury.clone()).await,
            Code::PermissionDenied,
            "NOT_JURY",
        );
        let page = world.standings(&olga, jury).await.unwrap();
        assert_eq!(table(&page), [("bob", 1, 2, 47), ("ada", 2, 1, 30)]);
        let thaw = ThawContestRequest { contest_id: id.to_owned(), ..Default::default() };
        world.contests().thaw_contest(world.request(&olga, thaw)).await.unwrap();
        let page = world.standings(&ada, at(33)).await.unwrap();
        assert_eq!(table(&page), [("bob", 1, 2, 47), ("ada", 2, 1, 30)]);

        let first = GetStandingsRequest { page_size: 1, ..at(11) };
        let page_token = world.standings(&ada, first.clone()).await.unwrap().next_page_token;
        let second = GetStandingsRequest { page_token, ..first };
        assert_eq!(table(&world.standings(&ada, second).await.unwrap()), [("bob", 2, 0, 0)]);
        for minute in [-1, 41, i32::MAX] {
            assert_invalid(world.standings(&ada, at(minute)).await, &["at_minute"]);
        }
    })
    .await;
}

#[tokio::test]
async fn origins_are_checked_and_set_by_organisers() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let (ada, otto) = (world.user("ada"), world.organiser("otto"));
        let entered = world.join(&ada, id).await.unwrap();
        for user in [&ada, &otto] {
            let denied = world.set_group(user, id, &entered, "north", "NZL").await;
            assert_refused(denied, Code::PermissionDenied, "NOT_YOUR_CONTEST");
        }
        let long = "x".repeat(61);
        for (group, country, field) in [
            ("north", "NZ", "participant.country"),
            ("north", "nzl", "participant.country"),
            ("a\nb", "", "participant.organization"),
            (&long, "", "participant.group"),
        ] {
            let refused = world.set_group(&olga, id, &entered, group, country).await;
            assert_invalid(refused, &[field]);
        }
        let filter = GetStandingsRequest { country: "nzl".into(), ..of(id) };
        assert_invalid(world.standings(&ada, filter).await, &["country"]);
        let filter = GetStandingsRequest { group: "a\0".into(), ..of(id) };
        assert_invalid(world.standings(&ada, filter).await, &["group"]);
        world.set_group(&olga, id, &entered, "north", "NZL").await.unwrap();
        let cleared = world.set_group(&olga, id, &entered, "", "").await.unwrap();
        assert_eq!((cleared.group.as_str(), cleared.country.as_str()), ("", ""));
    })
    .await;
}
