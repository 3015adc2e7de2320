use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

fn limits() -> (Limits, Clock) {
    let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let cache = Cache::memory(clock.clone());
    (Limits::new(&Config::default(), cache, clock.clone()), clock)
}

fn from(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// An attempt that does not wait for others.
fn attempt(limits: &Limits, identifier: &str, origin: Origin) -> Result<Attempt> {
    let address = match origin {
        Origin::Device(_) => from("192.0.2.1"),
        Origin::Known(_, address) => Some(address),
        Origin::Stranger(address) => address,
    };
    let attempt = limits.attempt(identifier, origin, address).now_or_never();
    attempt.expect("does not wait")
}

fn stranger(limits: &Limits, identifier: &str, address: &str) -> Result<Attempt> {
    attempt(limits, identifier, Origin::Stranger(from(address)))
}

#[test]
fn identifier_and_network_wait_after_five_failures() {
    let (limits, clock) = limits();
    for n in 0..5 {
        stranger(&limits, "ada", &format!("192.0.2.{n}")).unwrap().failed();
    }
    assert!(stranger(&limits, "ada", "192.0.2.77").is_err(), "one /24");
    assert!(stranger(&limits, "ada", "198.51.100.1").is_ok());
    assert!(stranger(&limits, "eve", "192.0.2.1").is_ok());
    clock.advance(std::time::Duration::from_secs(31));
    stranger(&limits, "ada", "192.0.2.1").unwrap().succeeded();
    for _ in 0..5 {
        stranger(&limits, "ada", "192.0.2.1").unwrap().failed();
    }
    assert!(stranger(&limits, "ada", "192.0.2.1").is_err());
}

#[test]
fn known_devices_and_addresses_have_their_own_budgets() {
    let (limits, _) = limits();
    let (account, address) = (Uuid::from_u128(1), from("192.0.2.1").unwrap());
    let device = |n| Origin::Device(Uuid::from_u128(n));
    let known = Origin::Known(account, address);
    for n in 0..5 {
        stranger(&limits, "ada", &format!("192.0.2.{n}")).unwrap().failed();
    }
    for _ in 0..5 {
        attempt(&limits, "ada", known).unwrap().failed();
    }
    assert!(attempt(&limits, "ada", known).is_err());
    for _ in 0..5 {
        attempt(&limits, "ada", device(1)).unwrap().failed();
    }
    assert!(attempt(&limits, "ada", device(1)).is_err());
    assert!(attempt(&limits, "ada", device(2)).is_ok());
    // The limit of the address does not hold for known devices.
    for n in 0..60 {
        if let Ok(attempt) = stranger(&limits, &format!("guess{n}"), "192.0.2.1") {
            attempt.failed();
        }
    }
    assert!(stranger(&limits, "another", "192.0.2.1").is_err());
    assert!(attempt(&limits, "ada", device(2)).is_ok());
}

#[test]
fn failures_from_many_networks_delay_strangers_and_refuse_nobody() {
    let (limits, clock) = limits();
    for n in 0..11 {
        let attempt = stranger(&limits, "ada", &format!("10.0.{n}.1")).unwrap();
        assert_eq!(attempt.delay(), std::time::Duration::ZERO);
        attempt.failed();
    }
    let milliseconds = Config::default().suspicion_delay_milliseconds;
    let delayed = stranger(&limits, "ada", "192.0.2.1").unwrap();
    assert_eq!(delayed.delay(), std::time::Duration::from_millis(milliseconds));
    let owner = attempt(&limits, "ada", Origin::Device(Uuid::from_u128(1))).unwrap();
    assert_eq!(owner.delay(), std::time::Duration::ZERO);
    clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!(delayed.delay(), std::time::Duration::ZERO);
}

#[tokio::test]
async fn concurrent_attempts_wait_for_each_other() {
    let (limits, _) = limits();
    let try_all = async |right: bool| {
        let one = async || {
            let origin = Origin::Stranger(from("192.0.2.1"));
            let attempt = limits.attempt("ada", origin, from("192.0.2.1")).await?;
            tokio::task::yield_now().await;
            if right {
                attempt.succeeded();
            } else {
                attempt.failed();
            }
            Ok::<_, Error>(())
        };
        let results = join_all((0..20).map(|_| one())).await;
        results.into_iter().filter(Result::is_ok).count()
    };
    assert_eq!(try_all(true).await, 20, "successes never count");
    assert_eq!(try_all(false).await, 5);
    assert!(limits.lock().attempts.is_empty());
}

#[tokio::test]
async fn waiting_attempts_are_bounded_and_cancelled_ones_do_not_count() {
    let (limits, _) = limits();
    let origin = Origin::Stranger(None);
    let attempt = || Box::pin(limits.attempt("ada", origin, None));
    let mut running = Vec::new();
    for _ in 0..5 {
        running.push(attempt().await.unwrap());
    }
    let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| attempt()).collect();
    assert!(waiting.iter_mut().all(|attempt| attempt.now_or_never().is_none()));
    assert!(matches!(attempt().now_or_never(), Some(Err(Error::Busy { .. }))));
    waiting.truncate(1);
    drop(running);
    assert!(waiting.remove(0).await.is_ok());
    for _ in 0..5 {
        attempt().await.unwrap().failed();
    }
    assert!(limits.lock().attempts.is_empty());
}

#[test]
fn successes_from_one_address_are_not_limited() {
    let (limits, _) = limits();
    let running: Vec<_> =
        (0..500).map(|n| stranger(&limits, &format!("player{n}"), "192.0.2.1").unwrap()).collect();
    running.into_iter().for_each(Attempt::succeeded);
    for n in 0..60 {
        stranger(&limits, &format!("other{n}"), "192.0.2.1").unwrap().failed();
    }
    assert!(stranger(&limits, "another", "192.0.2.1").is_err());
    assert!(stranger(&limits, "another", "192.0.2.2").is_ok());
    // Loopback is trusted: ten times the limit.
    for n in 0..600 {
        stranger(&limits, &format!("other{n}"), "::1").unwrap().failed();
    }
    assert!(stranger(&limits, "another", "::1").is_err());
}

#[test]
fn wrong_codes_do_not_limit_sign_ins() {
    let (limits, _) = limits();
    for _ in 0..60 {
        assert!(limits.check_codes(from("192.0.2.1")).is_ok());
        limits.wrong_code(from("192.0.2.1"));
    }
    assert!(limits.check_codes(from("192.0.2.1")).is_err());
    assert!(stranger(&limits, "ada", "192.0.2.1").is_ok());
}

#[tokio::test]
async fn registrations_are_limited_by_subscriber() {
    let (limits, _) = limits();
    for _ in 0..20 {
        limits.register(from("2001:db8::1")).await.unwrap();
    }
    assert!(limits.register(from("2001:db8::2")).await.is_err(), "one network of 64 bits");
    assert!(limits.register(from("2001:db8:1::2")).await.is_ok());
    for _ in 0..100 {
        limits.register(from("127.0.0.1")).await.unwrap();
        limits.register(None).await.unwrap();
    }
}

#[test]
fn made_up_identifiers_do_not_lock_accounts_elsewhere() {
    let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let cache = Cache::memory(clock.clone());
    let limits = Limits::with(&Config::default(), cache, clock, 100);
    for n in 0..1000_u32 {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        if let Ok(attempt) = stranger(&limits, &format!("made-up-{n}"), &address) {
            attempt.failed();
        }
    }
    assert!(stranger(&limits, "yet-another", "10.0.9.9").is_err(), "the region of the flood");
    // A few other regions may share its tally.
    let admitted = |n: &u8| stranger(&limits, "ada", &format!("192.{n}.2.1")).is_ok();
    assert!((0..20).filter(admitted).count() >= 17);
}
