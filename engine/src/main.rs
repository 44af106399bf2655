//! The program `engine`.

use std::process::ExitCode;

fn main() -> ExitCode {
    engine::cli::main()
}
