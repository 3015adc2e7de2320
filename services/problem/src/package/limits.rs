//! `limits` in `problem.yaml`.

use super::yaml::Value;

/// What a package asks for. Sizes are bytes, times microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// CPU time a test; absent = to be found from the jury's solutions.
    pub time_us: Option<i64>,
    /// Found limits are multiples of this.
    pub resolution_us: i64,
    /// The limit is at least this many times the slowest accepted solution.
    pub ac_to_time_limit: f64,
    /// The fastest slow solution takes at least this many times the limit.
    pub time_limit_to_tle: f64,
    /// Memory.
    pub memory: i64,
    /// Output a test.
    pub output: i64,
    /// Source.
    pub code: i64,
    /// CPU time to compile.
    pub compile_us: i64,
    /// Memory to compile.
    pub compile_memory: i64,
    /// CPU time of a validator.
    pub validation_us: i64,
    /// Memory of a validator.
    pub validation_memory: i64,
}

impl Default for Declared {
    /// The format's "typical system defaults".
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

/// The most that this server gives; a package that declares more is refused.
#[derive(Clone, Debug)]
pub struct Maxima {
    /// CPU time a test, in microseconds.
    pub time_us: i64,
    /// Memory, in bytes; also to compile and to validate.
    pub memory: i64,
    /// Output, in bytes.
    pub output: i64,
    /// Source, in bytes.
    pub code: i64,
    /// CPU time to compile or to validate an input, in microseconds.
    pub compile_us: i64,
}

impl Default for Maxima {
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

/// Reads the map.
pub fn read(value: Option<Value<'_>>, maxima: &Maxima) -> Declared {
    let mut limits = Declared::default();
    let Some(mut fields) = value.and_then(Value::fields) else { return limits };
    if let Some(mut multipliers) = fields.take("time_multipliers").and_then(Value::fields) {
        let mut set = |key, place: &mut f64| {
            *place = multipliers.take(key).and_then(|value| factor(&value)).unwrap_or(*place);
        };
        set("ac_to_time_limit", &mut limits.ac_to_time_limit);
        set("time_limit_to_tle", &mut limits.time_limit_to_tle);
        multipliers.finish();
    }
    limits.time_us = fields.take("time_limit").and_then(|value| micros(&value, maxima.time_us));
    let resolution = fields.take("time_resolution");
    if let Some(resolution) = resolution.and_then(|value| micros(&value, maxima.time_us)) {
        limits.resolution_us = resolution;
    }
    let mut set = |key, unit: i64, max: i64, place: &mut i64| {
        let value = fields.take(key).and_then(|value| value.int(1, max / unit));
        *place = value.map_or(*place, |value| value * unit);
    };
    set("memory", 1 << 20, maxima.memory, &mut limits.memory);
    set("output", 1 << 20, maxima.output, &mut limits.output);
    set("code", 1 << 10, maxima.code, &mut limits.code);
    set("compilation_time", 1_000_000, maxima.compile_us, &mut limits.compile_us);
    set("compilation_memory", 1 << 20, maxima.memory, &mut limits.compile_memory);
    set("validation_time", 1_000_000, maxima.compile_us, &mut limits.validation_us);
    set("validation_memory", 1 << 20, maxima.memory, &mut limits.validation_memory);
    // What a validator prints is only ever shown, and cut long before this.
    let mut unused = 0;
    set("validation_output", 1 << 20, maxima.output, &mut unused);
    if let Some(value) = fields.take("validation_passes") {
        value.error("is for multi-pass problems, which are not supported yet");
    }
    fields.finish();
    limits
}

fn factor(value: &Value<'_>) -> Option<f64> {
    let factor = value.float()?;
    if (1.0..=1000.0).contains(&factor) {
        return Some(factor);
    }
    value.error("must be at least 1 (and at most 1000)");
    None
}

#[expect(clippy::cast_possible_truncation, reason = "checked against the bounds first")]
#[expect(clippy::cast_precision_loss, reason = "a minute of microseconds is exact")]
fn micros(value: &Value<'_>, max: i64) -> Option<i64> {
    let seconds = value.float()?;
    let micros = seconds * 1e6;
    if seconds <= 0.0 {
        value.error("must be more than 0 seconds");
    } else if micros > max as f64 {
        let max = max / 1_000_000;
        value.error(format!("is more than this server can give ({max} seconds)"));
    } else if micros < 1000.0 {
        value.error("is finer than this server can measure (0.001 seconds)");
    } else {
        return Some(micros.round() as i64);
    }
    None
}
