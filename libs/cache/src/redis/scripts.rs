//! Lua scripts, which the server runs atomically.

use std::sync::LazyLock;

use redis::Script;

/// Uses the server's clock, because the clocks of the processes may differ.
const SERVER_TIME: &str =
    "local time = redis.call('TIME') local now = time[1] * 1000000 + time[2]\n";

const RATE: &str = include_str!("rate.lua");

/// KEYS: a bucket. ARGV: its step and capacity in microseconds. Returns whether a token was taken, and the
/// microseconds until the bucket is full.
pub static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(&format!("{SERVER_TIME}{RATE}")));

/// KEYS: a counter. ARGV: the amount, and the time to live in milliseconds. Returns the sum.
pub static INCREMENT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("increment.lua")));

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::rate::{Bucket, Rate, Spent};
    use crate::testing;

    /// Makes time a parameter, and keeps keys from expiring by the server's clock.
    const TEST_TIME: &str = "
        local now, server = tonumber(ARGV[3]), redis
        local redis = { call = function(command, key, value)
            if value then return server.call(command, key, value) end
            return server.call(command, key)
        end }
    ";

    #[tokio::test]
    async fn script_equals_the_pure_rule_also_when_the_clock_is_set_back() {
        let Some(url) = testing::redis_url() else { return };
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let script = Script::new(&format!("{TEST_TIME}{RATE}"));
        let micros = prop_oneof![0_u64..10, 1_u64..100_000_000];
        let pauses = prop_oneof![Just(0_i64), 0_i64..1_000, -10_000_000_i64..20_000_000];
        let steps = prop::collection::vec((1_u32..50, micros, pauses), 1..60);
        // One rate for most keys, a different one for each step of the others.
        let cases = (steps, prop::bool::weighted(0.8));
        let mut runner = TestRunner::deterministic();
        let prefix = testing::unique();
        let mut answers = [0; 2];
        for case in 0..100 {
            let (steps, same) = cases.new_tree(&mut runner).unwrap().current();
            let key = format!("{prefix}/{case}");
            let mut spent = Spent::default();
            let mut now = DateTime::<Utc>::from_timestamp(1_800_000_000, 123_456_000).unwrap();
            for (limit, micros, pause) in &steps {
                now += TimeDelta::microseconds(*pause);
                let (limit, micros) =
                    if same { (steps[0].0, steps[0].1) } else { (*limit, *micros) };
                let rate = Rate::new(limit, Duration::from_micros(micros));
                let bucket = Bucket::of(rate).unwrap();
                let mut script = script.key(&key);
                script.arg(bucket.step).arg(bucket.capacity).arg(now.timestamp_micros());
                let (allowed, missing) = script.invoke_async(&mut connection).await.unwrap();
                let expected = spent.take(rate, now);
                assert_eq!(bucket.decision(allowed, missing), expected, "{rate:?}");
                answers[usize::from(expected.allowed)] += 1;
            }
            let _: () = redis::cmd("DEL").arg(&key).query_async(&mut connection).await.unwrap();
        }
        assert!(answers.iter().all(|&count| count > 200), "{answers:?}");
    }
}
