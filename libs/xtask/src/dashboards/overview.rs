//! What an operator looks at first.

use super::{Dashboard, Panel, Row, line, traced};

/// The dashboard.
pub const DASHBOARD: Dashboard = Dashboard {
    uid: "overview",
    title: "overview",
    rows: &[
        Row {
            title: "Users",
            panels: &[
                Panel {
                    title: "Requests",
                    about: "HTTP requests a second, by status.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (status) (rate(agon_http_requests_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{status}}",
                    )],
                },
                Panel {
                    title: "How long they take",
                    about: "Until the answer begins. The goal: 99 % within half a second. Points are example traces.",
                    unit: "s",
                    queries: &[
                        traced(
                            r#"histogram_quantile(0.5, sum by (le) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "median",
                        ),
                        traced(
                            r#"histogram_quantile(0.95, sum by (le) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "95 %",
                        ),
                        traced(
                            r#"histogram_quantile(0.99, sum by (le) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "99 %",
                        ),
                    ],
                },
                Panel {
                    title: "Calls that fail",
                    about: "The share of calls that end by a fault of the platform's own.",
                    unit: "percentunit",
                    queries: &[line(
                        r#"(sum(rate(agon_rpc_server_calls_total{instance=~"$instance",code=~"UNKNOWN|INTERNAL|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"}[$__rate_interval])) or vector(0)) / sum(rate(agon_rpc_server_calls_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "failed",
                    )],
                },
            ],
        },
        Row {
            title: "Submissions",
            panels: &[
                Panel {
                    title: "Made and judged",
                    about: "A second. The two belong together; a gap between them is a queue.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum(rate(agon_submissions_created_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "made",
                        ),
                        line(
                            r#"sum(rate(agon_submissions_judged_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "judged",
                        ),
                    ],
                },
                Panel {
                    title: "The oldest that waits",
                    about: "How long the oldest submission in the queue has waited.",
                    unit: "s",
                    queries: &[line(
                        r#"max(agon_judge_queue_oldest_seconds{instance=~"$instance"})"#,
                        "oldest",
                    )],
                },
                Panel {
                    title: "Verdicts",
                    about: "A second, by verdict.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (verdict) (rate(agon_submissions_judged_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{verdict}}",
                    )],
                },
            ],
        },
        Row {
            title: "Processes",
            panels: &[
                Panel {
                    title: "What does not work",
                    about: "Components that are down or work only in part; `/readyz` says why.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (component) (1 - agon_component_up{instance=~"$instance"})"#,
                            "{{component}} down",
                        ),
                        line(
                            r#"sum by (component) (agon_component_degraded{instance=~"$instance"})"#,
                            "{{component}} in part",
                        ),
                    ],
                },
                Panel {
                    title: "CPU",
                    about: "Cores in use.",
                    unit: "short",
                    queries: &[line(
                        r#"rate(process_cpu_seconds_total{instance=~"$instance"}[$__rate_interval])"#,
                        "{{instance}}",
                    )],
                },
                Panel {
                    title: "Memory",
                    about: "Resident memory.",
                    unit: "bytes",
                    queries: &[line(
                        r#"process_resident_memory_bytes{instance=~"$instance"}"#,
                        "{{instance}}",
                    )],
                },
                Panel {
                    title: "Disk left",
                    about: "Of the data directory's file system.",
                    unit: "percentunit",
                    queries: &[line(
                        r#"agon_disk_free_bytes{instance=~"$instance"} / agon_disk_size_bytes{instance=~"$instance"}"#,
                        "{{instance}}",
                    )],
                },
            ],
        },
    ],
};
