//! The test fixture: a sandbox with the rogue program in it, and a check that nothing is left afterwards.

use rustix::thread::{CpuSet, sched_setaffinity};
use sandbox::{Config, Content, Error, Limits, Outcome, RunSpec, Sandbox, Slot, testing};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// A sandbox with a leased slot, and user ids that no other test uses.
pub struct Fixture {
    pub sandbox: Sandbox,
    pub slot: Option<Slot>,
    uid: u32,
}

impl Fixture {
    /// Returns `None` and prints a message if this machine cannot isolate programs.
    pub async fn open() -> Option<Fixture> {
        Fixture::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Option<Fixture> {
        static USERS: AtomicU32 = AtomicU32::new(0);
        let uid = 2_000_000
            + 16 * (std::process::id() % 100_000)
            + 16 * 100_000 * USERS.fetch_add(1, Relaxed);
        let mut config = Config { slots: 1, first_uid: uid, ..testing::config() };
        change(&mut config);
        let sandbox = match Sandbox::start(config).await {
            Ok(sandbox) => sandbox,
            Err(Error::Unavailable(why)) if !required() => {
                eprintln!("\n*** SKIPPED, nothing was tested: {why} ***\n");
                return None;
            }
            Err(error) => panic!("cannot start the sandbox: {error}"),
        };
        let slot = sandbox.lease().await.unwrap();
        let mut fixture = Fixture { sandbox, slot: Some(slot), uid };
        fixture.install_rogue().await;
        Some(fixture)
    }

    pub fn slot(&mut self) -> &mut Slot {
        self.slot.as_mut().unwrap()
    }

    /// Copies the rogue program to `/app`.
    pub async fn install_rogue(&mut self) {
        let program = Content::Path(rogue().to_owned());
        self.slot().put("/app/rogue", program, 0o755).await.unwrap();
    }

    pub async fn run(&mut self, mut spec: RunSpec) -> Outcome {
        let default = Limits::default();
        if spec.limits.cpu == default.cpu {
            (spec.limits.cpu, spec.limits.wall) = (slow(default.cpu), slow(default.wall));
        }
        self.slot().run(spec).await.unwrap()
    }

    /// Runs the rogue program with these arguments and limits.
    pub async fn rogue(&mut self, arguments: &[&str], change: impl FnOnce(&mut Limits)) -> Outcome {
        let mut spec = rogue_spec(arguments);
        change(&mut spec.limits);
        let outcome = self.run(spec).await;
        println!("{arguments:?}: {outcome:?}");
        outcome
    }

    /// Checks that a normal run works, and that no process, mount, cgroup or file is left.
    pub async fn finish(mut self) {
        let spec = RunSpec::new(["/bin/sh", "-c", "ls -A /box /tmp; echo fine"]);
        let outcome = self.run(spec).await;
        assert!(outcome.is_success(), "a normal run afterwards: {outcome:?}");
        let text = outcome.stdout.into_text().unwrap();
        assert_eq!(text, "/box:\n\n/tmp:\nfine\n", "files are left");
        // The init that is prepared for the next run is expected.
        let process = self.slot.as_ref().unwrap().process().unwrap();
        eventually("processes are left", || descendants(process).len() <= 1).await;
        assert_eq!(processes_of(self.uid), 0, "programs are left");
        drop(self.slot);
        self.sandbox.shutdown().await;
        eventually("agon-box is left", || !PathBuf::from(format!("/proc/{process}")).exists())
            .await;
        assert_eq!(self.sandbox.cgroups(), Vec::<PathBuf>::new(), "cgroups are left");
        assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("nr_inodes=16384"));
    }
}

/// A run of the rogue program with small limits.
pub fn rogue_spec(arguments: &[&str]) -> RunSpec {
    let mut spec = RunSpec::new(["/app/rogue"].iter().chain(arguments).copied());
    spec.limits = Limits {
        cpu: slow(Duration::from_secs(4)),
        wall: slow(Duration::from_secs(20)),
        memory: 64 << 20,
        output: 1 << 20,
        processes: 32,
        ..Limits::default()
    };
    spec
}

pub fn required() -> bool {
    std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|value| value == "1")
}

/// Whether the machine is emulated, and too slow for exact times.
pub fn emulated() -> bool {
    std::env::var("AGON_TEST_EMULATED").is_ok_and(|value| value == "1")
}

/// Extends a time on emulated machines.
pub fn slow(time: Duration) -> Duration {
    if emulated() { time * 40 } else { time }
}

/// The path of the rogue program, compiled on first use.
fn rogue() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Box::leak(Box::new(tempfile::tempdir().unwrap()));
        let program = directory.path().join("rogue");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/programs/rogue.c");
        let arguments = ["-O1", "-w", "-pthread", "-o"];
        let status = Command::new("gcc").args(arguments).arg(&program).arg(source).status();
        assert!(status.expect("these tests need gcc").success());
        program
    })
}

/// Threads that keep a core busy until this is dropped.
pub struct Burners(Arc<AtomicBool>);

impl Burners {
    pub fn start(core: usize, count: usize) -> Burners {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut cores = CpuSet::new();
                cores.set(core);
                sched_setaffinity(None, &cores).unwrap();
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Burners(stop)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Waits until a condition is true, and fails after a timeout.
pub async fn eventually(failure: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + slow(Duration::from_secs(20));
    while !condition() {
        assert!(Instant::now() < deadline, "{failure}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn descendants(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn processes_of(uid: u32) -> usize {
    let line = format!("\nUid:\t{uid}\t");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let statuses =
        processes.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    statuses.filter(|status| status.contains(&line)).count()
}
