//! The program `engine`.

use std::process::ExitCode;

/// Rows and messages are many small pieces made on one thread and dropped on another: the system's allocator keeps a quarter
/// more memory for them, and spends a tenth more time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    engine::cli::main()
}
