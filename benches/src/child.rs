//! An engine process, watched from outside through `/proc`: processor time and the largest memory it held.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process took.
pub struct Usage {
    /// From its start to its end.
    pub wall: Duration,
    /// Of all processors, user and system.
    pub processor: Duration,
    /// The largest resident memory, in MiB.
    pub memory_mib: f64,
}

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that Rust's standard library runs on.
const TICKS: f64 = 100.0;

/// Runs the engine with `arguments`, with nothing but `environment`, until it ends by itself. Its log goes to `log`. `under`
/// is a command to run it under, such as `perf record -g`; memory and processor time are then those of that command.
pub async fn run(
    under: &[String],
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
    log: &Path,
) -> Result<Usage, String> {
    let failed = |what: &str, e: std::io::Error| format!("{what}: {e}");
    let program = std::env::current_exe().map_err(|e| failed("own path", e))?;
    let file = std::fs::File::create(log).map_err(|e| failed("log", e))?;
    let output = file.try_clone().map_err(|e| failed("log", e))?;
    let began = Instant::now();
    let mut words = under.iter().map(Into::into).chain([program.into_os_string()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(file);
    let mut child = command.spawn().map_err(|e| failed("start", e))?;
    let (mut processor, mut memory_mib) = (Duration::ZERO, 0.0_f64);
    loop {
        // What a process took stays readable until it is waited for, its memory until it ends.
        processor = ticks(child.id()).unwrap_or(processor);
        memory_mib = memory_mib.max(peak_mib(child.id()).unwrap_or(0.0));
        if let Some(status) = child.try_wait().map_err(|e| failed("wait", e))? {
            let usage = Usage { wall: began.elapsed(), processor, memory_mib };
            let text = std::fs::read_to_string(log).unwrap_or_default();
            return if status.success() { Ok(usage) } else { Err(format!("the engine ended with {status}:\n{text}")) };
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ticks(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let of = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Duration::from_secs_f64((of(11)? + of(12)?) / TICKS))
}

fn peak_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
