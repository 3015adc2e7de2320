//! Conversions of contests to protos.

use chrono::{DateTime, TimeDelta, Utc};
use proto::challenge as pb;
use uuid::Uuid;

use crate::clarification::{Clarification, Reader};
use crate::contest::{
    Contest, Format, Participant, Person, Problem, Registration, State, Visibility,
};
use crate::jury::{Action, Deed};
use crate::wire::timestamp;

/// A contest at a time; with its access code only for organisers.
pub fn contest(contest: &Contest, now: DateTime<Utc>, organises: bool) -> pb::Contest {
    let freeze = contest.freezes_at.map(|at| contest.ends_at - at);
    pb::Contest {
        contest_id: contest.id.to_string(),
        slug: contest.slug.clone(),
        title: contest.title.clone(),
        description: contest.description.clone(),
        state: state(contest.state(now)).into(),
        visibility: match contest.visibility {
            Visibility::Public => pb::ContestVisibility::Public,
            Visibility::Private => pb::ContestVisibility::Private,
        }
        .into(),
        format: match contest.format {
            Format::Icpc => pb::ContestFormat::Icpc,
        }
        .into(),
        start_time: Some(timestamp(contest.starts_at)),
        duration: Some(duration(contest.ends_at - contest.starts_at)),
        freeze_duration: freeze.map(duration),
        penalty_minutes: Some(clamp(contest.penalty_minutes)),
        registration: match contest.registration {
            Registration::Open => pb::Registration::Open,
            Registration::Code => pb::Registration::Code,
        }
        .into(),
        access_code: if organises { contest.access_code.clone() } else { String::new() },
        languages: contest.languages.clone(),
        source_limit_bytes: clamp(contest.source_limit),
        owner_id: contest.owner_id.to_string(),
        end_time: Some(timestamp(contest.ends_at)),
        freeze_time: contest.freezes_at.map(timestamp),
        thaw_time: contest.thawed_at.map(timestamp),
        finalize_time: contest.finalized_at.map(timestamp),
        participant_count: clamp(contest.participant_count),
        create_time: Some(timestamp(contest.created_at)),
        update_time: Some(timestamp(contest.updated_at)),
        etag: contest.etag(),
    }
}

pub fn state(state: State) -> pb::ContestState {
    match state {
        State::Draft => pb::ContestState::Draft,
        State::Scheduled => pb::ContestState::Scheduled,
        State::Running => pb::ContestState::Running,
        State::Frozen => pb::ContestState::Frozen,
        State::Ended => pb::ContestState::Ended,
        State::Thawed => pb::ContestState::Thawed,
        State::Finalized => pb::ContestState::Finalized,
        State::Canceled => pb::ContestState::Canceled,
    }
}

/// The state of a number; `None` for 0 and unknown numbers.
pub fn state_of(number: i32) -> Option<State> {
    Some(match pb::ContestState::try_from(number).ok()? {
        pb::ContestState::Unspecified => return None,
        pb::ContestState::Draft => State::Draft,
        pb::ContestState::Scheduled => State::Scheduled,
        pb::ContestState::Running => State::Running,
        pb::ContestState::Frozen => State::Frozen,
        pb::ContestState::Ended => State::Ended,
        pb::ContestState::Thawed => State::Thawed,
        pb::ContestState::Finalized => State::Finalized,
        pb::ContestState::Canceled => State::Canceled,
    })
}

/// A problem of a contest, with its id if `with_id`.
pub fn problem(problem: &Problem, with_id: bool) -> pb::ContestProblem {
    pb::ContestProblem {
        label: problem.label.clone(),
        problem_id: if with_id { problem.problem_id.to_string() } else { String::new() },
        title: problem.title.clone(),
        color: problem.color.clone(),
    }
}

pub fn participant(participant: &Participant, members: &[Person]) -> pb::Participant {
    let member = |it: &Person| pb::ParticipantMember {
        user_id: it.user_id.to_string(),
        name: it.name.clone(),
    };
    pb::Participant {
        participant_id: participant.id.to_string(),
        user_id: participant.user_id.to_string(),
        name: participant.name.clone(),
        unofficial: participant.unofficial,
        hidden: participant.hidden,
        disqualified: participant.disqualified,
        extra_time: Some(duration(participant.extra_time)),
        create_time: Some(timestamp(participant.registered_at)),
        withdraw_time: participant.withdrawn_at.map(timestamp),
        team_id: participant.team_id.map(|id| id.to_string()).unwrap_or_default(),
        members: members.iter().map(member).collect(),
        organization: participant.organization.clone(),
        country: participant.country.clone(),
        group: participant.group.clone(),
        external_id: participant.external_id.clone(),
    }
}

/// A clarification as its reader may see it; `name` is that of the participant who asked.
pub fn clarification(
    clarification: &Clarification,
    contest: &Contest,
    now: DateTime<Utc>,
    reader: Reader,
    name: Option<&str>,
) -> pb::Clarification {
    // Which problems a contest has is secret until its start.
    let shows_label = reader.jury || contest.has_started(now);
    let problem = clarification.problem_id.filter(|_| shows_label);
    let problem = problem.and_then(|id| contest.problems.iter().find(|it| it.problem_id == id));
    let kind = match clarification.participant_id {
        Some(_) => pb::ClarificationKind::Question,
        None => pb::ClarificationKind::Announcement,
    };
    let author = clarification.participant_id.filter(|_| reader.sees_author(clarification));
    let answered_by = clarification.answered_by.filter(|_| reader.jury);
    pb::Clarification {
        clarification_id: clarification.id.to_string(),
        kind: kind.into(),
        label: problem.map(|problem| problem.label.clone()).unwrap_or_default(),
        question: clarification.question.clone(),
        answer: clarification.answer.clone(),
        public: clarification.public,
        participant_id: author.map(|id| id.to_string()).unwrap_or_default(),
        participant_name: author.and(name).unwrap_or_default().to_owned(),
        answer_user_id: answered_by.map(|id| id.to_string()).unwrap_or_default(),
        create_time: Some(timestamp(clarification.created_at)),
        answer_time: clarification.answered_at.map(timestamp),
        etag: if reader.jury { clarification.etag() } else { String::new() },
    }
}

pub fn jury_action(action: &Action) -> pb::JuryAction {
    let deed = &action.deed;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let seconds = |seconds: i64| duration(TimeDelta::seconds(seconds));
    pb::JuryAction {
        jury_action_id: action.id.to_string(),
        kind: jury_action_kind(deed).into(),
        user_id: action.user_id.to_string(),
        reason: action.reason.clone(),
        submission_id: text(deed.submission()),
        participant_id: text(deed.participant()),
        penalty_minutes: deed.minutes().map_or(0, clamp),
        from: deed.interval().map(|(from, _)| seconds(from)),
        to: deed.interval().map(|(_, to)| seconds(to)),
        extra_time: deed.extra_time().map(seconds),
        interval_id: text(deed.restored_interval()),
        create_time: Some(timestamp(action.created_at)),
    }
}

fn jury_action_kind(deed: &Deed) -> pb::JuryActionKind {
    match deed {
        Deed::Ignored { .. } => pb::JuryActionKind::SubmissionIgnored,
        Deed::Restored { .. } => pb::JuryActionKind::SubmissionRestored,
        Deed::PenaltyAdjusted { .. } => pb::JuryActionKind::PenaltyAdjusted,
        Deed::IntervalRemoved { .. } => pb::JuryActionKind::IntervalRemoved,
        Deed::IntervalRestored { .. } => pb::JuryActionKind::IntervalRestored,
        Deed::ExtraTimeGranted { .. } => pb::JuryActionKind::ExtraTimeGranted,
    }
}

fn duration(delta: TimeDelta) -> prost_types::Duration {
    crate::wire::duration_us(delta.num_microseconds().unwrap_or(i64::MAX))
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
