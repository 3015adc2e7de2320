//! For tests and benchmarks: lets their binary be its own agon-box, although its `main` belongs to a test harness.

use crate::Config;

/// What makes a process of a test binary a box.
const ARGUMENT: &str = "agon-box-of-a-test";

/// A configuration which runs the current test binary as the box.
pub fn config() -> Config {
    Config { arguments: vec![ARGUMENT.into()], ..Config::default() }
}

/// Runs before `main`, in every binary which uses [`config`].
extern "C" fn before_main() {
    let arguments = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0).skip(1);
    if arguments.next() == Some(ARGUMENT.as_bytes()) {
        std::process::exit(crate::boxed::main());
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;
