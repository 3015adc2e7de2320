//! Checks of an import: what the judge runs, and how its result is evaluated. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::version::{Manifest, Object};
use package::expectation::{self, Class, Requirement, Run};
use package::{Checker, Package, Program, ValidatorArguments};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Solution,
    /// An input validator on inputs.
    InputValidator,
    /// The default checker on stored outputs.
    Outputs,
}

impl Kind {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Solution => "solution",
            Self::InputValidator => "input_validator",
            Self::Outputs => "outputs",
        }
    }

    /// From the name in the database.
    pub fn of(name: &str) -> Self {
        match name {
            "solution" => Self::Solution,
            "input_validator" => Self::InputValidator,
            _ => Self::Outputs,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not requested yet: it needs the inferred time limit.
    Waiting,
    Requested,
    Done,
    /// Not finished: another check failed first, or the import was canceled.
    Canceled,
}

impl State {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Requested => "requested",
            Self::Done | Self::Canceled => "done",
        }
    }

    /// From the name in the database and the actual result, which a canceled check lacks.
    pub fn of(name: &str, actual: &str) -> Self {
        match (name, actual) {
            ("waiting", _) => Self::Waiting,
            ("requested", _) => Self::Requested,
            (_, "") => Self::Canceled,
            _ => Self::Done,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    /// Name in the package.
    pub name: String,
    pub object: Object,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Name in the package.
    pub name: String,
    pub answer: Object,
    pub output: Object,
    /// Whether the checker must accept the output.
    pub valid: bool,
    pub checker: Checker,
}

/// What the judge runs and the expected result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Language id of the judge.
    pub language: String,
    /// Source file that is run; may be empty.
    pub entry_point: String,
    pub sources: Vec<(String, Object)>,
    /// Of solutions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Inputs that a validator must accept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Inputs that at least one validator must refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invalid_inputs: Vec<Input>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// Of solutions; absent = none.
    #[serde(rename = "pace", skip_serializing_if = "Option::is_none")]
    pub time_factor: Option<TimeFactor>,
}

/// Extension of time limits for a language.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeFactor {
    /// Multiplier of the time limit.
    pub factor: f64,
    /// Added after the multiplication, in microseconds.
    pub extra_us: i64,
}

impl TimeFactor {
    /// Converts a measured time to the scale of the time limit of the problem.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn normalise(self, measured_us: i64) -> i64 {
        ((measured_us - self.extra_us).max(0) as f64 / self.factor.max(0.01)) as i64
    }
}

#[derive(Clone, Debug)]
pub struct Check {
    pub id: Uuid,
    pub import_id: Uuid,
    /// Position in the report.
    pub position: i64,
    pub kind: Kind,
    /// File or directory in the package.
    pub file: String,
    pub spec: Spec,
    pub state: State,
    /// The time limit of the request; 0 = none.
    pub limit_us: i64,
    pub runs: Vec<Run>,
    /// The actual result, for display.
    pub actual: String,
    pub passed: bool,
    /// Maximum over all tests.
    pub cpu_time_us: i64,
    /// Maximum over all tests.
    pub memory_bytes: i64,
    /// Details of an unexpected result.
    pub message: String,
}

impl Check {
    /// Whether its runs are a lower bound of the time limit.
    pub fn is_lower_bound(&self) -> bool {
        self.spec.requirements.iter().any(Requirement::is_lower_bound)
    }

    /// Whether its runs are an upper bound of the time limit.
    pub fn is_upper_bound(&self) -> bool {
        self.spec.requirements.iter().any(Requirement::is_upper_bound)
    }

    /// The acceptable results, for display.
    pub fn expected(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Solution => {
                let classes = expectation::expected(&self.spec.requirements);
                classes.into_iter().map(Class::name).collect()
            }
            _ => vec!["valid"],
        }
    }

    /// Applies the result of the judge. Solutions are decided later, by `settle`.
    pub fn complete(&mut self, result: JudgeResult) {
        self.state = State::Done;
        self.cpu_time_us = result.cpu_time_us;
        self.memory_bytes = result.memory_bytes;
        self.actual = result.verdict.to_owned();
        self.runs = result.runs;
        self.passed = false;
        if matches!(result.verdict, "CE" | "JE") {
            return;
        }
        if self.kind == Kind::Solution {
            if let Some(factor) = self.spec.time_factor {
                for run in &mut self.runs {
                    run.time_us = factor.normalise(run.time_us);
                }
            }
            // A stopped run took at least its time limit.
            for run in self.runs.iter_mut().filter(|run| run.class == Some(Class::Tle)) {
                run.time_us = run.time_us.max(self.limit_us);
            }
            // Provisional, until the time limit is known.
            let requirements = &self.spec.requirements;
            self.actual = expectation::overall(requirements, &self.runs).name().to_owned();
            self.passed = expectation::mismatch(requirements, &self.runs).is_none();
            return;
        }
        let required = if self.kind == Kind::Outputs {
            self.spec.outputs.len()
        } else {
            self.spec.inputs.len()
        };
        let wrong = self.runs.iter().take(required).find(|run| run.class != Some(Class::Ac));
        self.passed = wrong.is_none() && self.runs.len() >= required;
        self.actual = if self.passed { "valid" } else { "invalid" }.to_owned();
        if let Some(wrong) = wrong {
            let what = match self.kind {
                Kind::Outputs if wrong.test.starts_with("invalid_output") => "was accepted",
                Kind::Outputs => "was refused",
                _ => "was refused, or not read to its end",
            };
            self.message = format!("{}: {what}", wrong.test);
        }
    }

    /// Whether a finished check has failed, whatever the results of others; for solutions also whatever the time limit
    /// will be, unless it is known.
    pub fn has_failed(&self, limit_is_known: bool) -> bool {
        let is_certain = limit_is_known
            || self.kind != Kind::Solution
            || matches!(self.actual.as_str(), "CE" | "JE")
            || expectation::is_certain_mismatch(&self.spec.requirements, &self.runs);
        self.state == State::Done && !self.passed && is_certain
    }

    /// Decides whether a solution passes, once the time limit is known. Repeatable.
    pub fn settle(&mut self, limit_us: i64) {
        let has_runs = self.state == State::Done && !matches!(self.actual.as_str(), "CE" | "JE");
        if self.kind != Kind::Solution || !has_runs {
            return;
        }
        for run in &mut self.runs {
            // It may have run under a higher limit.
            if run.class.is_some() && run.time_us > limit_us {
                run.class = Some(Class::Tle);
            }
        }
        self.compare();
    }

    /// Compares the runs of a solution with the requirements.
    pub fn compare(&mut self) {
        let requirements = &self.spec.requirements;
        self.actual = expectation::overall(requirements, &self.runs).name().to_owned();
        let mismatch = expectation::mismatch(requirements, &self.runs);
        self.passed = mismatch.is_none();
        if let Some(mismatch) = mismatch.filter(|text| !self.message.starts_with(text.as_str())) {
            self.message = match self.message.as_str() {
                "" => mismatch,
                details => format!("{mismatch}\n{details}"),
            };
        }
    }

    /// The number of runs that have a result.
    pub fn done_count(&self) -> usize {
        self.runs.iter().filter(|run| run.class.is_some()).count()
    }

    /// The number of runs of a check; `test_count` is that of the version.
    pub fn run_count(&self, test_count: usize) -> usize {
        match self.kind {
            Kind::Solution => test_count,
            Kind::Outputs => self.spec.outputs.len(),
            Kind::InputValidator => self.spec.inputs.len() + self.spec.invalid_inputs.len(),
        }
    }

    /// The names of all runs, in the order of the judge.
    pub fn test_names<'c>(&'c self, manifest: &'c Manifest) -> Vec<&'c str> {
        match self.kind {
            Kind::Solution => manifest.tests.iter().map(|test| test.name.as_str()).collect(),
            Kind::Outputs => self.spec.outputs.iter().map(|output| output.name.as_str()).collect(),
            Kind::InputValidator => {
                let all = self.spec.inputs.iter().chain(&self.spec.invalid_inputs);
                all.map(|input| input.name.as_str()).collect()
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct JudgeResult {
    pub verdict: &'static str,
    pub runs: Vec<Run>,
    /// Maximum over all tests.
    pub cpu_time_us: i64,
    /// Maximum over all tests.
    pub memory_bytes: i64,
}

/// The checks of a package: validators, outputs, then solutions.
pub fn of_package(
    package: &Package,
    time_factor: impl Fn(&str) -> Option<TimeFactor>,
) -> Vec<(Kind, String, Spec)> {
    let mut checks = Vec::new();
    for program in &package.validators {
        for spec in validator(package, program) {
            checks.push((Kind::InputValidator, program.file.clone(), spec));
        }
    }
    if !package.data.outputs.is_empty() {
        let outputs = package.data.outputs.iter().map(|output| Output {
            name: output.name.clone(),
            answer: (&output.answer).into(),
            output: (&output.output).into(),
            valid: output.valid,
            checker: output.checker.clone(),
        });
        let spec = Spec { outputs: outputs.collect(), ..Spec::default() };
        checks.push((Kind::Outputs, "data".to_owned(), spec));
    }
    for solution in &package.solutions {
        let requirements = solution.requirements.clone();
        let time_factor = time_factor(solution.program.language);
        let spec = Spec { requirements, time_factor, ..program_spec(&solution.program) };
        checks.push((Kind::Solution, solution.program.file.clone(), spec));
    }
    checks
}

fn program_spec(program: &Program) -> Spec {
    let sources = program.sources.iter();
    Spec {
        language: program.language.to_owned(),
        entry_point: program.entry_point.clone(),
        sources: sources.map(|source| (source.path.clone(), (&source.blob).into())).collect(),
        ..Spec::default()
    }
}

/// The checks of a validator: one for each distinct command line.
fn validator(package: &Package, program: &Program) -> Vec<Spec> {
    let name = program.name();
    let mut specs: Vec<Spec> = Vec::new();
    let mut add = |arguments: &ValidatorArguments, valid: bool, input: Input| {
        let arguments = arguments.of(name);
        let at = specs.iter().position(|spec| spec.arguments == arguments).unwrap_or_else(|| {
            specs.push(Spec { arguments: arguments.to_vec(), ..program_spec(program) });
            specs.len() - 1
        });
        let list = if valid { &mut specs[at].inputs } else { &mut specs[at].invalid_inputs };
        list.push(input);
    };
    let data = &package.data;
    for test in &data.tests {
        let input = Input { name: test.name.clone(), object: (&test.input).into() };
        add(&test.validator_arguments, true, input);
    }
    for output in &data.outputs {
        let Some(blob) = &output.input else { continue };
        let input = Input { name: output.name.clone(), object: blob.into() };
        add(&output.validator_arguments, true, input);
    }
    for invalid in &data.invalid_inputs {
        let input = Input { name: invalid.name.clone(), object: (&invalid.input).into() };
        add(&invalid.validator_arguments, false, input);
    }
    specs
}
