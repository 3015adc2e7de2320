//! What each metric means: the `HELP` lines of `/metrics`. The tidy check keeps this list and the code that
//! records together.

/// Names and meanings, in the order of the alphabet.
const MEANINGS: &[(&str, &str)] = &[
    (
        "agon_access_rate_limited_total",
        "Calls refused because their caller made too many, by class of call.",
    ),
    ("agon_access_refused_tokens_total", "Access tokens that were refused, by reason."),
    ("agon_auth_logins_total", "Attempts to log in, by outcome."),
    ("agon_build_info", "Always 1; version and commit are in the labels."),
    ("agon_bus_events_total", "Events that consumers took, by outcome."),
    ("agon_bus_lag_events", "Events that a consumer has yet to take."),
    ("agon_bus_lag_seconds", "Age of the oldest event that a consumer has yet to take."),
    ("agon_bus_parked_keys", "Keys whose events wait behind one that failed."),
    ("agon_cache_failures_total", "Operations of the cache that failed and were done without."),
    ("agon_cache_up", "1 while Redis answers."),
    ("agon_component_degraded", "1 while a component works with less than it should have."),
    ("agon_component_up", "1 while a component works, degraded or not."),
    ("agon_db_connections", "Connections to a database, by pool and state."),
    ("agon_db_disk_full", "1 while a database refuses writes for lack of space."),
    ("agon_db_refusals_total", "Transactions that could not begin, by cause."),
    ("agon_db_retries_total", "Transactions run again because another one was in the way."),
    ("agon_db_up", "1 while a database answers."),
    ("agon_db_wait_seconds", "How long transactions waited for a connection or for the writer."),
    ("agon_disk_free_bytes", "Free space in the file system of the data directory."),
    ("agon_disk_size_bytes", "Size of the file system of the data directory."),
    ("agon_http_request_duration_seconds", "Duration of REST requests, by method and route."),
    ("agon_http_requests_in_flight", "REST requests being answered."),
    (
        "agon_http_requests_total",
        "REST requests, by method, route and status; 499 means the client went away.",
    ),
    (
        "agon_judge_busy_seconds",
        "Time in which at least one program ran on this worker; only grows.",
    ),
    (
        "agon_judge_gave_up_total",
        "Jobs that failed too often and got the verdict of an internal error.",
    ),
    ("agon_judge_job_duration_seconds", "How long a worker had a job, compilation included."),
    ("agon_judge_jobs_in_flight", "Jobs that this worker has."),
    ("agon_judge_jobs_put_back_total", "Jobs that went back to the queue, by cause."),
    ("agon_judge_judgements_total", "Judgements that are durable, by verdict."),
    ("agon_judge_leases_expired_total", "Jobs whose worker was not heard of in time."),
    ("agon_judge_queue_jobs", "Jobs in the queue, by state."),
    ("agon_judge_queue_oldest_seconds", "How long the oldest job has waited."),
    (
        "agon_judge_results_fenced_total",
        "Results refused because another worker has the job by now.",
    ),
    ("agon_judge_run_cpu_seconds", "CPU time of programs that were run, by kind of run."),
    ("agon_judge_run_wall_seconds", "Wall-clock time of programs that were run, by kind of run."),
    ("agon_judge_runs_total", "Programs that were run, by kind of run."),
    (
        "agon_judge_sandbox_failures_total",
        "Runs in which the sandbox failed, not the program in it.",
    ),
    ("agon_judge_slots", "Programs that this worker can run at once."),
    ("agon_judge_slots_busy", "Programs that this worker runs."),
    ("agon_judge_workers", "Workers that the queue has heard of lately."),
    ("agon_objects_failures_total", "Operations of the object store that failed."),
    ("agon_outbox_failures_total", "Times that a relay could not go on and began again."),
    ("agon_outbox_oldest_seconds", "Age of the oldest event that has yet to reach Kafka."),
    ("agon_outbox_published_total", "Events that reached Kafka."),
    ("agon_outbox_refused_keys", "Keys whose events wait behind one that Kafka refused."),
    ("agon_outbox_rows", "Events that have yet to reach Kafka, up to what a relay reads at once."),
    (
        "agon_rpc_client_calls_in_flight",
        "Calls to other services that have yet to be answered, by method.",
    ),
    ("agon_rpc_client_calls_total", "Calls to other services, by method and code."),
    (
        "agon_rpc_client_circuit_open",
        "Addresses of a role that are left alone because they failed.",
    ),
    ("agon_rpc_client_duration_seconds", "Duration of calls to other services, by method."),
    ("agon_rpc_client_retries_total", "Calls that were sent again, by the role they go to."),
    ("agon_rpc_server_calls_in_flight", "Calls being answered, by method."),
    ("agon_rpc_server_calls_total", "Calls that were answered, by method and code."),
    ("agon_rpc_server_duration_seconds", "Duration of calls, by method."),
    ("agon_rpc_server_shed_total", "Calls refused because too many were being answered."),
    (
        "agon_submissions_asked_again_total",
        "Submissions for which the judge was asked again, as it had not heard of them.",
    ),
    ("agon_submissions_created_total", "Submissions that were acknowledged."),
    ("agon_submissions_judged_total", "Submissions that got their verdict, by verdict."),
    ("agon_submissions_overdue", "Submissions that wait longer than judging should take."),
    ("agon_submissions_waiting", "Submissions without a verdict."),
    ("agon_telemetry_spans_total", "Spans for the collector, by outcome."),
    ("agon_tls_reload_failures_total", "Times that changed certificates could not be used."),
    ("process_cpu_seconds_total", "CPU time of this process, in whole seconds."),
    ("process_open_fds", "Open file descriptors."),
    ("process_resident_memory_bytes", "Resident memory."),
    ("process_start_time_seconds", "Start of this process, in seconds since 1970-01-01 UTC."),
    ("process_threads", "Threads of this process."),
];

/// Tells the recorder.
pub fn describe() {
    for (name, meaning) in MEANINGS {
        // It keeps one text per name, of whatever kind the metric is.
        metrics::describe_gauge!(*name, *meaning);
    }
}
