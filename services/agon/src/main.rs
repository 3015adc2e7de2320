//! The program `agon`.

fn main() -> std::process::ExitCode {
    agon::main()
}
