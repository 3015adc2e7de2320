//! The verdict, as the services work with it.

/// The result of running a program on one test or on all of them.
///
/// The numbers are those of the `Verdict` enums in the packages of challenge, judge and event. Numbers and codes are
/// stored, and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Accepted = 1,
    Partial = 2,
    WrongAnswer = 3,
    PresentationError = 4,
    /// More CPU time than the time limit.
    TimeLimitExceeded = 5,
    /// Exceeded the wall-clock limit without using its CPU time.
    IdlenessLimitExceeded = 6,
    MemoryLimitExceeded = 7,
    OutputLimitExceeded = 8,
    /// Killed by a signal, or a non-zero exit code.
    RuntimeError = 9,
    CompileError = 10,
    /// No output where the answer has some.
    NoOutput = 11,
    /// An action that the sandbox forbids.
    SecurityViolation = 12,
    /// Not run, because an earlier test decided the verdict.
    Skipped = 13,
    /// The judge failed, not the program.
    JudgeError = 14,
}

impl Verdict {
    /// By number.
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

    pub fn number(self) -> i32 {
        self as i32
    }

    /// The verdict of this number; `None` for 0 and for numbers of a later version.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }

    /// The code in databases and problem packages.
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

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }

    /// Whether later tests can still change the verdict of the submission.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::Partial)
    }
}

macro_rules! wire {
    ($($package:ident),*) => { $(
        impl From<Verdict> for crate::$package::Verdict {
            fn from(verdict: Verdict) -> Self {
                Self::try_from(verdict.number()).unwrap_or(Self::Unspecified)
            }
        }
    )* };
}
wire!(challenge, judge, event);

impl From<Verdict> for i32 {
    fn from(verdict: Verdict) -> Self {
        verdict.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_every_wire_enum() {
        for verdict in Verdict::ALL {
            let number = verdict.number();
            let challenge = crate::challenge::Verdict::try_from(number).unwrap().as_str_name();
            let judge = crate::judge::Verdict::try_from(number).unwrap().as_str_name();
            let event = crate::event::Verdict::try_from(number).unwrap().as_str_name();
            assert_eq!((challenge, judge), (judge, event));
            let name: String = challenge.trim_start_matches("VERDICT").replace('_', "");
            assert_eq!(name, format!("{verdict:?}").to_uppercase());
            assert_eq!(Verdict::from_number(number), Some(verdict));
            assert_eq!(Verdict::from_code(verdict.code()), Some(verdict));
        }
        assert!(crate::judge::Verdict::try_from(15).is_err(), "a new verdict is missing here");
        assert_eq!(Verdict::from_number(0), None);
        assert_eq!(Verdict::from_code("ac"), None);
    }
}
