//! The queue, the workers and their runs.

use super::{Dashboard, Panel, Row, line, traced};

pub const DASHBOARD: Dashboard = Dashboard {
    uid: "judging",
    title: "judging",
    rows: &[
        Row {
            title: "Queue",
            panels: &[
                Panel {
                    title: "Jobs",
                    about: "Queued and running jobs.",
                    unit: "short",
                    queries: &[line(
                        r#"max by (state) (agon_judge_queue_jobs{instance=~"$instance"})"#,
                        "{{state}}",
                    )],
                },
                Panel {
                    title: "Oldest queued job",
                    about: "Add workers if it exceeds a minute.",
                    unit: "s",
                    queries: &[line(
                        r#"max(agon_judge_queue_oldest_seconds{instance=~"$instance"})"#,
                        "oldest",
                    )],
                },
                Panel {
                    title: "Judged",
                    about: "Per second, by verdict.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (verdict) (rate(agon_judge_judgements_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{verdict}}",
                    )],
                },
                Panel {
                    title: "Job duration",
                    about: "On the worker. Points are exemplar traces.",
                    unit: "s",
                    queries: &[
                        traced(
                            r#"histogram_quantile(0.5, sum by (le) (rate(agon_judge_job_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "median",
                        ),
                        traced(
                            r#"histogram_quantile(0.95, sum by (le) (rate(agon_judge_job_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "95th percentile",
                        ),
                    ],
                },
            ],
        },
        Row {
            title: "Workers",
            panels: &[
                Panel {
                    title: "Connected",
                    about: "To each judge process.",
                    unit: "short",
                    queries: &[line(
                        r#"sum by (instance) (agon_judge_workers{instance=~"$instance"})"#,
                        "{{instance}}",
                    )],
                },
                Panel {
                    title: "Slots",
                    about: "All slots, slots in use, and jobs in progress.",
                    unit: "short",
                    queries: &[
                        line(r#"sum(agon_judge_slots{instance=~"$instance"})"#, "slots"),
                        line(r#"sum(agon_judge_slots_busy{instance=~"$instance"})"#, "busy"),
                        line(r#"sum(agon_judge_jobs_in_flight{instance=~"$instance"})"#, "jobs"),
                    ],
                },
                Panel {
                    title: "Busy",
                    about: "Share of time in which a worker runs at least one program.",
                    unit: "percentunit",
                    queries: &[line(
                        r#"rate(agon_judge_busy_seconds{instance=~"$instance"}[$__rate_interval])"#,
                        "{{instance}}",
                    )],
                },
                Panel {
                    title: "Runs",
                    about: "Programs and compilers per second.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (kind) (rate(agon_judge_runs_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{kind}}",
                    )],
                },
            ],
        },
        Row {
            title: "Runs",
            panels: &[
                Panel {
                    title: "Wall-clock time",
                    about: "95th percentile.",
                    unit: "s",
                    queries: &[line(
                        r#"histogram_quantile(0.95, sum by (le, kind) (rate(agon_judge_run_wall_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{kind}}",
                    )],
                },
                Panel {
                    title: "CPU time",
                    about: "95th percentile.",
                    unit: "s",
                    queries: &[line(
                        r#"histogram_quantile(0.95, sum by (le, kind) (rate(agon_judge_run_cpu_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{kind}}",
                    )],
                },
            ],
        },
        Row {
            title: "Failures",
            panels: &[
                Panel {
                    title: "Requeued",
                    about: "Jobs per second that return to the queue, and expired leases.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (cause) (rate(agon_judge_jobs_put_back_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{cause}}",
                        ),
                        line(
                            r#"sum(rate(agon_judge_leases_expired_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "lease expired",
                        ),
                    ],
                },
                Panel {
                    title: "Given up",
                    about: "Jobs that ended with JUDGE_ERROR, results refused after the lease expired, and sandbox failures, per hour.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum(increase(agon_judge_gave_up_total{instance=~"$instance"}[1h]))"#,
                            "given up",
                        ),
                        line(
                            r#"sum(increase(agon_judge_results_fenced_total{instance=~"$instance"}[1h]))"#,
                            "result refused",
                        ),
                        line(
                            r#"sum(increase(agon_judge_sandbox_failures_total{instance=~"$instance"}[1h]))"#,
                            "sandbox",
                        ),
                    ],
                },
                Panel {
                    title: "Submissions without a verdict",
                    about: "All, those without a verdict for too long, and those requested again.",
                    unit: "short",
                    queries: &[
                        line(r#"max(agon_submissions_waiting{instance=~"$instance"})"#, "waiting"),
                        line(r#"max(agon_submissions_stale{instance=~"$instance"})"#, "stale"),
                        line(
                            r#"sum(increase(agon_submissions_requested_again_total{instance=~"$instance"}[1h]))"#,
                            "requested again per hour",
                        ),
                    ],
                },
            ],
        },
    ],
};
