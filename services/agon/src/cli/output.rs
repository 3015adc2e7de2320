//! Standard output of commands. A closed pipe (`| head`) ends the program without an error message.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write, stdout};

/// Exit code of a program that SIGPIPE ended: 128 + 13.
const SIGPIPE_EXIT_CODE: i32 = 141;

/// Prints a line, like `println!`.
macro_rules! print_line {
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}

pub fn line(text: Arguments<'_>) {
    write(format_args!("{text}\n"));
}

/// Prints a text without adding a line break.
pub fn print(text: impl Display) {
    write(format_args!("{text}"));
}

/// A number and its noun, which ends in `s` unless the number is 1.
pub fn counted(count: impl Display, noun: &str) -> String {
    let count = count.to_string();
    let ending = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

fn write(text: Arguments<'_>) {
    let mut out = stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            std::process::exit(SIGPIPE_EXIT_CODE)
        }
        Err(error) => eprintln!("agon: cannot write to standard output: {error}"),
        Ok(()) => {}
    }
}
