//! What a test needs that a machine may lack: another program, packages of another language.
//!
//! With `ENGINE_TESTS=all` whatever is missing is a failure; `.ci/run` sets it. Without, the test says on standard error that
//! it did not run and why, whatever the harness keeps to itself, and passes.

use std::io::Write as _;

/// Whether `test` can run. `need` is what it found out: nothing is missing, or what is.
#[track_caller]
pub fn met(test: &str, need: Result<(), String>) -> bool {
    let Err(missing) = need else { return true };
    let all = std::env::var("ENGINE_TESTS").is_ok_and(|which| which == "all");
    assert!(!all, "{test} cannot run, and ENGINE_TESTS=all wants it to: {missing}");
    // Not `eprintln!`: the harness keeps what that says when a test passes.
    let told = writeln!(std::io::stderr(), "NOT RUN: {test}: {}", missing.trim());
    told.expect("standard error");
    false
}

/// Runs a command to its end. An error is what it said, or that it is not there.
pub fn command(command: &mut std::process::Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdin(std::process::Stdio::null()).output().map_err(|e| format!("{name}: {e}"))?;
    let [out, err] = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    if ended.status.success() { Ok(out) } else { Err(format!("{name} ended with {}: {out}{err}", ended.status)) }
}
