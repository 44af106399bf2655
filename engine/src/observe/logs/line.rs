//! From an event to its line.
//!
//! JSON: `ts`, `level`, `logger`, `msg`, `topology` and `flow` where they are known, then the event's own fields. Text: the
//! same in this order, the fields as `name=value`. `topology` and `flow` come from the event or from the spans it happened in.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;

use connectors::clock::{Clock, Micros, SystemClock};
use connectors::redact::redact;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Style;
use super::files::Files;

/// Writes a line for each event.
pub(super) struct Lines {
    /// How lines look on standard error.
    pub(super) stderr: Style,
    /// How they look in files, and the files.
    pub(super) files: Option<(Style, Arc<Files>)>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line {
            ts: instant(SystemClock::new(1.0).now()),
            level: *event.metadata().level(),
            logger: event.metadata().target().to_owned(),
            fields: Fields::default(),
        };
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                line.fields.0.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        event.record(&mut line.fields);
        // Libraries that log otherwise come through a bridge, which puts their own name beside what they say.
        if let Some(Value::String(target)) = line.fields.0.remove("log.target") {
            line.logger = target;
        }
        line.fields.0.retain(|name, _| !name.starts_with("log."));
        // Nothing can be done about a standard error that takes nothing.
        let _ = std::io::stderr().lock().write_all(line.text(self.stderr).as_bytes());
        if let Some((style, files)) = &self.files {
            files.write(line.field("topology"), line.field("flow"), line.text(*style).as_bytes());
        }
    }
}

/// Milliseconds, UTC.
fn instant(at: Micros) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The fields of a span or an event, without secrets.
#[derive(Clone, Debug, Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), Value::from(redact(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::from(redact(&format!("{value:?}"))));
    }
}

/// One event, on its way into a line.
struct Line {
    ts: String,
    level: Level,
    logger: String,
    fields: Fields,
}

impl Line {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.0.get(name).and_then(Value::as_str)
    }

    /// The line, with its end.
    fn text(&self, style: Style) -> String {
        match style {
            Style::Json => self.json(),
            Style::Text { colours } => self.plain(colours),
        }
    }

    fn json(&self) -> String {
        let text = |text: &str| Value::from(text).to_string();
        let mut line = format!(
            "{{\"ts\":{},\"level\":{},\"logger\":{},\"msg\":{}",
            text(&self.ts),
            text(self.level.as_str()),
            text(&self.logger),
            text(self.field("message").unwrap_or_default())
        );
        // What a reader looks for first stands first.
        let context = ["topology", "flow"];
        let first = context.iter().filter_map(|name| self.fields.0.get_key_value(*name));
        let rest = self.fields.0.iter().filter(|(name, _)| !context.contains(&name.as_str()));
        for (name, value) in first.chain(rest) {
            if !["ts", "level", "logger", "msg", "message"].contains(&name.as_str()) {
                // Writing to a string cannot fail.
                let _ = write!(line, ",{}:{value}", text(name));
            }
        }
        line + "}\n"
    }

    fn plain(&self, colours: bool) -> String {
        let colour = match self.level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            _ => "2",
        };
        let (on, off) = if colours { (format!("\u{1b}[{colour}m"), "\u{1b}[0m") } else { (String::new(), "") };
        let mut line = format!("{} {on}{:>5}{off}", self.ts, self.level.as_str());
        let place: Vec<&str> = ["topology", "flow"].into_iter().filter_map(|name| self.field(name)).collect();
        if !place.is_empty() {
            line += &format!(" {}:", place.join("/"));
        }
        line += &format!(" {}", one_line(self.field("message").unwrap_or_default()));
        for (name, value) in &self.fields.0 {
            if !["message", "topology", "flow"].contains(&name.as_str()) {
                let value = value.as_str().map_or_else(|| value.to_string(), one_line);
                // Writing to a string cannot fail.
                let _ = write!(line, " {name}={value}");
            }
        }
        line + "\n"
    }
}

/// A line is one line, whatever somebody put into what it says; and it moves no cursor.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line() -> Line {
        let mut fields = Map::new();
        fields.insert("message".to_owned(), "records\nnot \u{1b}written".into());
        fields.insert("topology".to_owned(), "shop".into());
        fields.insert("flow".to_owned(), "orders".into());
        fields.insert("attempt".to_owned(), 3.into());
        fields.insert("level".to_owned(), "mine".into());
        Line {
            ts: "2026-01-10T12:00:00Z".into(),
            level: Level::WARN,
            logger: "engine::x".into(),
            fields: Fields(fields),
        }
    }

    #[test]
    fn json_is_one_object_a_line_and_its_own_keys_win() {
        let text = line().text(Style::Json);
        assert_eq!(text.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "ts": "2026-01-10T12:00:00Z", "level": "WARN", "logger": "engine::x", "msg": "records\nnot \u{1b}written",
            "topology": "shop", "flow": "orders", "attempt": 3,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn instants_are_milliseconds_in_utc() {
        assert_eq!(instant(1_768_046_400_001_999), "2026-01-10T12:00:00.001Z");
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn text_is_one_line_without_control_characters() {
        let text = line().text(Style::Text { colours: false });
        let expected = "2026-01-10T12:00:00Z  WARN shop/orders: records\\nnot \\u{1b}written attempt=3 level=mine\n";
        assert_eq!(text, expected);
        assert!(line().text(Style::Text { colours: true }).contains("\u{1b}[33m WARN\u{1b}[0m"));
    }
}
