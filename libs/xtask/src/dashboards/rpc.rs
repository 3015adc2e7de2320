//! Calls: between roles, and from outside.

use super::{Dashboard, Panel, Row, line, traced};

/// The dashboard.
pub const DASHBOARD: Dashboard = Dashboard {
    uid: "rpc",
    title: "calls",
    rows: &[
        Row {
            title: "Served",
            panels: &[
                Panel {
                    title: "Calls",
                    about: "A second, by method.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method) (rate(agon_rpc_server_calls_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{method}}",
                    )],
                },
                Panel {
                    title: "95 % are done within",
                    about: "By method. Points are example traces.",
                    unit: "s",
                    queries: &[traced(
                        r#"histogram_quantile(0.95, sum by (le, method) (rate(agon_rpc_server_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{method}}",
                    )],
                },
                Panel {
                    title: "Calls that fail",
                    about: "A second, by code, faults of the platform's own only.",
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
                    about: "Calls and requests worked on now.",
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
                    title: "Turned away",
                    about: "Shed for overload, and limited by user or address, a second.",
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
                    about: "Log-ins and tokens a second.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (outcome) (rate(agon_auth_logins_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "log-in {{outcome}}",
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
                    about: "A second, by method and code.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method, code) (rate(agon_rpc_client_calls_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{method}} {{code}}",
                    )],
                },
                Panel {
                    title: "95 % are answered within",
                    about: "As the caller sees it, the network included.",
                    unit: "s",
                    queries: &[traced(
                        r#"histogram_quantile(0.95, sum by (le, method) (rate(agon_rpc_client_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{method}}",
                    )],
                },
                Panel {
                    title: "Trouble",
                    about: "Open circuits, and calls made again a second.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (instance, role) (agon_rpc_client_circuit_open{instance=~"$instance"})"#,
                            "{{instance}}: {{role}} left alone",
                        ),
                        line(
                            r#"sum by (role) (rate(agon_rpc_client_retries_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{role}} again",
                        ),
                    ],
                },
                Panel {
                    title: "In flight",
                    about: "Calls whose answers are waited for.",
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
                    about: "A second, by route.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (method, route) (rate(agon_http_requests_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{method}} {{route}}",
                    )],
                },
                Panel {
                    title: "95 % are answered within",
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
