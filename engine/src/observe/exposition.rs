//! Values as Prometheus reads them: the OpenMetrics text format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text as openmetrics};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::gather::{Value, Values};
use super::series::{ALL, Kind};
use crate::dataflow::count::BOUNDS;

/// The type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names of labels and their values.
type Labels = Vec<(&'static str, String)>;

impl Collector for Values {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for series in ALL {
            let Some(values) = self.0.get(series.name).filter(|values| !values.is_empty()) else { continue };
            let kind = match series.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Sum | Kind::Highest => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            // The encoder ends the sentence itself.
            let help = series.help.trim_end_matches('.');
            let mut metric = encoder.encode_descriptor(series.name, help, None, kind)?;
            for (labels, value) in values {
                let labels: Labels = series.labels.iter().copied().zip(labels.iter().cloned()).collect();
                if labels.is_empty() {
                    if let Value::Number(number) = value {
                        metric.encode_gauge(number)?;
                    }
                    continue;
                }
                let mut one = metric.encode_family(&labels)?;
                match value {
                    Value::Number(number) if series.kind == Kind::Counter => {
                        one.encode_counter::<Labels, f64, f64>(number, None)?;
                    }
                    Value::Number(number) => one.encode_gauge(number)?,
                    Value::Histogram(counts, seconds) => {
                        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e3).chain([f64::INFINITY]);
                        let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
                        one.encode_histogram::<Labels>(*seconds, counts.iter().sum(), &buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The text of `values`.
pub fn text(values: Values) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(values));
    let mut out = String::new();
    openmetrics::encode(&mut out, &registry)?;
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::observe::series;

    #[test]
    fn counters_gauges_and_histograms() {
        let mut values = Values::default();
        let mut put = |series: &'static series::Series, labels: &[&str], value| {
            let labels = labels.iter().map(|l| (*l).to_owned()).collect();
            values.0.entry(series.name).or_default().insert(labels, value);
        };
        put(&series::MESSAGES, &["shop", "a \"b\"\n"], Value::Number(3.0));
        put(&series::START, &[], Value::Number(1.5));
        put(&series::BREAKER, &["shop", "api"], Value::Number(2.0));
        let mut counts = [0; BOUNDS.len() + 1];
        (counts[0], counts[12]) = (2, 1);
        put(&series::COMMITS, &["shop", "orders", "t"], Value::Histogram(counts, 61.5));
        let text = text(values).unwrap();
        let expected = [
            "# TYPE engine_messages counter",
            "engine_messages_total{topology=\"shop\",flow=\"a \\\"b\\\"\\n\"} 3.0",
            "process_start_time_seconds 1.5",
            "engine_breaker_state{topology=\"shop\",connection=\"api\"} 2.0",
            "engine_commit_duration_seconds_bucket{le=\"0.005\",topology=\"shop\",flow=\"orders\",table=\"t\"} 2",
            "engine_commit_duration_seconds_bucket{le=\"+Inf\",topology=\"shop\",flow=\"orders\",table=\"t\"} 3",
            "engine_commit_duration_seconds_sum{topology=\"shop\",flow=\"orders\",table=\"t\"} 61.5",
            "engine_commit_duration_seconds_count{topology=\"shop\",flow=\"orders\",table=\"t\"} 3",
        ];
        for line in expected {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(!text.contains(".."), "{text}");
    }
}
