//! Which failed calls are retried, and after which delay.

use std::time::Duration;

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There was no connection.
    NotConnected,
    /// The server did not process the request.
    NotProcessed,
    /// The connection broke; the server may have processed the request.
    Broken,
    /// The server answered UNAVAILABLE without a delay.
    Unavailable,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The method may be repeated.
    pub(crate) safe: bool,
    /// The request body is still available.
    pub(crate) repeatable: bool,
    /// Attempts so far.
    pub(crate) attempts: u32,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Return the error.
    Stop,
    /// Retry on another endpoint at once: no server did any work.
    Now,
    /// Retry after a delay, if the budget allows it.
    After(Duration),
}

/// `random` in 0..1 spreads the retries of many callers.
pub(crate) fn next(call: Call, cause: Cause, max_attempts: u32, random: f64) -> Next {
    let repeatable = match cause {
        Cause::NotConnected | Cause::NotProcessed => true,
        Cause::Broken | Cause::Unavailable => call.safe,
    };
    if !repeatable || !call.repeatable || call.attempts >= max_attempts {
        return Next::Stop;
    }
    if cause == Cause::NotProcessed {
        return Next::Now;
    }
    let delay = FIRST_DELAY.saturating_mul(1 << call.attempts.saturating_sub(1).min(8));
    Next::After(delay.mul_f64(0.8 + random * 0.4))
}

const FIRST_DELAY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: Call = Call { safe: true, repeatable: true, attempts: 1 };
    const UNSAFE: Call = Call { safe: false, ..SAFE };

    fn next(call: Call, cause: Cause) -> Next {
        super::next(call, cause, 3, 0.5)
    }

    #[test]
    fn unsafe_calls_are_retried_only_if_not_processed() {
        assert_eq!(next(UNSAFE, Cause::Broken), Next::Stop);
        assert_eq!(next(UNSAFE, Cause::Unavailable), Next::Stop);
        assert_eq!(next(UNSAFE, Cause::NotProcessed), Next::Now);
        assert!(matches!(next(UNSAFE, Cause::NotConnected), Next::After(_)));
    }

    #[test]
    fn safe_calls_have_three_attempts() {
        for cause in [Cause::Broken, Cause::Unavailable, Cause::NotConnected] {
            assert_eq!(next(SAFE, cause), Next::After(Duration::from_millis(20)));
            let second = next(Call { attempts: 2, ..SAFE }, cause);
            assert_eq!(second, Next::After(Duration::from_millis(40)));
            assert_eq!(next(Call { attempts: 3, ..SAFE }, cause), Next::Stop);
        }
        assert_eq!(next(Call { attempts: 3, ..SAFE }, Cause::NotProcessed), Next::Stop);
    }

    #[test]
    fn calls_without_a_body_are_not_retried() {
        let consumed = Call { repeatable: false, ..SAFE };
        for cause in [Cause::Broken, Cause::Unavailable, Cause::NotProcessed, Cause::NotConnected] {
            assert_eq!(next(consumed, cause), Next::Stop);
        }
    }
}
