//! Lets a test or benchmark binary be its own agon-box, although its `main` belongs to a test harness.

use crate::Config;

/// The argument that makes a test binary run as agon-box.
const ARGUMENT: &str = "agon-test-box";

/// A configuration that runs the current test binary as agon-box.
pub fn config() -> Config {
    Config { arguments: vec![ARGUMENT.into()], ..Config::default() }
}

/// Runs before `main` in every binary that links this module.
extern "C" fn before_main() {
    let arguments = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0).skip(1);
    if arguments.next() == Some(ARGUMENT.as_bytes()) {
        std::process::exit(crate::helper::main());
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;
