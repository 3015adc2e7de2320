//! The endpoints and their properties.

use serde_json::{Value, json};

/// Properties by type of endpoint, in the order of the specification.
const ENDPOINTS: [(&str, &[&str]); 12] = [
    (
        "contest",
        &[
            "id",
            "name",
            "formal_name",
            "start_time",
            "duration",
            "scoreboard_freeze_duration",
            "scoreboard_thaw_time",
            "scoreboard_type",
            "penalty_time",
        ],
    ),
    ("judgement-types", &["id", "name", "penalty", "solved"]),
    ("languages", &["id", "name", "entry_point_required", "extensions"]),
    ("problems", &["id", "label", "name", "ordinal", "rgb"]),
    ("groups", &["id", "name"]),
    ("organizations", &["id", "name", "formal_name", "country"]),
    ("teams", &["id", "name", "label", "display_name", "organization_id", "group_ids", "hidden"]),
    ("state", &["started", "frozen", "ended", "thawed", "finalized", "end_of_updates"]),
    ("submissions", &["id", "language_id", "problem_id", "team_id", "time", "contest_time"]),
    (
        "judgements",
        &[
            "id",
            "submission_id",
            "judgement_type_id",
            "current",
            "start_time",
            "start_contest_time",
            "end_time",
            "end_contest_time",
            "max_run_time",
        ],
    ),
    (
        "clarifications",
        &[
            "id",
            "from_team_id",
            "to_team_id",
            "reply_to_id",
            "problem_id",
            "text",
            "time",
            "contest_time",
        ],
    ),
    ("awards", &["id", "citation", "team_ids"]),
];

/// Without capabilities: the API only reads. `known` callers see submissions.
pub fn access(known: bool) -> Value {
    let visible = |name: &str| known || name != "submissions" && name != "judgements";
    let endpoints = ENDPOINTS.iter().filter(|(name, _)| visible(name));
    let endpoints = endpoints.map(|(name, all)| json!({"type": name, "properties": all}));
    json!({"capabilities": [], "endpoints": endpoints.collect::<Vec<_>>()})
}

/// Whether the objects of a collection can be filtered by a property: those that hold one id.
pub fn can_filter(collection: &str, property: &str) -> bool {
    property.ends_with("_id")
        && ENDPOINTS.iter().any(|(name, all)| *name == collection && all.contains(&property))
}
