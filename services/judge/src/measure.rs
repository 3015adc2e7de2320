//! The metrics of the judge.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use proto::judge::Verdict;

const EXPIRED: &str = "agon_judge_leases_expired_total";
const GAVE_UP: &str = "agon_judge_gave_up_total";
const SANDBOX_FAILURES: &str = "agon_judge_sandbox_failures_total";

/// Initialises metrics to zero that alerts need even before the first event.
pub fn register() {
    for name in [EXPIRED, GAVE_UP, SANDBOX_FAILURES] {
        counter!(name).increment(0);
    }
    workers(0);
}

/// Counts a committed judgement.
pub fn judged(verdict: Verdict) {
    let verdict = verdict.as_str_name().trim_start_matches("VERDICT_");
    counter!("agon_judge_judgements_total", "verdict" => verdict).increment(1);
}

/// Records the time that a worker took for a job.
pub fn job_finished(time: Duration) {
    metrics::histogram!("agon_judge_job_duration_seconds").record(time);
}

/// Sets the number of waiting and running jobs, and the age of the oldest waiting job.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
pub fn queue(waiting: i64, running: i64, oldest: Duration) {
    gauge!("agon_judge_queue_jobs", "state" => "waiting").set(waiting as f64);
    gauge!("agon_judge_queue_jobs", "state" => "running").set(running as f64);
    gauge!("agon_judge_queue_oldest_seconds").set(oldest.as_secs_f64());
}

/// Sets the number of languages of waiting jobs that no connected worker offers.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub fn unserved(languages: usize) {
    gauge!("agon_judge_queue_unserved_languages").set(languages as f64);
}

/// Counts a failure of the sandbox itself.
pub fn sandbox_failed() {
    counter!(SANDBOX_FAILURES).increment(1);
}

/// Sets the number of slots of this worker.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub fn slots(count: usize) {
    gauge!("agon_judge_slots").set(count as f64);
}

/// Increments a gauge until dropped.
pub struct InFlight(&'static str);

impl InFlight {
    pub fn job() -> Self {
        Self::begin("agon_judge_jobs_in_flight")
    }

    pub fn slot() -> Self {
        Self::begin("agon_judge_slots_busy")
    }

    fn begin(name: &'static str) -> Self {
        gauge!(name).increment(1.0);
        Self(name)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}

/// Counts a job that a worker returned to the queue.
pub fn requeued(crashed: bool) {
    let cause = if crashed { "crashed" } else { "unavailable" };
    counter!("agon_judge_jobs_put_back_total", "cause" => cause).increment(1);
}

/// Counts an expired lease, or one whose worker has ended.
pub fn lease_lost() {
    counter!(EXPIRED).increment(1);
}

/// Counts a result that was rejected because its lease was not valid any more.
pub fn result_fenced() {
    counter!("agon_judge_results_fenced_total").increment(1);
}

/// Counts a job that ended as JUDGE_ERROR.
pub fn gave_up() {
    counter!(GAVE_UP).increment(1);
}

/// Counts a verification whose result is not needed any more.
pub fn aborted() {
    counter!("agon_judge_verifications_aborted_total").increment(1);
}

/// Sets the number of connected workers.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub fn workers(count: usize) {
    gauge!("agon_judge_workers").set(count as f64);
}

/// Measures the runs of a worker, and the time during which at least one program ran.
#[derive(Default)]
pub struct Busy {
    /// The end of the time that is already counted.
    until: Mutex<Option<Instant>>,
}

impl Busy {
    /// Records a run that has just ended.
    pub fn ran(&self, kind: &'static str, wall: Duration, cpu: Duration) {
        let kind = [("kind", kind)];
        counter!("agon_judge_runs_total", &kind).increment(1);
        metrics::histogram!("agon_judge_run_wall_seconds", &kind).record(wall);
        metrics::histogram!("agon_judge_run_cpu_seconds", &kind).record(cpu);
        // A gauge, because counters are integers. The value only increases.
        let uncounted = self.cover(Instant::now(), wall);
        gauge!("agon_judge_busy_seconds").increment(uncounted.as_secs_f64());
    }

    /// The part of an interval ending at `now` that was not counted before. Undercounts when overlapping intervals
    /// end in a different order than they began.
    fn cover(&self, now: Instant, wall: Duration) -> Duration {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let uncounted = until.map_or(wall, |until| now.saturating_duration_since(until).min(wall));
        *until = Some(until.map_or(now, |until| until.max(now)));
        uncounted
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
