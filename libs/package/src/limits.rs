//! `limits` in `problem.yaml`.

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
    /// CPU time of the compiler.
    pub compile_us: i64,
    /// Memory of the compiler.
    pub compile_memory: i64,
    /// CPU time of a validator.
    pub validation_us: i64,
    pub validation_memory: i64,
    /// Inferred time limits are multiples of this.
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
            compile_us: 60_000_000,
            compile_memory: 2048 << 20,
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

pub fn read(value: Option<Value<'_>>, max_limits: &MaxLimits) -> Limits {
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
    limits.time_us = fields.take("time_limit").and_then(|value| micros(&value, max_limits.time_us));
    let resolution = fields.take("time_resolution");
    if let Some(resolution) = resolution.and_then(|value| micros(&value, max_limits.time_us)) {
        limits.resolution_us = resolution;
    }
    let mut set = |key, unit: i64, max: i64, limit: &mut i64| {
        let value = fields.take(key).and_then(|value| value.int(1, max / unit));
        *limit = value.map_or(*limit, |value| value * unit);
    };
    set("memory", 1 << 20, max_limits.memory, &mut limits.memory);
    set("output", 1 << 20, max_limits.output, &mut limits.output);
    set("code", 1 << 10, max_limits.code, &mut limits.code);
    set("compilation_time", 1_000_000, max_limits.compile_us, &mut limits.compile_us);
    set("compilation_memory", 1 << 20, max_limits.memory, &mut limits.compile_memory);
    set("validation_time", 1_000_000, max_limits.compile_us, &mut limits.validation_us);
    set("validation_memory", 1 << 20, max_limits.memory, &mut limits.validation_memory);
    // Checked but unused: the output of validators is truncated far below this.
    let mut unused = 0;
    set("validation_output", 1 << 20, max_limits.output, &mut unused);
    if let Some(value) = fields.take("validation_passes") {
        value.error("applies to multi-pass problems, which are not supported yet");
    }
    fields.finish();
    limits
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
        return Some(micros.round() as i64);
    }
    None
}
