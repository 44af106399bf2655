//! What the program says, and to whom: news to standard error, what was asked for to standard output.
//!
//! Whoever reads may have enough (`engine query … | head`). That is no failure: nothing more is said, and the exit status is
//! that of the work.

use std::io::{ErrorKind, Write};

use super::Failed;

/// Says `text`, a line, to whoever runs the program.
pub(super) fn say(text: impl std::fmt::Display) {
    // Standard error is the last place to complain to.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Puts out a text that was asked for, as it is.
pub(super) fn put(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failed::running(vec![format!("standard output: {error}")]))
        }
        _ => Ok(()),
    }
}
