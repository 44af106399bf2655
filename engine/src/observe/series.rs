//! The catalogue of metrics: names, kinds, labels, meanings.
//!
//! Names and units are Prometheus's: base units, `_total` for what only grows. Labels are bounded by the topologies: names of
//! theirs, partitions, categories, classes of statuses; never an id, an address or a message. Several instances of a flow in
//! one process are one series.

/// How a metric behaves, and how the values of several instances become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; shown with `_total` behind its name. Instances add up.
    Counter,
    /// Goes up and down. Instances add up.
    Sum,
    /// Goes up and down. Of several instances the highest counts.
    Highest,
    /// Durations by upper bound. Instances add up.
    Histogram,
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Series {
    /// Its name, for a counter without `_total`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What tells its values apart.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($id:ident $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub static $id: Series =
            Series { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// All metrics, in the order in which they are shown.
        pub static ALL: &[&Series] = &[$(&$id),*];
    };
}

catalogue! {
    START "process_start_time_seconds" Highest [] "When the process started, in seconds since 1970.";
    MESSAGES "engine_messages" Counter ["topology", "flow"] "Messages that entered a flow, retries included.";
    OUTCOMES "engine_outcomes" Counter ["topology", "flow", "outcome", "category"]
        "Messages by what they ended as: done, skipped, retried or dead, the last two with the category of the failure.";
    FAILURES "engine_failures" Counter ["topology", "flow", "stage", "category"]
        "Messages that failed, by the stage or block where they did; source: they could not be read.";
    RECORDS "engine_records_sent" Counter ["topology", "flow"] "Records written to topics, retries and dead letters included.";
    ROWS "engine_rows" Counter ["topology", "flow", "table"] "Rows committed to a table, after consolidation.";
    PATCHES "engine_patches" Counter ["topology", "flow", "table"] "Patches of rows that reached a table's sink.";
    COMMITS "engine_commit_duration_seconds" Histogram ["topology", "flow", "table"]
        "How long commits of a table took, waits for its parents and for other tries included.";
    REFUSALS "engine_commit_failures" Counter ["topology", "flow", "table"] "Tries of commits that the store refused.";
    IN_FLIGHT "engine_in_flight_bytes" Sum ["topology", "flow"] "Memory of messages and rows that are not durable yet.";
    BUDGET "engine_budget_bytes" Sum ["topology", "flow"] "Memory that a flow may use for them; at this its source rests.";
    FRONTIER "engine_frontier_lag_seconds" Highest ["topology", "flow"]
        "The age of the oldest work that is not durable; 0 when nothing is in flight.";
    PARTITIONS "engine_assigned_partitions" Sum ["topology", "flow"] "Partitions that a flow reads, of its retry topics too.";
    LAG "engine_consumer_lag_messages" Highest ["topology", "flow", "group", "topic", "partition"]
        "Messages between a group's committed position and the end of a partition.";
    DEAD "engine_dead_letters" Highest ["topology", "flow", "topic"] "Messages that are in a flow's dead letter topic now.";
    CALLS "engine_calls" Counter ["topology", "connection", "status"]
        "Requests to an API by the class of the answer's status; none: there was no answer.";
    CALLS_OPEN "engine_calls_in_flight" Sum ["topology", "connection"] "Requests that wait for their answer.";
    CALL_RETRIES "engine_call_retries" Counter ["topology", "connection"] "Requests that the client sent again after a failure.";
    REJECTIONS "engine_call_rejections" Counter ["topology", "connection"] "Calls that an open circuit breaker kept back.";
    LIMIT "engine_call_limit" Highest ["topology", "connection"] "Requests to an API at a time: its concurrency, less while it refuses or is slow.";
    BREAKER "engine_breaker_state" Highest ["topology", "connection"] "The circuit breaker: 0 closed, 1 open, 2 half open.";
    ANSWERS "engine_answer_bytes" Counter ["topology", "connection"] "Bytes of answers.";
    REFRESHES "engine_link_refreshes" Counter ["topology", "flow"] "Links that were asked for anew: the old one had expired or was refused.";
    FILES "engine_files" Counter ["topology", "flow", "action"] "Files that were downloaded or uploaded.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        for series in ALL {
            assert!(plain(series.name) && series.labels.iter().all(|l| plain(l)), "{}", series.name);
            assert!(!series.name.ends_with("_total") && series.help.ends_with('.'), "{}", series.name);
            let bounded = ["id", "url", "key", "message", "path", "offset"];
            assert!(series.labels.iter().all(|label| !bounded.contains(label)), "{}", series.name);
        }
        let mut names: Vec<_> = ALL.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "every name once");
    }
}
