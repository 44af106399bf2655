//! The program `engine`.

use std::process::ExitCode;

/// Rows and messages are many small pieces made on one thread and dropped on another, and the allocator is a fifth of the time.
/// Which one keeps the least memory for them is not settled: see `benches/README.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    engine::cli::main()
}
