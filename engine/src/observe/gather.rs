//! Reads the values of all metrics off the runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use connectors::clock::Micros;

use super::lag::Standing;
use super::series::{self, Kind, Series};
use super::{Flow, Subject};
use crate::dataflow::count::{BOUNDS, Durations};

/// The value of a series for one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram: how many were within each bound of [`BOUNDS`] and beyond the last, and the sum of all in seconds.
    Histogram([u64; BOUNDS.len() + 1], f64),
}

/// The values of all series at one moment, by name and by the values of the labels.
#[derive(Clone, Debug, Default)]
pub struct Values(pub BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>);

impl Values {
    fn put(&mut self, series: &'static Series, labels: &[&str], value: Value) {
        debug_assert_eq!(series.labels.len(), labels.len(), "{}", series.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let known = self.0.entry(series.name).or_default().entry(labels);
        let add = |known: &mut Value| match (known, &value) {
            (Value::Number(known), Value::Number(more)) if series.kind == Kind::Highest => *known = known.max(*more),
            (Value::Number(known), Value::Number(more)) => *known += more,
            (Value::Histogram(known, sum), Value::Histogram(more, seconds)) => {
                known.iter_mut().zip(more).for_each(|(known, more)| *known += more);
                *sum += seconds;
            }
            _ => {}
        };
        known.and_modify(add).or_insert(value);
    }

    fn count(&mut self, series: &'static Series, labels: &[&str], value: u64) {
        self.put(series, labels, Value::Number(value as f64));
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The values of all series at `now`, of a process that began at `begun`. `standing` is where the groups stand.
pub fn gather(subjects: &[Subject], standing: &[Standing], now: Micros, begun: Micros) -> Values {
    let mut values = Values::default();
    values.put(&series::START, &[], Value::Number(begun as f64 / 1e6));
    for subject in subjects {
        let topology = subject.plan.name.as_str();
        for flow in &subject.flows {
            of_flow(&mut values, topology, flow, now);
        }
        for (connection, client) in subject.outside.clients() {
            let at = [topology, connection.as_str()];
            let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
            for (class, count) in classes.into_iter().zip(client.statuses) {
                values.count(&series::CALLS, &[topology, connection, class], count);
            }
            values.count(&series::CALLS_OPEN, &at, client.under_way);
            values.count(&series::CALL_RETRIES, &at, client.retries);
            values.count(&series::REJECTIONS, &at, client.rejections);
            values.count(&series::LIMIT, &at, client.limit as u64);
            values.count(&series::BREAKER, &at, client.breaker as u64);
            values.count(&series::ANSWERS, &at, client.bytes);
        }
    }
    for standing in standing {
        match standing {
            Standing::Behind { topology, flow, group, topic, partition, messages } => {
                let labels = [topology.as_str(), flow, group, topic, &partition.to_string()];
                values.count(&series::LAG, &labels, *messages);
            }
            Standing::Dead { topology, flow, topic, messages } => {
                values.count(&series::DEAD, &[topology, flow, topic], *messages);
            }
        }
    }
    values
}

fn of_flow(values: &mut Values, topology: &str, flow: &Flow, now: Micros) {
    let (name, stats, control) = (flow.name.as_str(), &flow.stats, &flow.control);
    let at = [topology, name];
    values.count(&series::MESSAGES, &at, load(&stats.messages));
    for (outcome, count) in [("done", &stats.done), ("skipped", &stats.skipped)] {
        values.count(&series::OUTCOMES, &[topology, name, outcome, ""], load(count));
    }
    for (outcome, counts) in [("retried", &stats.retried), ("dead", &stats.dead)] {
        for (category, count) in counts.each() {
            values.count(&series::OUTCOMES, &[topology, name, outcome, category.as_str()], count);
        }
    }
    for (stage, counts) in &stats.failures {
        // A series for each stage and category would be mostly zeroes.
        for (category, count) in counts.each().filter(|(_, count)| *count > 0) {
            values.count(&series::FAILURES, &[topology, name, stage, category.as_str()], count);
        }
    }
    values.count(&series::RECORDS, &at, load(&stats.sent));
    for (table, counts) in &stats.tables {
        let at = [topology, name, table.as_str()];
        values.count(&series::ROWS, &at, load(&counts.rows));
        values.count(&series::PATCHES, &at, load(&counts.patches));
        values.count(&series::REFUSALS, &at, load(&counts.refusals));
        values.put(&series::COMMITS, &at, histogram(&counts.durations));
    }
    values.count(&series::IN_FLIGHT, &at, control.in_flight() as u64);
    values.count(&series::BUDGET, &at, control.budget() as u64);
    values.put(&series::FRONTIER, &at, Value::Number(frontier_lag(flow, now)));
    values.count(&series::PARTITIONS, &at, control.assigned().max(0).unsigned_abs());
    values.count(&series::REFRESHES, &at, load(&stats.refreshes));
    for (action, count) in [("downloaded", &stats.downloads), ("uploaded", &stats.uploads)] {
        values.count(&series::FILES, &[topology, name, action], load(count));
    }
}

fn histogram(durations: &Durations) -> Value {
    Value::Histogram(durations.counts(), durations.seconds())
}

/// The age of the oldest work of a flow that is not durable, in seconds.
fn frontier_lag(flow: &Flow, now: Micros) -> f64 {
    let durable = flow.stats.durable.load(Ordering::Relaxed);
    if durable == 0 || flow.control.in_flight() == 0 {
        return 0.0;
    }
    (now / 1000 - durable).max(0) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_become_one_series() {
        let mut values = Values::default();
        let at = ["shop", "orders"];
        for number in [2, 3] {
            values.count(&series::MESSAGES, &at, number);
            values.count(&series::FRONTIER, &at, number);
            values.put(&series::COMMITS, &["shop", "orders", "t"], Value::Histogram([number; BOUNDS.len() + 1], 0.5));
        }
        let of = |series: &Series, labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
            values.0.get(series.name).and_then(|v| v.get(&labels)).cloned()
        };
        assert_eq!(of(&series::MESSAGES, &at), Some(Value::Number(5.0)));
        assert_eq!(of(&series::FRONTIER, &at), Some(Value::Number(3.0)));
        let commits = of(&series::COMMITS, &["shop", "orders", "t"]);
        assert_eq!(commits, Some(Value::Histogram([5; BOUNDS.len() + 1], 1.0)));
    }
}
