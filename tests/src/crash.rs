//! Runs that are killed again and again.

use std::path::Path;

use crate::program::Engine;

/// How far a run is: what was emitted, answered, served and committed. It only grows.
pub fn progress(data: &Path) -> usize {
    let lines = |name: &str| {
        std::fs::read(data.join("sim").join(name)).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count())
    };
    let commits =
        |table: std::fs::DirEntry| std::fs::read_dir(table.path().join("_delta_log")).map_or(0, Iterator::count);
    let tables = std::fs::read_dir(data.join("tables")).map_or(0, |tables| tables.flatten().map(commits).sum());
    lines("emitted.jsonl") + lines("answers.jsonl") + lines("files.jsonl") + 20 * tables
}

/// Starts the simulated run `kills` times and kills it each time somewhere, looks with `visible` at what a reader sees then, and at
/// last lets it go on to its end. `draw` says where.
pub async fn killed_and_finished(simulate: &Engine, data: &Path, kills: usize, mut draw: u64, visible: impl AsyncFn()) {
    let mut killed = 0;
    for _ in 0..kills {
        // Far enough that each kill meets new work, and not so far that the run ends before the last of them.
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let goal = progress(data) + 50 + (draw >> 33) as usize % 350;
        let folder = tempfile::tempdir().unwrap();
        let mut run = simulate.start(folder.path());
        if run.wait_until(|| progress(data) >= goal) {
            run.kill();
            killed += 1;
            visible().await;
        }
    }
    assert!(killed >= 3, "killed {killed} times only");
    simulate.finish().expect(0);
}
