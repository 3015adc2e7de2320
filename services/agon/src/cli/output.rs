//! What commands print. A reader that has seen enough (`| head`) is no error.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write, stdout};

/// What a shell calls the end of a program whose reader is gone: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Prints a line, like `println!`.
macro_rules! print_line {
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}

/// Prints a line.
pub fn line(text: Arguments<'_>) {
    write(format_args!("{text}\n"));
}

/// Prints a text as it is.
pub fn text(text: impl Display) {
    write(format_args!("{text}"));
}

fn write(text: Arguments<'_>) {
    let mut out = stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(READER_GONE),
        // Standard output on a full disk, say: a command has nowhere else to say it than here.
        Err(error) => eprintln!("agon: cannot print: {error}"),
        Ok(()) => {}
    }
}
