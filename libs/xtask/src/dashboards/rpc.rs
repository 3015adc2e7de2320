//! Calls between roles and from clients.

use super::{Dashboard, Panel, Row, line, traced};

pub const DASHBOARD: Dashboard = Dashboard {
    uid: "rpc",
    title: "calls",
    rows: &[
        Row {
            title: "Served",
            panels: &[
                Panel {
                    title: "Calls",
                    about: "Per second, by method.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method) (rate(agon_rpc_server_calls_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{method}}",
                    )],
                },
                Panel {
                    title: "Latency, 95th percentile",
                    about: "By method. Points are exemplar traces.",
                    unit: "s",
                    queries: &[traced(
                        r#"histogram_quantile(0.95, sum by (le, method) (rate(agon_rpc_server_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{method}}",
                    )],
                },
                Panel {
                    title: "Failed calls",
                    about: "Server errors per second, by code.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method, code) (rate(agon_rpc_server_calls_total{instance=~"$instance",code=~"UNKNOWN|INTERNAL|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"}[$__rate_interval]))"#,
                        "{{method}} {{code}}",
                    )],
                },
            ],
        },
        Row {
            title: "Load",
            panels: &[
                Panel {
                    title: "In flight",
                    about: "Calls and requests in progress.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (instance) (agon_rpc_server_calls_in_flight{instance=~"$instance"})"#,
                            "{{instance}} calls",
                        ),
                        line(
                            r#"sum by (instance) (agon_http_requests_in_flight{instance=~"$instance"})"#,
                            "{{instance}} requests",
                        ),
                    ],
                },
                Panel {
                    title: "Refused",
                    about: "Shed for overload, or rate limited, per second.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (instance) (rate(agon_rpc_server_shed_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{instance}} shed",
                        ),
                        line(
                            r#"sum by (class) (rate(agon_access_rate_limited_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "limited {{class}}",
                        ),
                    ],
                },
                Panel {
                    title: "Refused credentials",
                    about: "Logins and tokens per second.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (outcome) (rate(agon_auth_logins_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "login {{outcome}}",
                        ),
                        line(
                            r#"sum by (reason) (rate(agon_access_refused_tokens_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{reason}}",
                        ),
                    ],
                },
            ],
        },
        Row {
            title: "Between roles",
            panels: &[
                Panel {
                    title: "Calls made",
                    about: "Per second, by method and code.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method, code) (rate(agon_rpc_client_calls_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{method}} {{code}}",
                    )],
                },
                Panel {
                    title: "Latency, 95th percentile",
                    about: "Measured by the caller, including the network.",
                    unit: "s",
                    queries: &[traced(
                        r#"histogram_quantile(0.95, sum by (le, method) (rate(agon_rpc_client_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{method}}",
                    )],
                },
                Panel {
                    title: "Failures",
                    about: "Open circuit breakers, and retries per second.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (instance, role) (agon_rpc_client_circuit_open{instance=~"$instance"})"#,
                            "{{instance}}: {{role}} circuit open",
                        ),
                        line(
                            r#"sum by (role) (rate(agon_rpc_client_retries_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{role}} retries",
                        ),
                    ],
                },
                Panel {
                    title: "In flight",
                    about: "Calls in progress.",
                    unit: "short",
                    queries: &[line(
                        r#"sum by (instance) (agon_rpc_client_calls_in_flight{instance=~"$instance"})"#,
                        "{{instance}}",
                    )],
                },
            ],
        },
        Row {
            title: "HTTP",
            panels: &[
                Panel {
                    title: "Requests",
                    about: "Per second, by route.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method, route) (rate(agon_http_requests_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{method}} {{route}}",
                    )],
                },
                Panel {
                    title: "Latency, 95th percentile",
                    about: "By route.",
                    unit: "s",
                    queries: &[traced(
                        r#"histogram_quantile(0.95, sum by (le, method, route) (rate(agon_http_request_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{method}} {{route}}",
                    )],
                },
            ],
        },
    ],
};
