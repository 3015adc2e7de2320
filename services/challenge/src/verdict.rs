//! Verdicts.

/// The outcome of running a program, on one test or on all of them.
///
/// The numbers are those of the `Verdict` enums on the wire, the codes those that every contest
/// system uses; both stand in data and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Right.
    Accepted = 1,
    /// Right, for a part of the points.
    Partial = 2,
    /// A wrong answer.
    WrongAnswer = 3,
    /// Right but for the format.
    PresentationError = 4,
    /// More CPU time than allowed.
    TimeLimitExceeded = 5,
    /// Not done by the wall-clock limit.
    IdlenessLimitExceeded = 6,
    /// More memory than allowed.
    MemoryLimitExceeded = 7,
    /// More output than allowed.
    OutputLimitExceeded = 8,
    /// Died of a signal, or exited with another code than 0.
    RuntimeError = 9,
    /// Did not compile.
    CompileError = 10,
    /// No output where some was wanted.
    NoOutput = 11,
    /// Tried what the sandbox forbids.
    SecurityViolation = 12,
    /// Not run, as another test decided.
    Skipped = 13,
    /// The judge failed, not the program.
    JudgeError = 14,
}

impl Verdict {
    /// All of them, by number.
    pub const ALL: [Verdict; 14] = [
        Verdict::Accepted,
        Verdict::Partial,
        Verdict::WrongAnswer,
        Verdict::PresentationError,
        Verdict::TimeLimitExceeded,
        Verdict::IdlenessLimitExceeded,
        Verdict::MemoryLimitExceeded,
        Verdict::OutputLimitExceeded,
        Verdict::RuntimeError,
        Verdict::CompileError,
        Verdict::NoOutput,
        Verdict::SecurityViolation,
        Verdict::Skipped,
        Verdict::JudgeError,
    ];

    /// The number on the wire.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The verdict of this number; `None` for 0 and for numbers of a later version.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Accepted => "AC",
            Self::Partial => "PA",
            Self::WrongAnswer => "WA",
            Self::PresentationError => "PE",
            Self::TimeLimitExceeded => "TLE",
            Self::IdlenessLimitExceeded => "ILE",
            Self::MemoryLimitExceeded => "MLE",
            Self::OutputLimitExceeded => "OLE",
            Self::RuntimeError => "RTE",
            Self::CompileError => "CE",
            Self::NoOutput => "NO",
            Self::SecurityViolation => "SV",
            Self::Skipped => "SK",
            Self::JudgeError => "JE",
        }
    }

    /// The verdict of this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }

    /// Whether a test with this verdict leaves the decision to the tests behind it.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::Partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_every_wire_enum() {
        for verdict in Verdict::ALL {
            let number = verdict.number();
            let challenge = proto::challenge::Verdict::try_from(number).unwrap().as_str_name();
            let judge = proto::judge::Verdict::try_from(number).unwrap().as_str_name();
            let event = proto::event::Verdict::try_from(number).unwrap().as_str_name();
            assert_eq!((challenge, judge), (judge, event));
            let name: String = challenge.trim_start_matches("VERDICT").replace('_', "");
            assert_eq!(name, format!("{verdict:?}").to_uppercase());
            assert_eq!(Verdict::from_number(number), Some(verdict));
            assert_eq!(Verdict::from_code(verdict.code()), Some(verdict));
        }
        assert!(proto::judge::Verdict::try_from(15).is_err(), "a new verdict is missing here");
        assert_eq!(Verdict::from_number(0), None);
        assert_eq!(Verdict::from_code("ac"), None);
    }
}
