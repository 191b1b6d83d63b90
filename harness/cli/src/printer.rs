//! Standard output and standard error. Results go to standard output, talk goes to standard error.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use pgdrill_report::Style;

/// The width of reports where there is no terminal to ask.
const WIDTH: usize = 100;

/// Whether standard error may be coloured.
pub fn color_on_stderr() -> bool {
    colored(anstream::AutoStream::choice(&io::stderr()), &io::stderr())
}

fn colored(choice: anstream::ColorChoice, stream: &impl IsTerminal) -> bool {
    match choice {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Auto => stream.is_terminal(),
    }
}

/// How reports on standard output look.
pub fn style() -> Style {
    let stdout = io::stdout();
    let width = rustix::termios::tcgetwinsize(&stdout).map_or(WIDTH, |size| usize::from(size.ws_col));
    Style {
        color: colored(anstream::AutoStream::choice(&stdout), &stdout),
        width: if width == 0 { WIDTH } else { width.clamp(40, 140) },
    }
}

/// Writes to standard output. A reader that went away is no error: it has what it wanted.
///
/// # Errors
///
/// A full disk, or another reason for which the output is not where it should be.
pub fn out(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Says something on standard error.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
