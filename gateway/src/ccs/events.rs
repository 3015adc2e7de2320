//! The JSON objects of what happens in a contest: submissions, judgements, the scoreboard, awards and
//! clarifications.

use std::collections::HashMap;

use prost_types::Timestamp;
use proto::challenge::{
    Award, Clarification, ClarificationKind, Contest, ContestProblem, GetStandingsResponse,
    Participant, StandingsRow, Submission, SubmissionState, Verdict,
};
use serde_json::{Value, json};

use super::shape::{self, object};
use super::time::{absolute, duration, minutes, since};

/// The team and the problem of each submission, as far as the caller sees them.
pub struct Names<'a> {
    teams: HashMap<&'a str, &'a str>,
    labels: HashMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    pub fn new(participants: &'a [Participant], problems: &'a [ContestProblem]) -> Self {
        let members = participants.iter().flat_map(|participant| {
            let members = participant.members.iter().map(|member| member.user_id.as_str());
            let users = members.chain([participant.user_id.as_str()]);
            users.map(|user| (user, participant.participant_id.as_str()))
        });
        let labels = problems.iter().map(|one| (one.problem_id.as_str(), one.label.as_str()));
        let named = |(key, _): &(&str, &str)| !key.is_empty();
        Names { teams: members.filter(named).collect(), labels: labels.filter(named).collect() }
    }

    /// Submissions that count, with team and label: every id of an object must refer to another object.
    fn of<'s>(
        &'s self,
        submissions: &'s [Submission],
    ) -> impl Iterator<Item = (&'s Submission, &'a str, &'a str)> {
        submissions.iter().filter(|submission| !submission.ignored).filter_map(|submission| {
            let team = self.teams.get(submission.user_id.as_str())?;
            let label = self.labels.get(submission.problem_id.as_str())?;
            Some((submission, *team, *label))
        })
    }
}

pub fn submissions(submissions: &[Submission], names: &Names<'_>) -> Vec<Value> {
    let named = names.of(submissions);
    named
        .map(|(submission, team, label)| {
            object(json!({
                "id": submission.submission_id,
                "language_id": submission.language,
                "problem_id": label,
                "team_id": team,
                "time": absolute(submission.create_time),
                "contest_time": duration(submission.contest_time),
            }))
        })
        .collect()
}

/// One judgement for each submission that is judged or being judged, with the id of the submission. It starts with the
/// submission, because services do not tell when a worker started.
pub fn judgements(
    submissions: &[Submission],
    names: &Names<'_>,
    start: Option<Timestamp>,
) -> Vec<Value> {
    names
        .of(submissions)
        .filter_map(|(submission, ..)| {
            let done = match submission.state() {
                SubmissionState::Compiling | SubmissionState::Running => None,
                SubmissionState::Done => Some(judgement_type(submission.verdict())?),
                SubmissionState::Unspecified
                | SubmissionState::Queued
                | SubmissionState::Aborted => return None,
            };
            let end = submission.judge_time.filter(|_| done.is_some());
            let seconds = (submission.cpu_time_us.max(0) / 1000) as f64 / 1000.0;
            Some(object(json!({
                "id": submission.submission_id,
                "submission_id": submission.submission_id,
                "judgement_type_id": done,
                "current": true,
                "start_time": absolute(submission.create_time),
                "start_contest_time": duration(submission.contest_time),
                "end_time": absolute(end),
                "end_contest_time": since(start, end),
                "max_run_time": done.map(|_| seconds),
            })))
        })
        .collect()
}

fn judgement_type(verdict: Verdict) -> Option<&'static str> {
    Some(match verdict {
        Verdict::Unspecified => return None,
        Verdict::Accepted => "AC",
        Verdict::Partial | Verdict::Skipped => "RE",
        Verdict::WrongAnswer => "WA",
        Verdict::PresentationError => "PE",
        Verdict::TimeLimitExceeded => "TLE",
        Verdict::IdlenessLimitExceeded => "ILE",
        Verdict::MemoryLimitExceeded => "MLE",
        Verdict::OutputLimitExceeded => "OLE",
        Verdict::RuntimeError => "RTE",
        Verdict::CompileError => "CE",
        Verdict::NoOutput => "NO",
        Verdict::SecurityViolation => "SV",
        Verdict::JudgeError => "JE",
    })
}

/// `pages` are those of the standings, in order.
pub fn scoreboard(contest: &Contest, pages: &[GetStandingsResponse], now: Timestamp) -> Value {
    let labels = pages.first().map_or(&[][..], |page| &page.labels);
    let rows = pages.iter().flat_map(|page| &page.rows).map(|one| row(one, labels));
    json!({
        "time": absolute(Some(now)),
        "contest_time": since(contest.start_time, Some(now)),
        "state": shape::state(contest),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn row(row: &StandingsRow, labels: &[String]) -> Value {
    let problems = labels.iter().map(|label| {
        let cell = row.cells.iter().find(|cell| cell.label == *label).cloned().unwrap_or_default();
        object(json!({
            "problem_id": label,
            "num_judged": cell.attempt_count,
            "num_pending": cell.pending_count,
            "solved": cell.solved,
            "time": cell.solved.then(|| minutes(cell.solve_minute)),
        }))
    });
    object(json!({
        "rank": (row.rank > 0).then_some(row.rank),
        "team_id": row.participant_id,
        "score": object(json!({
            "num_solved": row.solved_count,
            "total_time": minutes(row.penalty_minutes),
            "time": (row.solved_count > 0).then(|| minutes(row.last_accepted_minute)),
        })),
        "problems": problems.collect::<Vec<_>>(),
    }))
}

/// One object for each award, with all of its teams.
pub fn awards(awards: &[Award]) -> Vec<Value> {
    let mut order: Vec<&Award> = Vec::new();
    let mut teams: HashMap<&str, Vec<&str>> = HashMap::new();
    for award in awards {
        let list = teams.entry(&award.award_id).or_insert_with(|| {
            order.push(award);
            Vec::new()
        });
        list.push(&award.participant_id);
    }
    let of = |award: &Award| teams.get(award.award_id.as_str()).cloned().unwrap_or_default();
    order
        .into_iter()
        .map(|award| {
            json!({"id": award.award_id, "citation": award.citation, "team_ids": of(award)})
        })
        .collect()
}

/// A question and its answer are two objects. Who does not see the sender of a question gets one message of the jury
/// with both.
pub fn clarifications(all: &[Clarification], start: Option<Timestamp>) -> Vec<Value> {
    all.iter().flat_map(|one| messages(one, start)).collect()
}

fn messages(one: &Clarification, start: Option<Timestamp>) -> Vec<Value> {
    let message = |id: &str,
                   from: Option<&str>,
                   to: Option<&str>,
                   reply: Option<&str>,
                   text: String,
                   time| {
        object(json!({
            "id": id,
            "from_team_id": from,
            "to_team_id": to,
            "reply_to_id": reply,
            "problem_id": (!one.label.is_empty()).then_some(&one.label),
            "text": text,
            "time": absolute(time),
            "contest_time": since(start, time),
        }))
    };
    let id = one.clarification_id.as_str();
    let answer_time = one.answer_time.or(one.create_time);
    if one.kind() == ClarificationKind::Announcement {
        return vec![message(id, None, None, None, one.answer.clone(), answer_time)];
    }
    // An id has at most 36 characters, those of a UUID with its hyphens.
    let answer_id = format!("{}-a", id.replace('-', ""));
    let team = Some(one.participant_id.as_str()).filter(|id| !id.is_empty());
    let answered = !one.answer.is_empty();
    let Some(team) = team else {
        let both = format!("> {}\n\n{}", one.question.replace('\n', "\n> "), one.answer);
        let both = answered.then(|| message(&answer_id, None, None, None, both, answer_time));
        return both.into_iter().collect();
    };
    let mut list = vec![message(id, Some(team), None, None, one.question.clone(), one.create_time)];
    if answered {
        let to = (!one.public).then_some(team);
        list.push(message(&answer_id, None, to, Some(id), one.answer.clone(), answer_time));
    }
    list
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;
    use proto::challenge::{ParticipantMember, StandingsCell};

    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn participants() -> [Participant; 1] {
        let member = |user: &str| ParticipantMember { user_id: user.into(), ..Default::default() };
        [Participant {
            participant_id: "team".into(),
            members: vec![member("ada"), member("bob")],
            ..Default::default()
        }]
    }

    fn submission(id: &str, user: &str, state: SubmissionState) -> Submission {
        Submission {
            submission_id: id.into(),
            problem_id: "sum".into(),
            user_id: user.into(),
            language: "c17".into(),
            state: state.into(),
            create_time: at(1060),
            contest_time: Some(Duration { seconds: 60, nanos: 0 }),
            ..Default::default()
        }
    }

    fn problems(id: &str) -> [ContestProblem; 1] {
        [ContestProblem { label: "A".into(), problem_id: id.into(), ..Default::default() }]
    }

    fn ids(all: &[Value]) -> Vec<&str> {
        all.iter().map(|one| one["id"].as_str().unwrap()).collect()
    }

    #[test]
    fn submissions_have_team_and_label() {
        let (participants, problems, hidden) = (participants(), problems("sum"), problems(""));
        let names = Names::new(&participants, &problems);
        let queued = SubmissionState::Queued;
        let ignored = Submission { ignored: true, ..submission("4", "ada", queued) };
        let all = [
            submission("1", "ada", queued),
            submission("2", "bob", queued),
            submission("3", "hidden", queued),
            ignored,
        ];
        let found = submissions(&all, &names);
        assert_eq!(ids(&found), ["1", "2"]);
        let expected = json!({
            "id": "1", "language_id": "c17", "problem_id": "A", "team_id": "team",
            "time": "1970-01-01T00:17:40.000+00:00", "contest_time": "0:01:00.000",
        });
        assert_eq!(found[0], expected);
        // Without the ids of the problems, the labels are not known.
        assert!(submissions(&all, &Names::new(&participants, &hidden)).is_empty());
    }

    #[test]
    fn judgements_end_with_their_verdict() {
        let (participants, problems) = (participants(), problems("sum"));
        let names = Names::new(&participants, &problems);
        let done = Submission {
            verdict: Verdict::WrongAnswer.into(),
            cpu_time_us: 1_234_567,
            judge_time: at(1062),
            ..submission("done", "ada", SubmissionState::Done)
        };
        let all = [
            submission("queued", "ada", SubmissionState::Queued),
            submission("running", "ada", SubmissionState::Running),
            submission("aborted", "ada", SubmissionState::Aborted),
            done,
        ];
        let found = judgements(&all, &names, at(1000));
        assert_eq!(ids(&found), ["running", "done"]);
        assert_eq!(found[0].get("judgement_type_id"), None);
        assert_eq!(found[0].get("end_time"), None);
        assert_eq!(found[1]["judgement_type_id"], "WA");
        assert_eq!(found[1]["end_contest_time"], "0:01:02.000");
        assert_eq!(found[1]["max_run_time"], 1.234);
    }

    #[test]
    fn every_verdict_has_a_judgement_type() {
        let types = shape::judgement_types();
        for number in 1..=14 {
            let verdict = Verdict::try_from(number).unwrap();
            let id = judgement_type(verdict).unwrap();
            assert!(ids(&types).contains(&id), "{verdict:?}");
        }
        assert_eq!(judgement_type(Verdict::Unspecified), None);
        assert!(Verdict::try_from(15).is_err(), "a new verdict needs a judgement type");
    }

    #[test]
    fn scoreboard_lists_every_problem() {
        let cell = StandingsCell {
            label: "B".into(),
            solved: true,
            attempt_count: 2,
            solve_minute: 61,
            ..Default::default()
        };
        let row = |rank, cells: Vec<StandingsCell>| StandingsRow {
            participant_id: format!("team-{rank}"),
            rank,
            solved_count: i32::try_from(cells.len()).unwrap(),
            penalty_minutes: 81,
            last_accepted_minute: 61,
            cells,
            ..Default::default()
        };
        let page = |row| GetStandingsResponse {
            rows: vec![row],
            labels: vec!["A".into(), "B".into()],
            ..Default::default()
        };
        let contest = Contest { start_time: at(1000), ..Default::default() };
        let pages = [page(row(1, vec![cell])), page(row(0, vec![]))];
        let board = scoreboard(&contest, &pages, at(1060).unwrap());
        assert_eq!(board["contest_time"], "0:01:00.000");
        let expected = json!({
            "rank": 1, "team_id": "team-1",
            "score": {"num_solved": 1, "total_time": "1:21:00.000", "time": "1:01:00.000"},
            "problems": [
                {"problem_id": "A", "num_judged": 0, "num_pending": 0, "solved": false},
                {"problem_id": "B", "num_judged": 2, "num_pending": 0, "solved": true,
                 "time": "1:01:00.000"},
            ],
        });
        assert_eq!(board["rows"][0], expected);
        assert_eq!(board["rows"][1].get("rank"), None);
        assert_eq!(board["rows"][1]["score"].get("time"), None);
        assert_eq!(scoreboard(&contest, &[], at(0).unwrap())["rows"], json!([]));
    }

    #[test]
    fn awards_have_all_their_teams() {
        let award = |id: &str, team: &str| Award {
            award_id: id.into(),
            citation: format!("{id} award"),
            participant_id: team.into(),
            ..Default::default()
        };
        let found = awards(&[award("winner", "b"), award("honors", "a"), award("winner", "c")]);
        let expected = [
            json!({"id": "winner", "citation": "winner award", "team_ids": ["b", "c"]}),
            json!({"id": "honors", "citation": "honors award", "team_ids": ["a"]}),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn senders_of_questions_are_not_invented() {
        let id = "0190d7a0-0000-7000-8000-000000000001";
        let question = Clarification {
            clarification_id: id.into(),
            kind: ClarificationKind::Question.into(),
            question: "Why?".into(),
            participant_id: "team".into(),
            create_time: at(1000),
            ..Default::default()
        };
        let answered =
            Clarification { answer: "So.".into(), answer_time: at(1001), ..question.clone() };
        let of = |one: &Clarification| clarifications(std::slice::from_ref(one), at(1000));
        assert_eq!(ids(&of(&question)), [id]);
        let both = of(&answered);
        assert_eq!(both[0]["from_team_id"], "team");
        assert_eq!((&both[1]["to_team_id"], &both[1]["reply_to_id"]), (&json!("team"), &json!(id)));
        assert_eq!(both[1]["contest_time"], "0:00:01.000");
        assert!(both[1]["id"].as_str().unwrap().len() <= 36);
        let public = Clarification { public: true, ..answered };
        assert_eq!(of(&public)[1].get("to_team_id"), None);
        let others = Clarification { participant_id: String::new(), ..public };
        let seen = of(&others);
        assert_eq!((seen.len(), &seen[0]["text"]), (1, &json!("> Why?\n\nSo.")));
        assert_eq!(seen[0].get("reply_to_id"), None);
        let kind = ClarificationKind::Announcement.into();
        let announced = Clarification { kind, question: String::new(), ..others };
        assert_eq!(
            (&of(&announced)[0]["id"], &of(&announced)[0]["text"]),
            (&json!(id), &json!("So."))
        );
    }
}
