//! Events on their way, databases, and the other engines.

use super::{Dashboard, Panel, Row, line};

/// The dashboard.
pub const DASHBOARD: Dashboard = Dashboard {
    uid: "engines",
    title: "events and databases",
    rows: &[
        Row {
            title: "Outboxes",
            panels: &[
                Panel {
                    title: "The oldest event that waits",
                    about: "Published within milliseconds when all is well.",
                    unit: "s",
                    queries: &[line(
                        r#"max by (service) (agon_outbox_oldest_seconds{instance=~"$instance"})"#,
                        "{{service}}",
                    )],
                },
                Panel {
                    title: "Waiting",
                    about: "Events that the relays have before them.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (service) (agon_outbox_rows{instance=~"$instance"})"#,
                            "{{service}}",
                        ),
                        line(
                            r#"max by (service) (agon_outbox_refused_keys{instance=~"$instance"})"#,
                            "{{service}}: keys refused",
                        ),
                    ],
                },
                Panel {
                    title: "Published",
                    about: "Events a second, and attempts that failed.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (service) (rate(agon_outbox_published_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{service}}",
                        ),
                        line(
                            r#"sum by (service) (rate(agon_outbox_failures_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{service}} failed",
                        ),
                    ],
                },
            ],
        },
        Row {
            title: "Consumers",
            panels: &[
                Panel {
                    title: "Behind, in time",
                    about: "The age of the oldest event that is not applied.",
                    unit: "s",
                    queries: &[line(
                        r#"max by (consumer, topic) (agon_bus_lag_seconds{instance=~"$instance"})"#,
                        "{{consumer}}: {{topic}}",
                    )],
                },
                Panel {
                    title: "Behind, in events",
                    about: "Events that were read and are not applied.",
                    unit: "short",
                    queries: &[line(
                        r#"max by (consumer, topic) (agon_bus_lag_events{instance=~"$instance"})"#,
                        "{{consumer}}: {{topic}}",
                    )],
                },
                Panel {
                    title: "Events",
                    about: "A second, by what came of them.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (consumer, outcome) (rate(agon_bus_events_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{consumer}} {{outcome}}",
                    )],
                },
                Panel {
                    title: "Parked keys",
                    about: "Each waits for somebody: see `agon events dlq list`.",
                    unit: "short",
                    queries: &[line(
                        r#"max by (consumer, topic) (agon_bus_parked_keys{instance=~"$instance"})"#,
                        "{{consumer}}: {{topic}}",
                    )],
                },
            ],
        },
        Row {
            title: "Databases",
            panels: &[
                Panel {
                    title: "Connections",
                    about: "In use and idle.",
                    unit: "short",
                    queries: &[line(
                        r#"sum by (service, pool, state) (agon_db_connections{instance=~"$instance"})"#,
                        "{{service}} {{pool}} {{state}}",
                    )],
                },
                Panel {
                    title: "95 % of transactions begin within",
                    about: "They wait for a connection, on SQLite for their turn to write.",
                    unit: "s",
                    queries: &[line(
                        r#"histogram_quantile(0.95, sum by (le, service) (rate(agon_db_wait_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{service}}",
                    )],
                },
                Panel {
                    title: "Tried again and refused",
                    about: "Transactions a second that met another one, and that could not begin.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (service) (rate(agon_db_retries_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{service}} again",
                        ),
                        line(
                            r#"sum by (service, cause) (rate(agon_db_refusals_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{service}} {{cause}}",
                        ),
                    ],
                },
                Panel {
                    title: "Away or full",
                    about: "More than 0: see `/readyz`.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (service) (1 - agon_db_up{instance=~"$instance"})"#,
                            "{{service}} away",
                        ),
                        line(
                            r#"sum by (service) (agon_db_disk_full{instance=~"$instance"})"#,
                            "{{service}} full",
                        ),
                    ],
                },
            ],
        },
        Row {
            title: "Cache, objects, traces",
            panels: &[
                Panel {
                    title: "Redis",
                    about: "Processes that are connected.",
                    unit: "short",
                    queries: &[line(r#"sum(agon_cache_up{instance=~"$instance"})"#, "connected")],
                },
                Panel {
                    title: "Failures",
                    about: "Requests a second to Redis and to the object store that failed, and certificates that were refused.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum(rate(agon_cache_failures_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "Redis",
                        ),
                        line(
                            r#"sum(rate(agon_objects_failures_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "objects",
                        ),
                        line(
                            r#"sum(rate(agon_tls_reload_failures_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "certificates",
                        ),
                    ],
                },
                Panel {
                    title: "Spans",
                    about: "Sent to the collector and lost, a second.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (outcome) (rate(agon_telemetry_spans_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{outcome}}",
                    )],
                },
            ],
        },
    ],
};
