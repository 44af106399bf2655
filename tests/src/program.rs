//! The program under test, run as a person runs it: as a process, by its command line, on a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run that takes longer hangs. Far beyond what a run needs, because machines are slow in many ways.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where the topologies are.
pub fn topologies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies")
}

/// The folder of this build: a test is in `target/PROFILE/deps`.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors().nth(2).expect("a test is in target/PROFILE/deps").to_owned()
}

/// A folder that is kept between runs of the tests, for what takes long to get; `cargo clean` removes it.
pub fn kept(name: &str) -> PathBuf {
    profile().parent().expect("the target folder").join("tmp").join(name)
}

/// The program: `cargo test` builds it with these tests, as an example beside them (`examples/` next to `deps/`).
fn binary() -> PathBuf {
    let program = profile().join("examples").join(format!("engine-under-test{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is not there: `cargo test` builds it, `--test system` alone does not",
        program.display()
    );
    program
}

/// One run of the program.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; none if it was killed.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Engine {
    /// `engine VERB`.
    pub fn new(verb: &str) -> Self {
        Engine { arguments: vec![verb.to_owned()], ..Engine::default() }
    }

    /// `engine run TOPOLOGY --data DATA`.
    pub fn run(topology: &Path, data: &Path) -> Self {
        let engine = Engine::new("run").arg(topology.display()).arg("--data").arg(data.display());
        // The usual port belongs to whoever was first.
        engine.arg("--metrics-port").arg(0)
    }

    /// The simulated run of a topology.
    pub fn simulate(topology: &Path, data: &Path, seed: u64, events: u64) -> Self {
        Engine::run(topology, data).arg("--sim").arg("--seed").arg(seed).arg("--events").arg(events)
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// The folder that it is started in.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// A variable of the environment, which is empty otherwise.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts it; what it says goes into the files `out` and `err` of `folder`.
    pub fn start(&self, folder: &Path) -> Started {
        let [out, err] = ["out", "err"].map(|name| folder.join(name));
        let file = |path: &Path| std::fs::File::create(path).expect("a file for what the program says");
        let child = Command::new(binary())
            .args(&self.arguments)
            .current_dir(self.folder.as_deref().unwrap_or(Path::new(".")))
            .env_clear()
            // Where nobody looks for files, whatever the program would take by itself.
            .env("LOG_DIR", folder.join("logs"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("the program starts");
        Started { child, out, err }
    }

    /// Runs it once more on `data`, where everything is there already: it says what it `said` and touches no file but those that
    /// `may_change`, and the one that counts its runs.
    pub fn assert_nothing_to_do(&self, data: &Path, said: &str, may_change: impl Fn(&str) -> bool) {
        let before = files(data);
        assert_eq!(self.finish().expect(0).out, said);
        for (name, content) in files(data).iter().filter(|(name, _)| *name != "sim/runs" && !may_change(name)) {
            assert!(before.get(name) == Some(content), "{name} was touched by a run that had nothing to do");
        }
    }

    /// Runs it while nobody reads what it says, like `engine … | true`; its exit status.
    pub fn unread(&self) -> Option<i32> {
        let (folder, ours) = (tempfile::tempdir().expect("a folder"), std::io::pipe().expect("a pipe"));
        let (reader, writer) = ours;
        drop(reader);
        let mut child = Command::new(binary())
            .args(&self.arguments)
            .env_clear()
            .env("LOG_DIR", folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .spawn()
            .expect("the program starts");
        child.wait().expect("its exit status").code()
    }

    /// Runs it to its end.
    pub fn finish(&self) -> Ended {
        let folder = tempfile::tempdir().expect("a folder");
        self.start(folder.path()).finish()
    }
}

/// A program that runs. It is killed when this is dropped.
pub struct Started {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Started {
    /// Waits until `done` says so or the program has ended. Returns whether it still runs.
    pub fn wait_until(&mut self, mut done: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if self.child.try_wait().expect("the program's state").is_some() {
                return false;
            }
            if done() {
                return true;
            }
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("the program hangs; it said:\n{}", tail(&read(&self.err)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Ended {
        self.wait_until(|| false);
        let status = self.child.wait().expect("the program's status").code();
        Ended { status, out: read(&self.out), err: read(&self.err) }
    }

    /// Kills it, as a machine that loses its power would.
    pub fn kill(mut self) {
        self.child.kill().expect("the program can be killed");
        self.child.wait().expect("the program is gone");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails unless it ended with `status`.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.out, tail(&self.err));
        self
    }
}

/// The content of every file below `folder`, by its path there.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                match std::fs::read(&path) {
                    Ok(content) => _ = found.insert(name, content),
                    // A program that runs has moved it on.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => panic!("{}: {error}", path.display()),
                }
            }
        }
    }
    found
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).expect("what the program said")).into_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
