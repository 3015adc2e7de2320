//! The checks. Each runs a probe in a real container and compares its output with the expectation.

use crate::{
    Check, Config, Error, Exit, Feature, Level, Limit, Limits, Mount, Outcome, Output, Report,
    RunSpec, Sandbox, Slot, Violation,
    helper::{
        PROBE,
        probe::{self, Inspection},
    },
    wire::Facts,
};
use std::time::Duration;

/// The path of this executable in the container.
const PROGRAM: &str = "/opt/agon/probe";

const NOT_FILTERED: &str = "the kernel needs CONFIG_SECCOMP_FILTER";
const BUG: &str = "this is a bug; please report it";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The fast ones, at each start.
    Quick,
    Full,
}

/// Limits that a probe does not reach even on a slow or busy machine.
fn generous() -> Limits {
    let (cpu, wall) = (Duration::from_secs(60), Duration::from_secs(120));
    Limits { cpu, wall, ..Limits::default() }
}

pub async fn run_all(
    sandbox: &Sandbox,
    config: &Config,
    facts: &Facts,
    depth: Depth,
) -> Result<Report, Error> {
    let slot = sandbox.lease().await?;
    let mut checker = Checker { slot, config, checks: Vec::new() };
    checker.detected_features(facts);
    checker.visibility(facts).await?;
    checker.memory(depth).await?;
    checker.processes().await?;
    if depth == Depth::Full {
        checker.cpu_accounting().await?;
        checker.cpu_limit().await?;
        checker.wall_limit().await?;
        checker.forbidden_calls().await?;
    }
    let checks = checker.checks;
    let level = if checks.iter().all(|check| check.passed) { Level::Full } else { Level::Degraded };
    Ok(Report { level, cgroup: sandbox.cgroup_version(), checks })
}

struct Checker<'a> {
    slot: Slot,
    config: &'a Config,
    checks: Vec<Check>,
}

impl Checker<'_> {
    fn record(&mut self, feature: Feature, name: &str, passed: bool, detail: String, remedy: &str) {
        let remedy = (!passed).then(|| remedy.to_owned());
        self.checks.push(Check { name: name.to_owned(), feature, passed, detail, remedy });
    }

    async fn probe(&mut self, name: &str, argument: u64, limits: Limits) -> Result<Outcome, Error> {
        let arguments =
            self.config.arguments.iter().map(|part| part.to_string_lossy().into_owned());
        let words = [PROBE.to_owned(), name.to_owned(), argument.to_string()];
        let mut spec = RunSpec::new([PROGRAM.to_owned()].into_iter().chain(arguments).chain(words));
        // /proc/self/exe cannot be mounted: it refers to a mount of another namespace.
        let source = std::fs::canonicalize(&self.config.program)
            .map_err(Error::io("resolving the path of this executable"))?;
        spec.mounts = vec![Mount { source, target: PROGRAM.into() }];
        spec.stdout = Output::Capture { limit: 64 << 10 };
        spec.limits = limits;
        let outcome = self.slot.run(spec).await?;
        if let Exit::NotStarted(reason) = outcome.exit {
            let message = format!("cannot run this executable in the container: {reason}");
            return Err(Error::Unavailable(message));
        }
        Ok(outcome)
    }

    /// The features that agon-box has already detected.
    fn detected_features(&mut self, facts: &Facts) {
        let users =
            if facts.rootless { "a subordinate user id" } else { "a user id for each slot" };
        for (feature, name, present, remedy) in [
            (
                Feature::Landlock,
                "landlock",
                format!("landlock ABI {}", facts.landlock_abi),
                "enable landlock: CONFIG_SECURITY_LANDLOCK in the kernel, and lsm=landlock,… at boot",
            ),
            (
                Feature::UserPerSlot,
                "users",
                users.to_owned(),
                "run as root, or add ranges for this user to /etc/subuid and /etc/subgid",
            ),
            (
                Feature::NoSwap,
                "swap",
                "programs cannot swap".to_owned(),
                "turn swap off, or boot with swapaccount=1",
            ),
        ] {
            let missing = facts.missing.iter().find(|(missing, _)| *missing == feature);
            let detail = missing.map_or(present, |(_, reason)| reason.clone());
            self.record(feature, name, missing.is_none(), detail, remedy);
        }
    }

    async fn visibility(&mut self, facts: &Facts) -> Result<(), Error> {
        let outcome = self.probe("inspect", 0, generous()).await?;
        let reading = || Error::io("reading the output of a probe");
        let text = outcome.stdout.into_bytes().map_err(reading())?;
        let found = probe::parse(&text).map_err(reading())?;
        let list = |names: &[String], none: &str| {
            if names.is_empty() { none.to_owned() } else { names.join(", ") }
        };
        let visible = list(&found.visible, "no host files are visible");
        let writable = list(&found.writable, "no host directories are writable");
        let hidden = found.visible.is_empty() && found.writable.is_empty();
        let detail = format!("{visible}; {writable}");
        let remedy = "mount namespaces must work: run as root, or allow user namespaces";
        self.record(Feature::Namespaces, "host files", hidden, detail, remedy);
        // The init may be visible; the probe itself is not counted.
        let alone = found.processes <= 1;
        let detail = format!("{} other processes in /proc", found.processes.saturating_sub(1));
        let remedy = "PID namespaces and the mount option hidepid must work";
        self.record(Feature::Namespaces, "/proc", alone, detail, remedy);
        let detail = list(&found.sockets, "only local sockets can be opened");
        let closed = found.sockets.is_empty();
        self.record(Feature::Seccomp, "network", closed, detail, NOT_FILTERED);
        self.privileges(facts, &found);
        let detail = format!("programs run on {} core(s)", found.cores);
        let remedy = "sched_setaffinity must be permitted";
        self.record(Feature::Cores, "cores", found.cores == 1, detail, remedy);
        Ok(())
    }

    fn privileges(&mut self, facts: &Facts, found: &Inspection) {
        let status = |name: &str| {
            let entry = found.status.iter().find(|(known, _)| known == name);
            entry.map_or("", |(_, value)| value.as_str())
        };
        let filtered = status("Seccomp") == "2";
        let are = if filtered { "are" } else { "are not" };
        let detail = format!("system calls {are} filtered");
        self.record(Feature::Seccomp, "filter", filtered, detail, NOT_FILTERED);
        let unprivileged = ["CapPrm", "CapBnd", "CapAmb"]
            .iter()
            .all(|set| status(set).trim_matches('0').is_empty())
            && status("NoNewPrivs") == "1"
            && (facts.rootless || !status("Uid").starts_with("0\t"))
            && found.descriptors == 3;
        let (capabilities, restricted) = (status("CapPrm"), status("NoNewPrivs"));
        let detail = format!(
            "capabilities {capabilities}, no new privileges {restricted}, {} open files",
            found.descriptors
        );
        self.record(Feature::Namespaces, "privileges", unprivileged, detail, BUG);
    }

    async fn memory(&mut self, depth: Depth) -> Result<(), Error> {
        let limit = 32 << 20;
        let limits = || Limits { memory: limit, ..generous() };
        let outcome = self.probe("memory", 64 << 20, limits()).await?;
        let (exceeded, peak) = (outcome.limit, outcome.memory_peak >> 10);
        let enforced = exceeded == Some(Limit::Memory) && outcome.memory_peak <= limit;
        let detail = match exceeded {
            Some(Limit::Memory) => format!("allocating 64 MiB stopped at {peak} KiB, limit 32 MiB"),
            _ => format!("a program that allocated 64 MiB, limit 32 MiB, {}", outcome.exit),
        };
        let remedy = "enable the cgroup memory controller (cgroup_enable=memory at boot)";
        self.record(Feature::Memory, "memory limit", enforced, detail, remedy);
        if depth == Depth::Full {
            let outcome = self.probe("memory", 16 << 20, limits()).await?;
            let peak = outcome.memory_peak;
            let counted = outcome.is_success() && (16 << 20..24 << 20).contains(&peak);
            let detail = format!("16 MiB allocated, {} KiB counted", peak >> 10);
            self.record(Feature::Memory, "memory count", counted, detail, remedy);
        }
        Ok(())
    }

    async fn processes(&mut self) -> Result<(), Error> {
        let limits = Limits { processes: 8, ..generous() };
        let outcome = self.probe("processes", 100, limits).await?;
        let contained = outcome.processes_refused && outcome.exit == Exit::Code(7);
        let detail = match outcome.exit {
            Exit::Code(count) => {
                format!("{count} of 100 children started, limit 8 with the parent")
            }
            other => format!("starting 100 children, limit 8: {other:?}"),
        };
        let remedy = "enable the cgroup pids controller";
        self.record(Feature::Processes, "fork bomb", contained, detail, remedy);
        Ok(())
    }

    /// Compares the counted CPU time with the clock of the process itself. Subtracts the cost of starting and
    /// ending a process, and repeats an inaccurate measurement.
    async fn cpu_accounting(&mut self) -> Result<(), Error> {
        let mut best = f64::MAX;
        let mut detail = String::new();
        for _ in 0..5 {
            let (idle, own_idle) = self.spin(0).await?;
            // Long compared with the cost of starting a process, also on a slow machine.
            let time = (idle * 10).clamp(Duration::from_millis(200), Duration::from_secs(5));
            let (busy, own_busy) =
                self.spin(u64::try_from(time.as_millis()).unwrap_or(200)).await?;
            let (counted, own) = (busy.saturating_sub(idle), own_busy.saturating_sub(own_idle));
            let error = (counted.as_secs_f64() / own.as_secs_f64().max(1e-9) - 1.0).abs();
            if error < best {
                best = error;
                detail =
                    format!("{counted:.1?} counted, {own:.1?} used by a program and its child");
            }
            if best <= 0.02 {
                break;
            }
        }
        let remedy = "enable the cpuacct controller (cgroup v1) or check cpu.stat (cgroup v2)";
        self.record(Feature::Cpu, "CPU time", best <= 0.02, detail, remedy);
        Ok(())
    }

    /// The CPU time that was counted for a probe, and the CPU time that the probe measured itself.
    async fn spin(&mut self, milliseconds: u64) -> Result<(Duration, Duration), Error> {
        let outcome = self.probe("spin", milliseconds, generous()).await?;
        let text =
            outcome.stdout.into_text().map_err(Error::io("reading the output of a probe"))?;
        let own = Duration::from_nanos(text.trim().parse().unwrap_or(0));
        Ok((outcome.cpu_time, own))
    }

    async fn cpu_limit(&mut self) -> Result<(), Error> {
        let limit = Duration::from_millis(100);
        let outcome = self.probe("spin", 60_000, Limits { cpu: limit, ..generous() }).await?;
        let enforced = outcome.limit == Some(Limit::Cpu) && outcome.cpu_time > limit;
        let detail = format!("stopped after {:.1?}, limit {limit:.1?}", outcome.cpu_time);
        self.record(Feature::Cpu, "CPU limit", enforced, detail, "CPU time must be counted");
        Ok(())
    }

    async fn wall_limit(&mut self) -> Result<(), Error> {
        let limit = Duration::from_millis(100);
        let outcome = self.probe("sleep", 60_000, Limits { wall: limit, ..generous() }).await?;
        let enforced = outcome.limit == Some(Limit::Wall) && outcome.exit == Exit::Killed;
        let detail = format!("stopped after {:.1?}, limit {limit:.1?}", outcome.wall_time);
        self.record(Feature::Namespaces, "time limit", enforced, detail, BUG);
        Ok(())
    }

    async fn forbidden_calls(&mut self) -> Result<(), Error> {
        let outcome = self.probe("ptrace", 0, generous()).await?;
        let killed = outcome.violation == Some(Violation::SystemCall);
        let detail = format!("a program that called ptrace {}", outcome.exit);
        self.record(Feature::Seccomp, "forbidden calls", killed, detail, NOT_FILTERED);
        Ok(())
    }
}
