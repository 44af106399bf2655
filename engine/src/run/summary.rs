//! What a run left behind, read from what it left: tables, topics and files, never from counters. A run that had finished
//! before shows the same.

use std::fmt;

use connectors::Result;

use super::Outside;
use crate::plan::Plan;

/// What a run left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// For each table its name, its rows and where it is; of a table that is not written what was computed in this run.
    pub tables: Vec<(String, u64, String)>,
    /// Files in the stores that flows upload to, and where.
    pub files: Vec<(String, u64, String)>,
    /// Messages that were ever written to retry topics.
    pub retries: u64,
    /// Dead letters by topic.
    pub dead: Vec<(String, u64)>,
}

impl Summary {
    /// Of the flows that `outside` is connected for.
    pub async fn read(plan: &Plan, outside: &Outside) -> Result<Self> {
        let mut summary = Summary::default();
        for (name, open) in outside.tables() {
            let stats = open.table.stats().await?;
            let place = if open.written { open.plan.url.as_str() } else { "computed, not written" };
            summary.tables.push((name.clone(), stats.rows, place.to_owned()));
        }
        for (name, url, count) in outside.files().await? {
            summary.files.push((name, count, url));
        }
        for flow in outside.flows(plan) {
            let retry = &flow.source.retry;
            if retry.connection.is_empty() {
                continue;
            }
            let log = outside.log(&retry.connection)?;
            for topic in retry.topics() {
                summary.retries += log.bounds(topic).await?.iter().map(|b| b.high.unsigned_abs()).sum::<u64>();
            }
            if !retry.dead_letter.is_empty() {
                let bounds = log.bounds(&retry.dead_letter).await?;
                let count = bounds.iter().map(|b| (b.high - b.low).unsigned_abs()).sum();
                summary.dead.push((retry.dead_letter.clone(), count));
            }
        }
        Ok(summary)
    }

    /// All dead letters.
    pub fn dead_letters(&self) -> u64 {
        self.dead.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.tables.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max(12);
        writeln!(f, "tables")?;
        for (name, rows, url) in &self.tables {
            writeln!(f, "  {name:width$}  {rows:>8} rows  {url}")?;
        }
        for (name, count, url) in &self.files {
            writeln!(f, "files\n  {name:width$}  {count:>8} files {url}")?;
        }
        writeln!(f, "retries {}", self.retries)?;
        writeln!(f, "dead letters {}", self.dead_letters())?;
        for (topic, count) in self.dead.iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "  {topic}  {count}")?;
        }
        Ok(())
    }
}
