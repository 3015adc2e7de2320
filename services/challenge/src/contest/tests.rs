use super::*;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minute)
}

/// From minute 60 to 360, frozen from 300.
fn contest() -> Contest {
    Contest {
        id: Uuid::from_u128(1),
        version: 1,
        slug: "finals".into(),
        title: "Finals".into(),
        description: String::new(),
        owner_id: Uuid::from_u128(2),
        visibility: Visibility::Public,
        format: Format::Icpc,
        registration: Registration::Open,
        access_code: String::new(),
        starts_at: at(60),
        ends_at: at(360),
        freezes_at: Some(at(300)),
        penalty_minutes: 20,
        languages: Vec::new(),
        source_limit: 0,
        problems: Vec::new(),
        participant_count: 0,
        recorded_state: State::Scheduled,
        created_at: at(0),
        updated_at: at(0),
        published_at: Some(at(0)),
        canceled_at: None,
        thawed_at: None,
        finalized_at: None,
        deleted_at: None,
    }
}

fn participant() -> Participant {
    let [id, contest_id, user_id] = [3, 1, 4].map(Uuid::from_u128);
    Participant::new(id, contest_id, user_id, "ada", at(1))
}

#[test]
fn states_follow_the_times() {
    let states = |contest: &Contest| [59, 60, 299, 300, 359, 360].map(|m| contest.state(at(m)));
    use State::{Canceled, Draft, Ended, Finalized, Frozen, Running, Scheduled, Thawed};
    let frozen = contest();
    assert_eq!(states(&frozen), [Scheduled, Running, Running, Frozen, Frozen, Ended]);
    let open = Contest { freezes_at: None, ..contest() };
    assert_eq!(states(&open), [Scheduled, Running, Running, Running, Running, Ended]);
    let draft = Contest { published_at: None, ..contest() };
    assert_eq!(draft.state(at(90)), Draft);
    let thawed = Contest { thawed_at: Some(at(400)), ..contest() };
    assert_eq!(thawed.state(at(401)), Thawed);
    let finalized = Contest { finalized_at: Some(at(401)), ..thawed };
    assert_eq!(finalized.state(at(402)), Finalized);
    let canceled = Contest { canceled_at: Some(at(70)), ..contest() };
    assert_eq!(canceled.state(at(71)), Canceled);
}

#[test]
fn transitions_are_due_in_order_with_planned_times() {
    let mut contest = contest();
    assert_eq!(contest.transition_at(), Some(at(60)));
    assert_eq!(contest.due(at(59)), []);
    // The scheduler was down until minute 400.
    let all = [(State::Running, at(60)), (State::Frozen, at(300)), (State::Ended, at(360))];
    assert_eq!(contest.due(at(400)), all);
    contest.recorded_state = State::Frozen;
    assert_eq!(contest.due(at(400)), all[2..]);
    assert_eq!(contest.transition_at(), Some(at(360)));
    contest.recorded_state = State::Ended;
    assert_eq!(contest.transition_at(), None);
    for idle in [
        Contest { published_at: None, ..self::contest() },
        Contest { canceled_at: Some(at(61)), ..self::contest() },
    ] {
        assert_eq!((idle.due(at(400)), idle.transition_at()), (vec![], None));
    }
}

#[test]
fn a_freeze_of_the_whole_contest_begins_with_it() {
    let contest = Contest { freezes_at: Some(at(0)), ..contest() };
    let due = [(State::Running, at(60)), (State::Frozen, at(60))];
    assert_eq!(contest.due(at(61)), due);
    assert_eq!(contest.state(at(60)), State::Frozen);
}

#[test]
fn an_extension_moves_only_a_freeze_that_has_not_begun() {
    let mut early = contest();
    early.extend(at(390), at(299));
    assert_eq!((early.freezes_at, early.ends_at), (Some(at(330)), at(390)));
    let mut late = contest();
    late.extend(at(390), at(300));
    assert_eq!((late.freezes_at, late.ends_at), (Some(at(300)), at(390)));
    let mut short = contest();
    short.extend(at(100), at(61));
    assert_eq!((short.freezes_at, short.ends_at), (Some(at(60)), at(100)));
}

#[test]
fn submissions_are_accepted_from_participants_in_time() {
    let check = |contest: &Contest, participant: Option<&Participant>, minute| {
        check_submission(contest, participant, at(minute))
    };
    let (contest, ada) = (contest(), participant());
    assert_eq!(check(&contest, Some(&ada), 59), Err(Refusal::NotStarted));
    assert_eq!(check(&contest, Some(&ada), 60), Ok(()));
    assert_eq!(check(&contest, Some(&ada), 359), Ok(()));
    assert_eq!(check(&contest, Some(&ada), 360), Err(Refusal::Ended));
    assert_eq!(check(&contest, None, 70), Err(Refusal::NotParticipant));
    let extra = Participant { extra_time: TimeDelta::minutes(30), ..participant() };
    assert_eq!(check(&contest, Some(&extra), 389), Ok(()));
    assert_eq!(check(&contest, Some(&extra), 390), Err(Refusal::Ended));
    for out in [
        Participant { withdrawn_at: Some(at(65)), ..participant() },
        Participant { disqualified: true, ..participant() },
    ] {
        assert_eq!(check(&contest, Some(&out), 70), Err(Refusal::NotParticipant));
    }
    let draft = Contest { published_at: None, ..self::contest() };
    assert_eq!(check(&draft, Some(&ada), 70), Err(Refusal::NotStarted));
    let canceled = Contest { canceled_at: Some(at(65)), ..self::contest() };
    assert_eq!(check(&canceled, Some(&ada), 70), Err(Refusal::Closed));
}

#[test]
fn problems_are_found_by_label_and_id() {
    let problem = |label: &str, n| Problem {
        label: label.into(),
        problem_id: Uuid::from_u128(n),
        title: String::new(),
        color: String::new(),
    };
    let problems = vec![problem("A", 7), problem("B1", 8)];
    let contest = Contest { problems, ..contest() };
    let found = |name: &str| contest.problem(name).map(|it| it.label.as_str());
    assert_eq!([found("a"), found("b1"), found("C")], [Some("A"), Some("B1"), None]);
    assert_eq!(found(&Uuid::from_u128(8).to_string()), Some("B1"));
}
