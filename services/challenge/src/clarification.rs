//! Questions of participants and announcements of the jury. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::contest::{Contest, Participant, Refusal};

/// The longest question, in characters.
pub const MAX_QUESTION: usize = 1000;
/// The longest answer or announcement, in characters.
pub const MAX_ANSWER: usize = 2000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clarification {
    pub id: Uuid,
    pub contest_id: Uuid,
    /// Increased by every answer.
    pub version: i64,
    /// Who asked; `None` for an announcement.
    pub participant_id: Option<Uuid>,
    /// `None` for a general subject.
    pub problem_id: Option<Uuid>,
    pub question: String,
    /// The answer or the announcement; empty without one.
    pub answer: String,
    /// Whether everyone who sees the contest sees it.
    pub public: bool,
    pub created_at: DateTime<Utc>,
    pub answered_at: Option<DateTime<Utc>>,
    pub answered_by: Option<Uuid>,
}

/// Why an answer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    Announcement,
    /// There is an answer, and no etag says that the caller knows it.
    Answered,
    /// The etag is not that of the current answer.
    Changed,
}

impl Clarification {
    pub fn etag(&self) -> String {
        format!("{:x}", self.version)
    }

    pub fn check_answer(&self, etag: &str) -> Result<(), Unanswerable> {
        if self.participant_id.is_none() {
            return Err(Unanswerable::Announcement);
        }
        match etag {
            "" if self.answered_at.is_some() => Err(Unanswerable::Answered),
            etag if !etag.is_empty() && etag != self.etag() => Err(Unanswerable::Changed),
            _ => Ok(()),
        }
    }
}

/// Who reads clarifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Sees everything.
    pub jury: bool,
    /// Sees the questions of this participant, besides what is public.
    pub participant: Option<Uuid>,
}

impl Reader {
    /// Whether the reader may know who asked.
    pub fn sees_author(&self, clarification: &Clarification) -> bool {
        let author = clarification.participant_id;
        author.is_some() && (self.jury || author == self.participant)
    }
}

/// Whether a user may ask a question at `now`. Problems are secret until the start. Disqualified participants may ask
/// for the reason.
pub fn check_question(
    contest: &Contest,
    participant: Option<&Participant>,
    about_problem: bool,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let Some(participant) = participant.filter(|it| it.withdrawn_at.is_none()) else {
        return Err(Refusal::NotParticipant);
    };
    if contest.state(now).is_closed() {
        return Err(Refusal::Closed);
    }
    if about_problem && !contest.has_started(now) {
        return Err(Refusal::NotStarted);
    }
    if now >= contest.ends_at + participant.extra_time {
        return Err(Refusal::Ended);
    }
    Ok(())
}

/// The violation of a question or an answer, which is stored without the space around it.
pub fn check_text(text: &str, max: usize) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("is required: 1 to {max} characters"));
    }
    text::check_lines(text, max).map_err(|refusal| refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(answered: bool) -> Clarification {
        Clarification {
            id: Uuid::from_u128(1),
            contest_id: Uuid::from_u128(2),
            version: 10,
            participant_id: Some(Uuid::from_u128(3)),
            problem_id: None,
            question: "Is n positive?".into(),
            answer: String::new(),
            public: false,
            created_at: DateTime::UNIX_EPOCH,
            answered_at: answered.then_some(DateTime::UNIX_EPOCH),
            answered_by: None,
        }
    }

    #[test]
    fn an_answer_is_replaced_only_with_its_etag() {
        for (answered, etag, expected) in [
            (false, "", Ok(())),
            (false, "a", Ok(())),
            (false, "9", Err(Unanswerable::Changed)),
            (true, "", Err(Unanswerable::Answered)),
            (true, "a", Ok(())),
            (true, "9", Err(Unanswerable::Changed)),
        ] {
            assert_eq!(question(answered).check_answer(etag), expected, "{answered} {etag:?}");
        }
        let announcement = Clarification { participant_id: None, ..question(true) };
        assert_eq!(announcement.check_answer("a"), Err(Unanswerable::Announcement));
    }

    #[test]
    fn only_the_jury_and_the_author_know_who_asked() {
        let (author, other) = (Some(Uuid::from_u128(3)), Some(Uuid::from_u128(4)));
        for (jury, participant, sees) in
            [(true, None, true), (false, author, true), (false, other, false), (false, None, false)]
        {
            assert_eq!(Reader { jury, participant }.sees_author(&question(true)), sees);
        }
        let announcement = Clarification { participant_id: None, ..question(true) };
        assert!(!Reader { jury: false, participant: None }.sees_author(&announcement));
    }

    #[test]
    fn texts_have_characters_and_a_limit() {
        assert!(check_text(" Why?\n", 4).is_ok());
        assert!(check_text("Is n positive?\nOr 0?", 30).is_ok());
        assert!(check_text("ü", 1).is_ok());
        for refused in ["", " \n", "two", "\0", "a\u{202e}"] {
            assert!(check_text(refused, 2).is_err(), "{refused:?}");
        }
    }
}
