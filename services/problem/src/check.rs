//! A check of an import: what the judge runs, and what its answer means. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::expectation::{self, Class, Requirement, Run};
use crate::package::{Checker, Package, Program, ValidatorArguments, validator_name};
use crate::version::{Manifest, Object};

/// What a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A jury solution, over all tests.
    Solution,
    /// An input validator, over inputs.
    InputValidator,
    /// The default checker, over stored outputs.
    Outputs,
}

impl Kind {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Solution => "solution",
            Self::InputValidator => "input_validator",
            Self::Outputs => "outputs",
        }
    }

    /// From what is stored.
    pub fn of(name: &str) -> Self {
        match name {
            "solution" => Self::Solution,
            "input_validator" => Self::InputValidator,
            _ => Self::Outputs,
        }
    }
}

/// Where a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// For the time limit to be found.
    Waiting,
    /// The judge was asked.
    Requested,
    /// The judge has answered.
    Done,
}

impl State {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Requested => "requested",
            Self::Done => "done",
        }
    }

    /// From what is stored.
    pub fn of(name: &str) -> Self {
        match name {
            "waiting" => Self::Waiting,
            "requested" => Self::Requested,
            _ => Self::Done,
        }
    }
}

/// A named input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    /// Its name in the package.
    pub name: String,
    /// Its bytes.
    pub object: Object,
}

/// A stored output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Its name in the package.
    pub name: String,
    /// The answer.
    pub answer: Object,
    /// The output.
    pub output: Object,
    /// Whether the checker must accept it.
    pub valid: bool,
    /// How they are compared.
    pub checker: Checker,
}

/// What the judge runs and what must come of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// The judge's id of the program's language.
    pub language: String,
    /// The file to start with, or empty.
    pub entry_point: String,
    /// The program's files.
    pub sources: Vec<(String, Object)>,
    /// For solutions: what must come of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// For validators: the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// For validators: what must be accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// For validators: what at least one of them must refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invalid_inputs: Vec<Input>,
    /// For outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// For solutions: the language's part in a measured time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// How much longer a language may take than the problem's limit says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Limits are multiplied by this.
    pub factor: f64,
    /// Then this is added, in microseconds.
    pub extra_us: i64,
}

impl Pace {
    /// A measured time as one of the problem's own limit.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn normal(self, measured_us: i64) -> i64 {
        ((measured_us - self.extra_us).max(0) as f64 / self.factor.max(0.01)) as i64
    }
}

/// A check of an import.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its id.
    pub id: Uuid,
    /// The import.
    pub import_id: Uuid,
    /// Its place in the report.
    pub position: i64,
    /// What it runs.
    pub kind: Kind,
    /// The file or folder in the package.
    pub file: String,
    /// What must come of it.
    pub spec: Spec,
    /// Where it stands.
    pub state: State,
    /// The time limit it was requested with; 0 = none.
    pub limit_us: i64,
    /// The results of single tests.
    pub runs: Vec<Run>,
    /// What came out, for people.
    pub actual: String,
    /// Whether it came out as it must.
    pub passed: bool,
    /// The largest CPU time.
    pub cpu_time_us: i64,
    /// The largest memory.
    pub memory_bytes: i64,
    /// More about a surprise.
    pub message: String,
}

impl Check {
    /// Whether its runs say how high the time limit must be.
    pub fn is_lower_bound(&self) -> bool {
        self.spec.requirements.iter().any(Requirement::is_lower_bound)
    }

    /// Whether its runs say how low the time limit must be.
    pub fn is_upper_bound(&self) -> bool {
        self.spec.requirements.iter().any(Requirement::is_upper_bound)
    }

    /// What would be right, for people.
    pub fn expected(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Solution => {
                let classes = expectation::expected(&self.spec.requirements);
                classes.into_iter().map(Class::name).collect()
            }
            _ => vec!["valid"],
        }
    }

    /// Notes the judge's answer.
    pub fn answer(&mut self, answer: Answer) {
        self.state = State::Done;
        self.cpu_time_us = answer.cpu_time_us;
        self.memory_bytes = answer.memory_bytes;
        self.actual = answer.verdict.to_owned();
        self.runs = answer.runs;
        self.passed = false;
        if matches!(answer.verdict, "CE" | "JE") {
            return;
        }
        if self.kind == Kind::Solution {
            // Judged when the time limit stands, by `settle`.
            if let Some(pace) = self.spec.pace {
                for run in &mut self.runs {
                    run.time_us = pace.normal(run.time_us);
                }
            }
            // What was stopped would have taken longer than it was given.
            for run in self.runs.iter_mut().filter(|run| run.class == Some(Class::Tle)) {
                run.time_us = run.time_us.max(self.limit_us);
            }
            self.passed = true;
            return;
        }
        let deciding = if self.kind == Kind::Outputs {
            self.spec.outputs.len()
        } else {
            self.spec.inputs.len()
        };
        let wrong = self.runs.iter().take(deciding).find(|run| run.class != Some(Class::Ac));
        self.passed = wrong.is_none() && self.runs.len() >= deciding;
        self.actual = if self.passed { "valid" } else { "invalid" }.to_owned();
        if let Some(wrong) = wrong {
            let what = match self.kind {
                Kind::Outputs if wrong.test.starts_with("invalid_output") => "was accepted",
                Kind::Outputs => "was refused",
                _ => "was refused or not read",
            };
            self.message = format!("{}: {what}", wrong.test);
        }
    }

    /// Decides about a solution, now that the time limit stands.
    pub fn settle(&mut self, limit_us: i64) {
        if self.kind != Kind::Solution || matches!(self.actual.as_str(), "CE" | "JE") {
            return;
        }
        for run in &mut self.runs {
            // It ran under a higher limit than it would now.
            if run.class.is_some() && run.time_us > limit_us {
                run.class = Some(Class::Tle);
            }
        }
        let first = self.runs.iter().filter_map(|run| run.class).find(|class| *class != Class::Ac);
        self.actual = first.unwrap_or(Class::Ac).name().to_owned();
        let surprise = expectation::surprise(&self.spec.requirements, &self.runs);
        self.passed = surprise.is_none();
        if let Some(surprise) = surprise {
            self.message = match self.message.as_str() {
                "" => surprise,
                told => format!("{surprise}\n{told}"),
            };
        }
    }

    /// The names of what is run, in the judge's order.
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

/// What the judge says about a check.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The verdict of the whole.
    pub verdict: &'static str,
    /// Single tests.
    pub runs: Vec<Run>,
    /// The largest CPU time.
    pub cpu_time_us: i64,
    /// The largest memory.
    pub memory_bytes: i64,
}

/// The checks of a package: validators, outputs, then solutions.
pub fn of_package(
    package: &Package,
    pace: impl Fn(&str) -> Option<Pace>,
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
        let pace = pace(solution.program.language);
        let spec = Spec { requirements, pace, ..program_spec(&solution.program) };
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

/// A validator's checks: one for each command line that it is run with.
fn validator(package: &Package, program: &Program) -> Vec<Spec> {
    let name = validator_name(program);
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
