//! The JSON objects of a contest and its settings. Properties without a value are left out.

use std::collections::BTreeMap;

use proto::challenge::{Contest, ContestFormat, ContestProblem, ContestState, Participant};
use proto::judge::Language;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::time::{absolute, duration, minutes};

const VERSION: &str = "2026-01";

/// Without the properties that are null, which the specification allows.
pub fn object(value: Value) -> Value {
    match value {
        Value::Object(all) => Value::Object(
            all.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>(),
        ),
        other => other,
    }
}

pub fn information() -> Value {
    json!({
        "version": VERSION,
        "version_url": format!("https://ccs-specs.icpc.io/{VERSION}/contest_api"),
        "provider": {"name": "Agon", "version": env!("CARGO_PKG_VERSION")},
    })
}

pub fn contest(contest: &Contest) -> Value {
    let icpc = contest.format() == ContestFormat::Icpc;
    object(json!({
        "id": contest.contest_id,
        "name": contest.title,
        "formal_name": contest.title,
        "start_time": absolute(contest.start_time),
        "duration": duration(contest.duration),
        "scoreboard_freeze_duration":
            duration(contest.freeze_duration.filter(|freeze| freeze.seconds > 0)),
        "scoreboard_thaw_time": absolute(contest.thaw_time),
        "scoreboard_type": if icpc { "pass-fail" } else { "score" },
        "penalty_time": icpc.then(|| minutes(contest.penalty_minutes.unwrap_or(0))),
    }))
}

/// A canceled contest has no state: the specification has none for it.
pub fn state(contest: &Contest) -> Value {
    let state = match contest.state() {
        ContestState::Canceled => ContestState::Unspecified,
        state => state,
    };
    let from = |first: ContestState, time| {
        if state >= first { absolute(time) } else { None }
    };
    let frozen = from(ContestState::Frozen, contest.freeze_time);
    let thawed = from(ContestState::Ended, contest.thaw_time).filter(|_| frozen.is_some());
    let finalized = from(ContestState::Ended, contest.finalize_time);
    let open = finalized.is_none() || frozen.is_some() && thawed.is_none();
    // Both have the same format and zone, so that the text has the order of the time.
    let end = thawed.clone().max(finalized.clone()).filter(|_| !open);
    json!({
        "started": from(ContestState::Running, contest.start_time),
        "frozen": frozen,
        "ended": from(ContestState::Ended, contest.end_time),
        "thawed": thawed,
        "finalized": finalized,
        "end_of_updates": end,
    })
}

/// Compile errors and errors of the judge cause no penalty.
pub fn judgement_types() -> Vec<Value> {
    [
        ("AC", "Accepted", false),
        ("RE", "Rejected", true),
        ("WA", "Wrong Answer", true),
        ("PE", "Presentation Error", true),
        ("TLE", "Time Limit Exceeded", true),
        ("ILE", "Idleness Limit Exceeded", true),
        ("MLE", "Memory Limit Exceeded", true),
        ("OLE", "Output Limit Exceeded", true),
        ("RTE", "Run-Time Error", true),
        ("CE", "Compile Error", false),
        ("NO", "No Output", true),
        ("SV", "Security Violation", true),
        ("JE", "Judging Error", false),
    ]
    .into_iter()
    .map(|(id, name, penalty)| {
        json!({"id": id, "name": name, "penalty": penalty, "solved": id == "AC"})
    })
    .collect()
}

/// `allowed` are those of the contest; empty = all.
pub fn languages(all: &[Language], allowed: &[String]) -> Vec<Value> {
    let offered =
        all.iter().filter(|language| allowed.is_empty() || allowed.contains(&language.language_id));
    offered
        .map(|language| {
            json!({
                "id": language.language_id,
                "name": language.name,
                "entry_point_required": false,
                "extensions": language.extensions,
            })
        })
        .collect()
}

/// The id of a problem is its label: before the end, only organisers see the id in the archive.
pub fn problems(problems: &[ContestProblem]) -> Vec<Value> {
    let numbered = problems.iter().zip(1..);
    numbered
        .map(|(problem, ordinal)| {
            object(json!({
                "id": problem.label,
                "label": problem.label,
                "name": problem.title,
                "ordinal": ordinal,
                "rgb": (!problem.color.is_empty()).then_some(&problem.color),
            }))
        })
        .collect()
}

/// An id made from a name, which may have characters that ids must not have.
fn id_of(parts: [&str; 2]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn group_id(participant: &Participant) -> Option<String> {
    let name = participant.group.as_str();
    (!name.is_empty()).then(|| id_of(["group", name]))
}

fn organization_id(participant: &Participant) -> Option<String> {
    let name = participant.organization.as_str();
    (!name.is_empty()).then(|| id_of([name, &participant.country]))
}

pub fn groups(participants: &[Participant]) -> Vec<Value> {
    let all: BTreeMap<_, _> = participants
        .iter()
        .filter_map(|participant| Some((&participant.group, group_id(participant)?)))
        .collect();
    all.into_iter().map(|(name, id)| json!({"id": id, "name": name})).collect()
}

/// Organizations of the same name in two countries are two.
pub fn organizations(participants: &[Participant]) -> Vec<Value> {
    let all: BTreeMap<_, _> = participants
        .iter()
        .filter_map(|one| Some(((&one.organization, &one.country), organization_id(one)?)))
        .collect();
    all.into_iter()
        .map(|((name, country), id)| {
            let country = (!country.is_empty()).then_some(country);
            object(json!({"id": id, "name": name, "formal_name": name, "country": country}))
        })
        .collect()
}

pub fn teams(participants: &[Participant]) -> Vec<Value> {
    participants
        .iter()
        .map(|one| {
            let label = if one.external_id.is_empty() { &one.name } else { &one.external_id };
            object(json!({
                "id": one.participant_id,
                "name": one.name,
                "label": label,
                "display_name": one.name,
                "organization_id": organization_id(one),
                "group_ids": group_id(one).into_iter().collect::<Vec<_>>(),
                "hidden": one.hidden,
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use prost_types::{Duration, Timestamp};

    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn contest_has_relative_times() {
        let seconds = |seconds| Some(Duration { seconds, nanos: 0 });
        let mut found = Contest {
            contest_id: "c".into(),
            title: "Final".into(),
            format: ContestFormat::Icpc.into(),
            start_time: at(0),
            duration: seconds(18_000),
            freeze_duration: seconds(3600),
            penalty_minutes: Some(20),
            ..Default::default()
        };
        let expected = json!({
            "id": "c", "name": "Final", "formal_name": "Final",
            "start_time": "1970-01-01T00:00:00.000+00:00", "duration": "5:00:00.000",
            "scoreboard_freeze_duration": "1:00:00.000", "scoreboard_type": "pass-fail",
            "penalty_time": "0:20:00.000",
        });
        assert_eq!(contest(&found), expected);
        found.freeze_duration = seconds(0);
        assert_eq!(contest(&found).get("scoreboard_freeze_duration"), None);
    }

    #[test]
    fn state_has_only_times_that_have_passed() {
        use ContestState as S;
        let of = |state: S, thaw, finalize| {
            let all = super::state(&Contest {
                state: state.into(),
                start_time: at(0),
                freeze_time: at(10),
                end_time: at(20),
                thaw_time: thaw,
                finalize_time: finalize,
                ..Default::default()
            });
            let names = ["started", "frozen", "ended", "thawed", "finalized", "end_of_updates"];
            names.map(|name| all[name].as_str().map_or(-1, |time| time[17..19].parse().unwrap()))
        };
        for state in [S::Draft, S::Scheduled, S::Canceled] {
            assert_eq!(of(state, None, None), [-1; 6], "{state:?}");
        }
        assert_eq!(of(S::Running, None, None), [0, -1, -1, -1, -1, -1]);
        assert_eq!(of(S::Frozen, None, None), [0, 10, -1, -1, -1, -1]);
        assert_eq!(of(S::Ended, None, None), [0, 10, 20, -1, -1, -1]);
        assert_eq!(of(S::Finalized, None, at(30)), [0, 10, 20, -1, 30, -1]);
        assert_eq!(of(S::Thawed, at(25), None), [0, 10, 20, 25, -1, -1]);
        assert_eq!(of(S::Finalized, at(25), at(30)), [0, 10, 20, 25, 30, 30]);
        assert_eq!(of(S::Finalized, at(35), at(30)), [0, 10, 20, 35, 30, 35]);
    }

    #[test]
    fn ids_are_those_of_the_specification() {
        let one = |name: &str, organization: &str, country: &str| Participant {
            participant_id: name.into(),
            name: name.into(),
            organization: organization.into(),
            country: country.into(),
            group: "South & West".into(),
            ..Default::default()
        };
        let all = [one("p", "Université", "FRA"), one("q", "Université", "BEL"), one("r", "", "")];
        let organizations = organizations(&all);
        assert_eq!(organizations.len(), 2);
        assert_eq!(groups(&all).len(), 1);
        let teams = teams(&all);
        assert_eq!(teams[0]["organization_id"], organizations[1]["id"]);
        assert_eq!(teams[2].get("organization_id"), None);
        assert_eq!(teams[2]["group_ids"][0], groups(&all)[0]["id"]);
        for id in [&organizations[0]["id"], &groups(&all)[0]["id"]] {
            let id = id.as_str().unwrap();
            assert!(id.len() <= 36 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        }
        assert!(super::teams(&[]).is_empty() && super::groups(&[]).is_empty());
    }

    #[test]
    fn languages_are_those_of_the_contest() {
        let all =
            ["c17", "java"].map(|id| Language { language_id: id.into(), ..Default::default() });
        assert_eq!(languages(&all, &[]).len(), 2);
        let some = languages(&all, &["java".to_owned(), "gone".to_owned()]);
        assert_eq!((some.len(), &some[0]["id"]), (1, &json!("java")));
    }
}
