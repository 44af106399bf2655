//! What a dry run shows of each message. Secrets are redacted as in logs; long values are cut.

use std::fmt::Write as _;

use connectors::clock::Micros;
use connectors::log::{Message, Record};
use connectors::redact::redact;
use sonic_rs::JsonValueTrait as _;

use super::systems::{NOT_SENT, Told};
use crate::dataflow::visit::{How, Visit};
use crate::expr::{Json, json, time};
use crate::plan::{Flow, Plan, SourceKind, Status, Trigger};
use crate::stage::message::header;

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 200;

/// What is said before the messages of a flow.
pub(super) fn head(plan: &Plan, flow: &Flow, messages: &[Message], waiting: &[(String, usize, Micros)]) -> String {
    let own = |message: &&Message| flow.source.retry.topics().all(|topic| *message.topic != *topic);
    let (all, own) = (messages.len(), messages.iter().filter(own).count());
    let from = match &flow.source.kind {
        SourceKind::Topic { connection, topic, group } => {
            format!("topic {topic} on {connection}, from the position of group {group}, else from the first message")
        }
        SourceKind::File { path } => format!("{}, from the position of the flow", path.display()),
    };
    let what = match own {
        0 => "nothing is left to be read".to_owned(),
        own => count(own, "message"),
    };
    let mut head = format!("flow {}/{}: {what} of {from}\n", plan.name, flow.name);
    if all > own {
        head += &format!("  and {} of its retry topics, due by now\n", count(all - own, "message"));
    }
    for (topic, waiting, due) in waiting {
        let (many, due) = (count(*waiting, "message"), time::format_timestamp(*due));
        head += &format!("  and not yet {many} of retry topic {topic}, the first due {due}\n");
    }
    head
}

fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Where a message was read.
pub(super) fn place(message: &Message) -> String {
    format!("{}/{} offset {}", message.topic, message.partition, message.offset)
}

/// A value as people read it: without secrets, and not too long.
fn shown(text: &str) -> String {
    let text = redact(text);
    match text.char_indices().nth(LONGEST) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn value(value: &Json) -> String {
    shown(&json::to_text(value))
}

/// One message: what each stage and block made of it.
pub(super) fn message(flow: &Flow, place: &str, visits: &[Visit], told: &Told) -> String {
    let mut out = format!("\n  {place}\n");
    let stops = told.planned.iter().any(|planned| planned.stops);
    // What came of the end of a message that was not allowed to go on would not come of it in a run.
    let of_outcome = |at: &str| {
        flow.rows.iter().any(|r| &*r.name == at && matches!(r.trigger, Trigger::Outcomes(_)))
            || flow.sends.iter().any(|s| &*s.name == at && matches!(s.trigger, Trigger::Outcomes(_)))
    };
    let mut silent: Vec<&str> = Vec::new();
    for visit in visits.iter().filter(|visit| !(stops && of_outcome(&visit.at))) {
        // Writing to a string cannot fail.
        let _ = match &visit.how {
            How::Passed => writeln!(out, "    {}: not run, its `when` is false", visit.at),
            How::Nothing => writeln!(out, "    {}: nothing (null)", visit.at),
            How::Bound { value: bound, .. } => writeln!(out, "    {}: {}", visit.at, value(bound)),
            How::Many(count) => writeln!(out, "    {}: {count} documents", visit.at),
            How::Skipped(reason) => writeln!(out, "    {}: leaves, {reason}", visit.at),
            How::Failed(failure) if failure.message.contains(NOT_SENT) => {
                writeln!(out, "    {}: goes no further", visit.at)
            }
            How::Failed(failure) => {
                writeln!(out, "    {}: fails ({}): {}", visit.at, failure.category, shown(&failure.message))
            }
            How::NoRow | How::NotSent => {
                silent.push(&visit.at);
                Ok(())
            }
            How::Row { table, cells } => {
                let width = cells.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
                let cells: String =
                    cells.iter().map(|(name, cell)| format!("        {name:width$}  {}\n", value(cell))).collect();
                write!(out, "    row of {}, into table {table}\n{cells}", visit.at)
            }
            How::Sent(record) => write!(out, "    message of {}, {}", visit.at, sent(record)),
            How::Ended { document, record } => {
                ended(&mut out, document.bindings.get("outcome"), record.as_ref(), stops)
            }
        };
    }
    silent.dedup();
    if !silent.is_empty() {
        let _ = writeln!(out, "    nothing of {}: their `when` is false", silent.join(", "));
    }
    for call in &told.calls {
        let _ = writeln!(out, "    call made: {}", shown(call));
    }
    for planned in &told.planned {
        let _ = writeln!(out, "    not done: {}: {}", planned.stage, shown(&planned.what));
    }
    if stops {
        out += "    what follows depends on what was not done\n";
    }
    out
}

/// A record, as a block or the ledger made it.
fn sent(record: &Record) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let key = record.key.as_ref().map_or_else(String::new, |key| format!(", key {}", shown(&text(key))));
    let mut out = format!("to topic {}{key}\n        body  {}\n", record.topic, shown(&text(&record.payload)));
    for (name, value) in &record.headers {
        let _ = writeln!(out, "        {name}: {}", shown(&text(value)));
    }
    out
}

fn ended(out: &mut String, outcome: Option<&Json>, record: Option<&Record>, stops: bool) -> std::fmt::Result {
    if stops {
        return Ok(());
    }
    let of = |name: &str| outcome.and_then(|o| o.get(name)).cloned().unwrap_or_default();
    let text = |value: &Json| value.as_str().map(str::to_owned).unwrap_or_default();
    let status = text(&of("status"));
    let reason = match of("reason").as_str() {
        Some(reason) => format!(", {reason}"),
        None => String::new(),
    };
    writeln!(out, "    outcome: {status}{reason}")?;
    let Some(record) = record else { return Ok(()) };
    let header = |name: &str| {
        record.headers.iter().find(|(n, _)| &**n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned())
    };
    let due = header(header::DUE).and_then(|due| due.parse::<i64>().ok());
    let when = due.map_or_else(String::new, |due| format!(", due {}", time::format_timestamp(due)));
    let what = if status == Status::Dead.as_str() { "dead letter" } else { "retry" };
    writeln!(out, "    {what} to topic {}{when}: {}", record.topic, shown(&header(header::ERROR).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_secrets_are_not_shown() {
        assert_eq!(shown("https://h/a?sig=abc"), "https://h/a?sig=[REDACTED]");
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(shown(&long).chars().count(), LONGEST + 1);
        assert!(shown(&long).ends_with('…'));
    }
}
