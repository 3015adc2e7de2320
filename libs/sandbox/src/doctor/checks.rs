//! The checks themselves. Each runs a probe in a real container and judges what came of it.

use super::{Check, Depth, Feature, Level, Report};
use crate::{
    Config, Error, Exit, Limit, Limits, Mount, Outcome, Output, RunSpec, Sandbox, Slot, Violation,
    boxed::{PROBE, probe},
    wire::Facts,
};
use std::time::Duration;

/// Where containers see this executable during checks.
const PROGRAM: &str = "/opt/agon/probe";

/// For probes whose time is not the question, also on a slow or busy machine.
fn ample() -> Limits {
    let (cpu, wall) = (Duration::from_secs(60), Duration::from_secs(120));
    Limits { cpu, wall, ..Limits::default() }
}

/// Runs the checks and sums them up.
pub(crate) async fn all(
    sandbox: &Sandbox,
    config: &Config,
    facts: &Facts,
    depth: Depth,
) -> Result<Report, Error> {
    let slot = sandbox.lease().await?;
    let mut patient = Patient { slot, config, checks: Vec::new() };
    patient.known(facts);
    patient.look(facts).await?;
    patient.memory(depth).await?;
    patient.processes().await?;
    if depth == Depth::Whole {
        patient.cpu_counted().await?;
        patient.cpu_limit().await?;
        patient.wall_limit().await?;
        patient.filter().await?;
    }
    let checks = patient.checks;
    let level = if checks.iter().all(|check| check.passed) { Level::Full } else { Level::Degraded };
    Ok(Report { level, cgroup: sandbox.cgroup_version(), checks })
}

struct Patient<'a> {
    slot: Slot,
    config: &'a Config,
    checks: Vec<Check>,
}

impl Patient<'_> {
    fn note(&mut self, feature: Feature, name: &str, passed: bool, detail: String, remedy: &str) {
        let remedy = (!passed).then(|| remedy.to_owned());
        self.checks.push(Check { name: name.to_owned(), feature, passed, detail, remedy });
    }

    async fn probe(&mut self, name: &str, argument: u64, limits: Limits) -> Result<Outcome, Error> {
        let arguments =
            self.config.arguments.iter().map(|part| part.to_string_lossy().into_owned());
        let words = [PROBE.to_owned(), name.to_owned(), argument.to_string()];
        let mut spec = RunSpec::new([PROGRAM.to_owned()].into_iter().chain(arguments).chain(words));
        // By its path: what a process runs is on a mount of another namespace than its box's.
        let source = std::fs::canonicalize(&self.config.program)
            .map_err(Error::io("finding this program's file"))?;
        spec.mounts = vec![Mount { source, target: PROGRAM.into() }];
        spec.stdout = Output::Capture { limit: 64 << 10 };
        spec.limits = limits;
        let outcome = self.slot.run(spec).await?;
        if let Exit::NotStarted(why) = outcome.exit {
            let message = format!("the self-test cannot run this program inside: {why}");
            return Err(Error::Unavailable(message));
        }
        Ok(outcome)
    }

    /// What the box has already found.
    fn known(&mut self, facts: &Facts) {
        let missing = |feature| facts.missing.iter().find(|(missing, _)| *missing == feature);
        let landlock = missing(Feature::Landlock);
        let detail = landlock.map_or_else(
            || format!("version {} of its rules", facts.landlock_abi),
            |(_, why)| why.clone(),
        );
        let remedy =
            "enable landlock in the kernel: CONFIG_SECURITY_LANDLOCK, and lsm=landlock,… at boot";
        self.note(Feature::Landlock, "landlock", landlock.is_none(), detail, remedy);
        let users = missing(Feature::UserPerSlot);
        let detail = users.map_or_else(
            || {
                if facts.rootless { "a subordinate user" } else { "a user for each slot" }
                    .to_owned()
            },
            |(_, why)| why.clone(),
        );
        let remedy = "run as root, or give this user a range in /etc/subuid and /etc/subgid";
        self.note(Feature::UserPerSlot, "users", users.is_none(), detail, remedy);
        let swap = missing(Feature::NoSwap);
        let detail = swap.map_or_else(|| "programs do not swap".to_owned(), |(_, why)| why.clone());
        let remedy = "turn swap off, or boot with swapaccount=1";
        self.note(Feature::NoSwap, "swap", swap.is_none(), detail, remedy);
    }

    /// What a program sees, and what it is allowed.
    async fn look(&mut self, facts: &Facts) -> Result<(), Error> {
        let outcome = self.probe("look", 0, ample()).await?;
        let text = outcome.stdout.into_bytes().map_err(Error::io("reading a probe's answer"))?;
        let look = probe::parse(&text).map_err(Error::io("reading a probe's answer"))?;
        let status = |name: &str| {
            let found = look.status.iter().find(|(known, _)| known == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let powerless = ["CapPrm", "CapBnd", "CapAmb"]
            .iter()
            .all(|set| status(set).trim_matches('0').is_empty())
            && status("NoNewPrivs") == "1"
            && (facts.rootless || !status("Uid").starts_with("0\t"));
        let filtered = status("Seccomp") == "2";
        let cores = look.cores;

        let said = |found: &[String], nothing: &str| {
            if found.is_empty() { nothing.to_owned() } else { found.join(", ") }
        };
        let (visible, writable) = (
            said(&look.visible, "nothing foreign is visible"),
            said(&look.writable, "nothing foreign is writable"),
        );
        let hidden = look.visible.is_empty() && look.writable.is_empty();
        let remedy = "mount namespaces must work: run as root, or allow user namespaces";
        self.note(
            Feature::Namespaces,
            "files of the host",
            hidden,
            format!("{visible}; {writable}"),
            remedy,
        );
        let alone = look.processes == 1 || look.processes == 0;
        let detail = format!("{} foreign processes in /proc", look.processes.saturating_sub(1));
        self.note(
            Feature::Namespaces,
            "/proc",
            alone,
            detail,
            "PID namespaces and hidepid must work",
        );
        let detail = said(&look.sockets, "only local sockets can be opened");
        let remedy = "the kernel needs CONFIG_SECCOMP_FILTER";
        self.note(Feature::Seccomp, "network", look.sockets.is_empty(), detail, remedy);
        let detail =
            if filtered { "system calls are filtered" } else { "system calls are not filtered" };
        self.note(Feature::Seccomp, "filter", filtered, detail.into(), remedy);
        let detail = format!(
            "capabilities {}, no new privileges {}, {} open files",
            status("CapPrm"),
            status("NoNewPrivs"),
            look.descriptors
        );
        let powerless = powerless && look.descriptors == 3;
        self.note(
            Feature::Namespaces,
            "privileges",
            powerless,
            detail,
            "this is a bug; please report it",
        );
        let remedy = "sched_setaffinity must be allowed";
        self.note(Feature::Cores, "cores", cores == 1, format!("runs on {cores} core(s)"), remedy);
        Ok(())
    }

    async fn memory(&mut self, depth: Depth) -> Result<(), Error> {
        let limit = 32 << 20;
        let limits = || Limits { memory: limit, ..ample() };
        let outcome = self.probe("memory", 64 << 20, limits()).await?;
        let (found, peak) = (outcome.limit, outcome.memory_peak >> 10);
        let bound = found == Some(Limit::Memory) && outcome.memory_peak <= limit;
        let detail = match found {
            Some(Limit::Memory) => format!("64 MiB wanted, stopped at {peak} KiB of 32 MiB"),
            other => format!("64 MiB wanted with a limit of 32 MiB: {other:?}, {:?}", outcome.exit),
        };
        let remedy = "the memory controller of control groups must be enabled (cgroup_enable=memory at boot)";
        self.note(Feature::Memory, "memory limit", bound, detail, remedy);
        if depth == Depth::Whole {
            let outcome = self.probe("memory", 16 << 20, limits()).await?;
            let peak = outcome.memory_peak;
            let counted = outcome.is_success() && (16 << 20..24 << 20).contains(&peak);
            let detail = format!("16 MiB used, {} KiB counted", peak >> 10);
            self.note(Feature::Memory, "memory count", counted, detail, remedy);
        }
        Ok(())
    }

    async fn processes(&mut self) -> Result<(), Error> {
        let limits = Limits { processes: 8, ..ample() };
        let outcome = self.probe("processes", 100, limits).await?;
        let contained = outcome.processes_refused && outcome.exit == Exit::Code(7);
        let detail = match outcome.exit {
            Exit::Code(count) => {
                format!("100 wanted, {count} started beside the first, with a limit of 8")
            }
            other => format!("100 wanted with a limit of 8: {other:?}"),
        };
        let remedy = "the pids controller of control groups must be enabled";
        self.note(Feature::Processes, "fork bomb", contained, detail, remedy);
        Ok(())
    }

    /// Compares with the process's own clocks. What starting and ending costs is measured and left out, and a
    /// disturbed reading is taken again.
    async fn cpu_counted(&mut self) -> Result<(), Error> {
        let mut best = f64::MAX;
        let mut detail = String::new();
        for _ in 0..5 {
            let (idle, own_idle) = self.spin(0).await?;
            // Long enough that starting and ending, which vary, weigh little: on a slow machine too.
            let time = (idle * 10).clamp(Duration::from_millis(200), Duration::from_secs(5));
            let (busy, own_busy) =
                self.spin(u64::try_from(time.as_millis()).unwrap_or(200)).await?;
            let (counted, own) = (busy.saturating_sub(idle), own_busy.saturating_sub(own_idle));
            let error = (counted.as_secs_f64() / own.as_secs_f64().max(1e-9) - 1.0).abs();
            if error < best {
                best = error;
                detail =
                    format!("{counted:.1?} counted of {own:.1?} used by a program and its child");
            }
            if best <= 0.02 {
                break;
            }
        }
        let remedy = "the cpuacct controller (version 1) or cpu.stat (version 2) must count";
        self.note(Feature::Cpu, "CPU time", best <= 0.02, detail, remedy);
        Ok(())
    }

    /// What was counted for a probe, and what it says it used.
    async fn spin(&mut self, milliseconds: u64) -> Result<(Duration, Duration), Error> {
        let outcome = self.probe("spin", milliseconds, ample()).await?;
        let text = outcome.stdout.into_text().map_err(Error::io("reading a probe's answer"))?;
        let own = Duration::from_nanos(text.trim().parse().unwrap_or(0));
        Ok((outcome.cpu_time, own))
    }

    async fn cpu_limit(&mut self) -> Result<(), Error> {
        let limit = Duration::from_millis(100);
        let outcome = self.probe("spin", 60_000, Limits { cpu: limit, ..ample() }).await?;
        let bound = outcome.limit == Some(Limit::Cpu) && outcome.cpu_time > limit;
        let detail = format!("stopped after {:.1?} of {limit:.1?}", outcome.cpu_time);
        self.note(Feature::Cpu, "CPU limit", bound, detail, "CPU time must be counted");
        Ok(())
    }

    async fn wall_limit(&mut self) -> Result<(), Error> {
        let limit = Duration::from_millis(100);
        let outcome = self.probe("sleep", 60_000, Limits { wall: limit, ..ample() }).await?;
        let bound = outcome.limit == Some(Limit::Wall) && outcome.exit == Exit::Killed;
        let detail =
            format!("a sleeper was stopped after {:.1?} of {limit:.1?}", outcome.wall_time);
        self.note(
            Feature::Namespaces,
            "time limit",
            bound,
            detail,
            "this is a bug; please report it",
        );
        Ok(())
    }

    async fn filter(&mut self) -> Result<(), Error> {
        let outcome = self.probe("trace", 0, ample()).await?;
        let killed = outcome.violation == Some(Violation::SystemCall);
        let detail = format!("a program that traced ended with {:?}", outcome.exit);
        let remedy = "the kernel needs CONFIG_SECCOMP_FILTER";
        self.note(Feature::Seccomp, "forbidden calls", killed, detail, remedy);
        Ok(())
    }
}
