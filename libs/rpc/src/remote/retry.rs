//! Which calls are made again, when, and how many of them.

use std::time::Duration;

/// How a try ended that brought no answer to hand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No connection could be had.
    Unreached,
    /// The server did not look at the request.
    Unseen,
    /// The connection broke; the server may have done the work.
    Broken,
    /// The server answered UNAVAILABLE and did not ask to be left alone.
    Unavailable,
}

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Doing it twice does what doing it once does.
    pub(crate) safe: bool,
    /// The request is still at hand.
    pub(crate) repeatable: bool,
    /// Tries so far.
    pub(crate) tries: u32,
}

/// What to do after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Tell the caller.
    Stop,
    /// Try elsewhere at once: it costs no server anything.
    Move,
    /// Try again after a wait, if the budget has a token left.
    Wait(Duration),
}

/// `chance` in 0..1 spreads the repetitions of many callers.
pub(crate) fn next(call: Call, ending: Ending, most: u32, chance: f64) -> Next {
    let harmless = match ending {
        Ending::Unreached | Ending::Unseen => true,
        Ending::Broken | Ending::Unavailable => call.safe,
    };
    if !harmless || !call.repeatable || call.tries >= most {
        return Next::Stop;
    }
    if ending == Ending::Unseen {
        return Next::Move;
    }
    let wait = FIRST_WAIT.saturating_mul(1 << call.tries.saturating_sub(1).min(8));
    Next::Wait(wait.mul_f64(0.8 + chance * 0.4))
}

const FIRST_WAIT: Duration = Duration::from_millis(20);

/// Keeps repetitions to a share of all calls, so that a server in trouble is not given several
/// times its load. As in gRPC's retry throttling: calls bring in part of a token, a repetition
/// takes a whole one.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In hundredths of a token.
    tokens: u64,
    most: u64,
    share: u64,
}

impl Budget {
    /// `reserve` repetitions at once, and `percent` of all calls in the long run.
    pub(crate) fn new(reserve: u32, percent: u32) -> Self {
        let most = u64::from(reserve) * 100;
        Self { tokens: most, most, share: u64::from(percent) }
    }

    /// A call is made.
    pub(crate) fn call(&mut self) {
        self.tokens = (self.tokens + self.share).min(self.most);
    }

    /// Whether a repetition may be made; it is paid for if so.
    pub(crate) fn take(&mut self) -> bool {
        let enough = self.tokens >= 100;
        if enough {
            self.tokens -= 100;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: Call = Call { safe: true, repeatable: true, tries: 1 };
    const UNSAFE: Call = Call { safe: false, ..SAFE };

    fn next(call: Call, ending: Ending) -> Next {
        super::next(call, ending, 3, 0.5)
    }

    #[test]
    fn unsafe_calls_are_repeated_only_when_nobody_saw_them() {
        assert_eq!(next(UNSAFE, Ending::Broken), Next::Stop);
        assert_eq!(next(UNSAFE, Ending::Unavailable), Next::Stop);
        assert_eq!(next(UNSAFE, Ending::Unseen), Next::Move);
        assert!(matches!(next(UNSAFE, Ending::Unreached), Next::Wait(_)));
    }

    #[test]
    fn safe_calls_are_repeated_three_times_at_most() {
        for ending in [Ending::Broken, Ending::Unavailable, Ending::Unreached] {
            assert_eq!(next(SAFE, ending), Next::Wait(Duration::from_millis(20)));
            let second = next(Call { tries: 2, ..SAFE }, ending);
            assert_eq!(second, Next::Wait(Duration::from_millis(40)));
            assert_eq!(next(Call { tries: 3, ..SAFE }, ending), Next::Stop);
        }
        assert_eq!(next(Call { tries: 3, ..SAFE }, Ending::Unseen), Next::Stop);
    }

    #[test]
    fn what_is_no_longer_at_hand_is_not_repeated() {
        let gone = Call { repeatable: false, ..SAFE };
        for ending in [Ending::Broken, Ending::Unavailable, Ending::Unseen, Ending::Unreached] {
            assert_eq!(next(gone, ending), Next::Stop);
        }
    }

    #[test]
    fn the_budget_is_a_reserve_and_a_share() {
        let mut budget = Budget::new(5, 10);
        assert_eq!((0..100).filter(|_| budget.take()).count(), 5);
        let repeated = (0..1000).filter(|_| {
            budget.call();
            budget.take()
        });
        assert_eq!(repeated.count(), 100);
        (0..10_000).for_each(|_| budget.call());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 5, "the reserve has a limit");
    }
}
