//! Overview for operators.

use super::{Dashboard, Panel, Row, line, traced};

pub const DASHBOARD: Dashboard = Dashboard {
    uid: "overview",
    title: "overview",
    rows: &[
        Row {
            title: "Users",
            panels: &[
                Panel {
                    title: "Requests",
                    about: "HTTP requests per second, by status.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (status) (rate(agon_http_requests_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{status}}",
                    )],
                },
                Panel {
                    title: "Latency",
                    about: "Until the response starts. Goal: 99 % within 0.5 s. Points are exemplar traces.",
                    unit: "s",
                    queries: &[
                        traced(
                            r#"histogram_quantile(0.5, sum by (le) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "median",
                        ),
                        traced(
                            r#"histogram_quantile(0.95, sum by (le) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "95th percentile",
                        ),
                        traced(
                            r#"histogram_quantile(0.99, sum by (le) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                            "99th percentile",
                        ),
                    ],
                },
                Panel {
                    title: "Failed calls",
                    about: "Share of calls that fail with a server error.",
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
                    title: "Created and judged",
                    about: "Per second. If fewer are judged than created, the queue grows.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum(rate(agon_submissions_created_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "created",
                        ),
                        line(
                            r#"sum(rate(agon_submissions_judged_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "judged",
                        ),
                    ],
                },
                Panel {
                    title: "Oldest queued job",
                    about: "Age of the oldest job in the queue.",
                    unit: "s",
                    queries: &[line(
                        r#"max(agon_judge_queue_oldest_seconds{instance=~"$instance"})"#,
                        "oldest",
                    )],
                },
                Panel {
                    title: "Verdicts",
                    about: "Per second, by verdict.",
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
                    title: "Unavailable components",
                    about: "Components that are down or degraded; see `/readyz`.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (component) (1 - agon_component_up{instance=~"$instance"})"#,
                            "{{component}} down",
                        ),
                        line(
                            r#"sum by (component) (agon_component_degraded{instance=~"$instance"})"#,
                            "{{component}} degraded",
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
                    title: "Free disk space",
                    about: "Share of the data directory's file system.",
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
