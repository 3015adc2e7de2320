//! The queue, the workers and what they run.

use super::{Dashboard, Panel, Row, line, traced};

/// The dashboard.
pub const DASHBOARD: Dashboard = Dashboard {
    uid: "judging",
    title: "judging",
    rows: &[
        Row {
            title: "Queue",
            panels: &[
                Panel {
                    title: "Jobs",
                    about: "Those that wait, and those that workers have.",
                    unit: "short",
                    queries: &[line(
                        r#"max by (state) (agon_judge_queue_jobs{instance=~"$instance"})"#,
                        "{{state}}",
                    )],
                },
                Panel {
                    title: "The oldest that waits",
                    about: "A minute is a queue that needs more workers.",
                    unit: "s",
                    queries: &[line(
                        r#"max(agon_judge_queue_oldest_seconds{instance=~"$instance"})"#,
                        "oldest",
                    )],
                },
                Panel {
                    title: "Judged",
                    about: "A second, by verdict.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (verdict) (rate(agon_judge_judgements_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{verdict}}",
                    )],
                },
                Panel {
                    title: "How long a job takes",
                    about: "From its arrival at the worker. Points are example traces.",
                    unit: "s",
                    queries: &[
                        traced(
                            r#"histogram_quantile(0.5, sum by (le) (rate(agon_judge_job_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "median",
                        ),
                        traced(
                            r#"histogram_quantile(0.95, sum by (le) (rate(agon_judge_job_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "95 %",
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
                    about: "To each process of the judge.",
                    unit: "short",
                    queries: &[line(
                        r#"sum by (instance) (agon_judge_workers{instance=~"$instance"})"#,
                        "{{instance}}",
                    )],
                },
                Panel {
                    title: "Slots",
                    about: "Those there are and those in use, and the jobs at hand.",
                    unit: "short",
                    queries: &[
                        line(r#"sum(agon_judge_slots{instance=~"$instance"})"#, "slots"),
                        line(r#"sum(agon_judge_slots_busy{instance=~"$instance"})"#, "busy"),
                        line(r#"sum(agon_judge_jobs_in_flight{instance=~"$instance"})"#, "jobs"),
                    ],
                },
                Panel {
                    title: "Busy",
                    about: "The share of time in which a worker runs at least one program.",
                    unit: "percentunit",
                    queries: &[line(
                        r#"rate(agon_judge_busy_seconds{instance=~"$instance"}[$__rate_interval])"#,
                        "{{instance}}",
                    )],
                },
                Panel {
                    title: "Runs",
                    about: "Programs and compilers a second.",
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
                    title: "On the clock",
                    about: "95 % of runs end within.",
                    unit: "s",
                    queries: &[line(
                        r#"histogram_quantile(0.95, sum by (le, kind) (rate(agon_judge_run_wall_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{kind}}",
                    )],
                },
                Panel {
                    title: "CPU time",
                    about: "95 % of runs need at most.",
                    unit: "s",
                    queries: &[line(
                        r#"histogram_quantile(0.95, sum by (le, kind) (rate(agon_judge_run_cpu_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{kind}}",
                    )],
                },
            ],
        },
        Row {
            title: "Trouble",
            panels: &[
                Panel {
                    title: "Put back",
                    about: "Jobs a second that could not be judged and wait again.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (cause) (rate(agon_judge_jobs_put_back_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{cause}}",
                        ),
                        line(
                            r#"sum(rate(agon_judge_leases_expired_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "worker silent",
                        ),
                    ],
                },
                Panel {
                    title: "Given up",
                    about: "Jobs that ended as JUDGE_ERROR, results that came too late, and failures of the sandbox, in an hour.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum(increase(agon_judge_gave_up_total{instance=~"$instance"}[1h]))"#,
                            "given up",
                        ),
                        line(
                            r#"sum(increase(agon_judge_results_fenced_total{instance=~"$instance"}[1h]))"#,
                            "too late",
                        ),
                        line(
                            r#"sum(increase(agon_judge_sandbox_failures_total{instance=~"$instance"}[1h]))"#,
                            "sandbox",
                        ),
                    ],
                },
                Panel {
                    title: "Submissions without a verdict",
                    about: "Those that wait, and those that wait too long and were asked for again.",
                    unit: "short",
                    queries: &[
                        line(r#"max(agon_submissions_waiting{instance=~"$instance"})"#, "waiting"),
                        line(r#"max(agon_submissions_overdue{instance=~"$instance"})"#, "overdue"),
                        line(
                            r#"sum(increase(agon_submissions_asked_again_total{instance=~"$instance"}[1h]))"#,
                            "asked again in an hour",
                        ),
                    ],
                },
            ],
        },
    ],
};
