//! `limits` in `problem.yaml`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::expectation::Margins;
use crate::yaml::Value;

/// The limits that a package declares. Sizes are bytes, times microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time per test; absent = inferred from the jury solutions.
    #[serde(default, rename = "declared_us", skip_serializing_if = "Option::is_none")]
    pub time_us: Option<i64>,
    pub memory: i64,
    /// Output per test.
    pub output: i64,
    pub code: i64,
    /// CPU time of the compiler; absent = the judge's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_us: Option<i64>,
    /// Memory of the compiler; absent = the judge's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_memory: Option<i64>,
    /// Whether submissions may write files in their working directory.
    #[serde(default)]
    pub file_writing: bool,
    /// CPU time of a validator.
    pub validation_us: i64,
    pub validation_memory: i64,
    /// Time limits are multiples of this.
    pub resolution_us: i64,
    /// See [`Margins`].
    pub ac_to_time_limit: f64,
    /// See [`Margins`].
    pub time_limit_to_tle: f64,
}

impl Limits {
    pub fn margins(&self) -> Margins {
        Margins {
            resolution_us: self.resolution_us,
            ac_to_time_limit: self.ac_to_time_limit,
            time_limit_to_tle: self.time_limit_to_tle,
        }
    }
}

impl Default for Limits {
    /// The "typical system defaults" of the format.
    fn default() -> Self {
        Self {
            time_us: None,
            resolution_us: 1_000_000,
            ac_to_time_limit: 2.0,
            time_limit_to_tle: 1.5,
            memory: 2048 << 20,
            output: 8 << 20,
            code: 128 << 10,
            compile_us: None,
            compile_memory: None,
            file_writing: false,
            validation_us: 60_000_000,
            validation_memory: 2048 << 20,
        }
    }
}

/// The highest limits that this server grants; a package that declares more is refused.
#[derive(Clone, Debug)]
pub struct MaxLimits {
    /// CPU time per test, in microseconds.
    pub time_us: i64,
    /// Memory in bytes, also of compilers and validators.
    pub memory: i64,
    /// Output in bytes.
    pub output: i64,
    /// Source code in bytes.
    pub code: i64,
    /// CPU time of compilers and validators, in microseconds.
    pub compile_us: i64,
}

impl Default for MaxLimits {
    fn default() -> Self {
        Self {
            time_us: 60_000_000,
            memory: 8 << 30,
            output: 64 << 20,
            code: 256 << 10,
            compile_us: 300_000_000,
        }
    }
}

/// Reads the map for a problem of these types.
pub fn read(value: Option<Value<'_>>, max_limits: &MaxLimits, types: &BTreeSet<String>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut fields) = value.and_then(Value::fields) else { return limits };
    if let Some(mut multipliers) = fields.take("time_multipliers").and_then(Value::fields) {
        let mut set = |key, limit: &mut f64| {
            *limit = multipliers.take(key).and_then(|value| factor(&value)).unwrap_or(*limit);
        };
        set("ac_to_time_limit", &mut limits.ac_to_time_limit);
        set("time_limit_to_tle", &mut limits.time_limit_to_tle);
        multipliers.finish();
    }
    let resolution = fields.take("time_resolution");
    let resolution = resolution.map(|value| micros(&value, max_limits.time_us));
    if let Some(Some(resolution)) = resolution {
        limits.resolution_us = resolution;
    }
    if let Some(value) = fields.take("time_limit") {
        limits.time_us = micros(&value, max_limits.time_us);
        // Not compared with a resolution that is invalid itself.
        if let (Some(limit), None | Some(Some(_))) = (limits.time_us, resolution) {
            check_multiple(&value, limit, limits.resolution_us);
        }
    }
    let mut declared = |key, unit: i64, max: i64| {
        let value = fields.take(key).and_then(|value| value.int(1, max / unit));
        value.map(|value| value * unit)
    };
    limits.compile_us = declared("compilation_time", 1_000_000, max_limits.compile_us);
    limits.compile_memory = declared("compilation_memory", 1 << 20, max_limits.memory);
    let mut set = |key, unit, max, limit: &mut i64| {
        *limit = declared(key, unit, max).unwrap_or(*limit);
    };
    set("memory", 1 << 20, max_limits.memory, &mut limits.memory);
    set("output", 1 << 20, max_limits.output, &mut limits.output);
    set("code", 1 << 10, max_limits.code, &mut limits.code);
    set("validation_time", 1_000_000, max_limits.compile_us, &mut limits.validation_us);
    set("validation_memory", 1 << 20, max_limits.memory, &mut limits.validation_memory);
    // Checked but unused: the output of validators is truncated far below this.
    let mut unused = 0;
    set("validation_output", 1 << 20, max_limits.output, &mut unused);
    if let Some(value) = fields.take("validation_passes") {
        if types.contains("multi-pass") {
            value.int(2, i64::MAX);
        } else {
            value.error("applies to multi-pass problems only; this problem is not multi-pass");
        }
    }
    fields.finish();
    limits
}

/// Compares whole microseconds, as 0.3 is not a multiple of 0.1 in binary fractions.
fn check_multiple(value: &Value<'_>, limit_us: i64, resolution_us: i64) {
    if limit_us % resolution_us == 0 {
        return;
    }
    let above = (limit_us / resolution_us + 1) * resolution_us;
    let (limit, resolution) = (seconds(limit_us), seconds(resolution_us));
    value.error(format!(
        "{limit} is not a multiple of time_resolution ({resolution}); use a multiple such as {}, \
         or set time_resolution",
        seconds(above)
    ));
}

/// Seconds without trailing zeros.
fn seconds(us: i64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn factor(value: &Value<'_>) -> Option<f64> {
    let factor = value.float()?;
    if (1.0..=1000.0).contains(&factor) {
        return Some(factor);
    }
    value.error("must be between 1 and 1000");
    None
}

#[expect(clippy::cast_possible_truncation, reason = "checked against the maximum first")]
#[expect(clippy::cast_precision_loss, reason = "a minute of microseconds is exact")]
fn micros(value: &Value<'_>, max: i64) -> Option<i64> {
    let seconds = value.float()?;
    let micros = seconds * 1e6;
    if seconds <= 0.0 {
        value.error("must be more than 0 seconds");
    } else if micros > max as f64 {
        let max = max / 1_000_000;
        value.error(format!("exceeds the maximum of this server ({max} seconds)"));
    } else if micros < 1000.0 {
        value.error("must be at least 0.001 seconds");
    } else {
        if (micros - micros.round()).abs() > 1e-3 {
            value.warn("is rounded to microseconds");
        }
        return Some(micros.round() as i64);
    }
    None
}
