//! Refuses durations and intervals of zero in every section of the configuration.

use serde_json::Value;

/// The ends of the keys whose values are durations.
const UNITS: [&str; 6] = ["_ms", "_milliseconds", "_seconds", "_minutes", "_hours", "_days"];

/// The durations that may be zero: a wait that is left out, something that happens at once, or no limit.
const MAY_BE_ZERO: [&str; 6] = [
    "auth.refresh_grace_seconds",
    "auth.reply_floor_milliseconds",
    "auth.suspicion_delay_milliseconds",
    "events.retention_hours",
    "problem.purge_days",
    "shutdown.grace_seconds",
];

/// Checks a serialized configuration. The error names the key.
pub fn check(config: &Value) -> Result<(), String> {
    check_section("", config)
}

fn check_section(prefix: &str, section: &Value) -> Result<(), String> {
    for (name, value) in section.as_object().into_iter().flatten() {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        check_section(&key, value)?;
        let is_duration = UNITS.iter().any(|unit| name.ends_with(unit));
        let least = i64::from(!MAY_BE_ZERO.contains(&&*key));
        // Values above the range of `i64` are not too small.
        if is_duration && let Some(number) = value.as_i64().filter(|number| *number < least) {
            return Err(format!("{key}: must be at least {least}, got {number}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn durations(prefix: &str, section: &Value, keys: &mut Vec<String>) {
        for (name, value) in section.as_object().into_iter().flatten() {
            let key = format!("{prefix}.{name}");
            durations(&key, value, keys);
            if value.is_number() && UNITS.iter().any(|unit| name.ends_with(unit)) {
                keys.push(key);
            }
        }
    }

    #[test]
    fn no_duration_may_be_zero_by_accident() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        assert_eq!(check(&defaults), Ok(()));
        let mut keys = Vec::new();
        durations("", &defaults, &mut keys);
        assert!(keys.len() > 25, "{keys:?}");
        for key in &keys {
            let set = |value: i64| {
                let mut config = defaults.clone();
                *config.pointer_mut(&key.replace('.', "/")).unwrap() = value.into();
                check(&config)
            };
            let key = &key[1..];
            if MAY_BE_ZERO.contains(&key) {
                assert_eq!(set(0), Ok(()));
                assert!(set(-1).unwrap_err().starts_with(&format!("{key}: must be at least 0")));
            } else {
                assert_eq!(set(0), Err(format!("{key}: must be at least 1, got 0")));
            }
        }
        for key in MAY_BE_ZERO {
            assert!(keys.contains(&format!(".{key}")), "{key} is no setting");
        }
    }
}
