//! The judge's metrics, all by name in one place.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use proto::judge::Verdict;

const EXPIRED: &str = "agon_judge_leases_expired_total";
const GAVE_UP: &str = "agon_judge_gave_up_total";
const SANDBOX_FAILURES: &str = "agon_judge_sandbox_failures_total";

/// Lets the figures begin whose absence would be no figure: alerts compare them.
pub fn begin() {
    for name in [EXPIRED, GAVE_UP, SANDBOX_FAILURES] {
        counter!(name).increment(0);
    }
    workers(0);
}

/// A judgement is durable.
pub fn judged(verdict: Verdict) {
    let verdict = verdict.as_str_name().trim_start_matches("VERDICT_");
    counter!("agon_judge_judgements_total", "verdict" => verdict).increment(1);
}

/// A worker was done with a job after so long.
pub fn took(time: Duration) {
    metrics::histogram!("agon_judge_job_duration_seconds").record(time);
}

/// The queue: how many jobs wait and run, and for how long the oldest has waited.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
pub fn queue(waiting: i64, running: i64, oldest: Duration) {
    gauge!("agon_judge_queue_jobs", "state" => "waiting").set(waiting as f64);
    gauge!("agon_judge_queue_jobs", "state" => "running").set(running as f64);
    gauge!("agon_judge_queue_oldest_seconds").set(oldest.as_secs_f64());
}

/// The sandbox failed, not the program in it.
pub fn sandbox_failed() {
    counter!(SANDBOX_FAILURES).increment(1);
}

/// So many programs can run at once on this worker.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub fn slots(count: usize) {
    gauge!("agon_judge_slots").set(count as f64);
}

/// Counted in a gauge until dropped.
pub struct Counted(&'static str);

impl Counted {
    /// A job is worked on.
    pub fn job() -> Self {
        Self::begin("agon_judge_jobs_in_flight")
    }

    /// A program runs in a slot.
    pub fn slot() -> Self {
        Self::begin("agon_judge_slots_busy")
    }

    fn begin(name: &'static str) -> Self {
        gauge!(name).increment(1.0);
        Self(name)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}

/// A job went back to the queue.
pub fn put_back(crashed: bool) {
    let cause = if crashed { "crashed" } else { "away" };
    counter!("agon_judge_jobs_put_back_total", "cause" => cause).increment(1);
}

/// A worker lost its lease.
pub fn expired() {
    counter!(EXPIRED).increment(1);
}

/// A result came from a worker that had lost its lease; it changed nothing.
pub fn fenced() {
    counter!("agon_judge_results_fenced_total").increment(1);
}

/// A job ended as JUDGE_ERROR. Somebody should look.
pub fn gave_up() {
    counter!(GAVE_UP).increment(1);
}

/// So many workers are connected.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub fn workers(count: usize) {
    gauge!("agon_judge_workers").set(count as f64);
}

/// What a worker's programs take: each of them, and the time in which there was at least one.
#[derive(Default)]
pub struct Busy {
    /// Up to here time was counted.
    until: Mutex<Option<Instant>>,
}

impl Busy {
    /// A program or compiler that ran for so long has ended just now.
    pub fn ran(&self, kind: &'static str, wall: Duration, cpu: Duration) {
        let kind = [("kind", kind)];
        counter!("agon_judge_runs_total", &kind).increment(1);
        metrics::histogram!("agon_judge_run_wall_seconds", &kind).record(wall);
        metrics::histogram!("agon_judge_run_cpu_seconds", &kind).record(cpu);
        // A gauge, because counters hold whole numbers; it only ever grows.
        let fresh = self.cover(Instant::now(), wall);
        gauge!("agon_judge_busy_seconds").increment(fresh.as_secs_f64());
    }

    /// How much of a stretch of time that ended now was not counted before. Of stretches that overlap and
    /// end in another order than they began, a part is left out.
    fn cover(&self, now: Instant, wall: Duration) -> Duration {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = until.map_or(wall, |until| now.saturating_duration_since(until).min(wall));
        *until = Some(until.map_or(now, |until| until.max(now)));
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_runs_count_once() {
        let (busy, start) = (Busy::default(), Instant::now());
        let ms = Duration::from_millis;
        assert_eq!(busy.cover(start + ms(10), ms(10)), ms(10));
        assert_eq!(busy.cover(start + ms(12), ms(10)), ms(2));
        assert_eq!(busy.cover(start + ms(30), ms(5)), ms(5));
        assert_eq!(busy.cover(start + ms(30), ms(5)), ms(0));
    }
}
