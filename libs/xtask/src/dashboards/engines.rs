//! Events, databases and other engines.

use super::{Dashboard, Panel, Row, line};

pub const DASHBOARD: Dashboard = Dashboard {
    uid: "engines",
    title: "events and databases",
    rows: &[
        Row {
            title: "Outboxes",
            panels: &[
                Panel {
                    title: "Oldest unpublished event",
                    about: "Normally a few milliseconds.",
                    unit: "s",
                    queries: &[line(
                        r#"max by (service) (agon_outbox_oldest_seconds{instance=~"$instance"})"#,
                        "{{service}}",
                    )],
                },
                Panel {
                    title: "Unpublished",
                    about: "Events in the outboxes.",
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
                    about: "Events and failed attempts per second.",
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
                    title: "Lag in time",
                    about: "Age of the oldest event that is not processed.",
                    unit: "s",
                    queries: &[line(
                        r#"max by (consumer, topic) (agon_bus_lag_seconds{instance=~"$instance"})"#,
                        "{{consumer}}: {{topic}}",
                    )],
                },
                Panel {
                    title: "Lag in events",
                    about: "Events that are not processed.",
                    unit: "short",
                    queries: &[line(
                        r#"max by (consumer, topic) (agon_bus_lag_events{instance=~"$instance"})"#,
                        "{{consumer}}: {{topic}}",
                    )],
                },
                Panel {
                    title: "Events",
                    about: "Per second, by outcome.",
                    unit: "ops",
                    queries: &[line(
                        r#"sum by (consumer, outcome) (rate(agon_bus_events_total{instance=~"$instance"}[$__rate_interval]))"#,
                        "{{consumer}} {{outcome}}",
                    )],
                },
                Panel {
                    title: "Parked keys",
                    about: "Each needs an operator: see `agon events dlq list`.",
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
                    title: "Wait for a transaction, 95th percentile",
                    about: "Wait for a connection, or for the write lock of SQLite.",
                    unit: "s",
                    queries: &[line(
                        r#"histogram_quantile(0.95, sum by (le, service) (rate(agon_db_wait_seconds_bucket{instance=~"$instance"}[$__rate_interval])))"#,
                        "{{service}}",
                    )],
                },
                Panel {
                    title: "Retried and refused",
                    about: "Transactions per second that were retried after a conflict, and that failed to start.",
                    unit: "ops",
                    queries: &[
                        line(
                            r#"sum by (service) (rate(agon_db_retries_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{service}} retried",
                        ),
                        line(
                            r#"sum by (service, cause) (rate(agon_db_refusals_total{instance=~"$instance"}[$__rate_interval]))"#,
                            "{{service}} {{cause}}",
                        ),
                    ],
                },
                Panel {
                    title: "Unavailable or full",
                    about: "Normally 0; see `/readyz`.",
                    unit: "short",
                    queries: &[
                        line(
                            r#"sum by (service) (1 - agon_db_up{instance=~"$instance"})"#,
                            "{{service}} unavailable",
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
                    about: "Connected processes.",
                    unit: "short",
                    queries: &[line(r#"sum(agon_cache_up{instance=~"$instance"})"#, "connected")],
                },
                Panel {
                    title: "Failures",
                    about: "Failed requests per second to Redis and the object store, and certificates that failed to load.",
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
                    about: "Exported and dropped, per second.",
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
