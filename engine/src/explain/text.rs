//! An explanation as text: two blanks for each level, names in a column of their own.

use std::fmt::Write as _;

use super::words::count;
use super::{Explanation, FlowForm, Keeps, RowsBlock, SendBlock, StageForm, TableForm};

/// Lines longer than this are broken at a blank.
const WIDTH: usize = 140;

/// The text that is being made.
#[derive(Default)]
struct Page {
    text: String,
    level: usize,
}

impl Page {
    /// A line at this level. One that is too long goes on behind deeper blanks.
    fn line(&mut self, line: &str) {
        let indent = "  ".repeat(self.level);
        let mut rest = line.trim_end().replace('\n', " ");
        let mut lead = indent.clone();
        while lead.len() + rest.chars().count() > WIDTH {
            let most = rest.char_indices().nth(WIDTH - lead.len()).map_or(rest.len(), |(at, _)| at);
            let Some(cut) = rest.get(..most).and_then(|part| part.rfind(' ')).filter(|cut| *cut > WIDTH / 3) else {
                break;
            };
            let (head, tail) = rest.split_at(cut);
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{lead}{head}");
            rest = tail.trim_start().to_owned();
            lead = format!("{indent}    ");
        }
        let _ = writeln!(self.text, "{lead}{rest}");
    }

    /// A name and what is to be said of it.
    fn fact(&mut self, name: &str, what: &str) {
        self.line(&format!("{name:<12} {what}"));
    }

    fn facts<'f>(&mut self, name: &str, facts: impl IntoIterator<Item = &'f String>) {
        for (index, fact) in facts.into_iter().enumerate() {
            self.fact(if index == 0 { name } else { "" }, fact);
        }
    }

    /// Pairs with their names in a column.
    fn pairs(&mut self, pairs: &[(String, String)]) {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in pairs {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            self.line(&format!("{name:<width$}  {value}"));
        }
    }

    fn under(&mut self, title: &str, inner: impl FnOnce(&mut Self)) {
        self.line(title);
        self.level += 1;
        inner(self);
        self.level -= 1;
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }
}

/// The whole text.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut page = Page::default();
    page.line(&format!("topology {}: {}", explanation.topology, explanation.about));
    page.line(&format!("{}; {} below", explanation.file, count(explanation.flows.len(), "flow")));
    page.gap();
    page.under("connections", |page| {
        for connection in &explanation.connections {
            page.under(&format!("{} ({})", connection.name, connection.kind), |page| {
                connection.facts.iter().for_each(|fact| page.line(fact));
            });
        }
    });
    for flow in &explanation.flows {
        page.gap();
        flow_of(&mut page, flow);
    }
    page.text
}

fn flow_of(page: &mut Page, flow: &FlowForm) {
    let also =
        if flow.aliases.is_empty() { String::new() } else { format!(", also called {}", flow.aliases.join(", ")) };
    page.under(&format!("flow {}{also}", flow.name), |page| {
        page.under("source", |page| source(page, flow));
        page.under("workers (with --workers N)", |page| {
            flow.workers.exchanges.iter().for_each(|exchange| page.line(exchange));
        });
        for stage in &flow.stages {
            stage_of(page, stage);
        }
        for rows in &flow.rows {
            rows_of(page, rows);
        }
        for send in &flow.send {
            send_of(page, send);
        }
        for table in &flow.tables {
            table_of(page, table);
        }
        page.under("failures", |page| {
            for retry in &flow.retries {
                page.line(&format!(
                    "{}. that may pass (transient, auth, unknown): waits {} in {}, or longer where the other side asks for it",
                    retry.failure, retry.delay, retry.topic
                ));
            }
            page.line(&match &flow.dead_letter {
                Some(topic) => format!("any other, or when no delay is left: to {topic}, unchanged, with its reason in the headers"),
                None => "any: the message is dead, and only blocks with `on: [dead]` see it".to_owned(),
            });
        });
        page.under("memory besides its stages", |page| flow.keeps.iter().for_each(|keeps| kept(page, keeps)));
        page.under("an offset is committed when", |page| {
            flow.commit.after.iter().for_each(|after| page.line(&format!("- {after}")));
            page.line(&format!("position: {}", flow.commit.position));
        });
    });
}

fn source(page: &mut Page, flow: &FlowForm) {
    let reads = &flow.reads;
    let place = match (&reads.connection, &reads.group) {
        (Some(connection), Some(group)) => format!("topic {} on {connection}, as group {group}", reads.from),
        _ => format!("lines of {}", reads.from),
    };
    page.fact("reads", &place);
    if !reads.retry_topics.is_empty() {
        page.fact("", &format!("and its retry topics, each message when it is due: {}", reads.retry_topics.join(", ")));
    }
    page.fact("at most", &reads.budget);
    page.fact("parses", "each message once; all its documents share what was found");
    let event: Vec<(String, String)> = flow
        .event
        .iter()
        .map(|field| {
            let how = field.computed.as_ref().map_or(String::new(), |expr| format!(" = {expr}"));
            (field.name.clone(), format!("{}{how}", field.kind))
        })
        .collect();
    page.under("event", |page| page.pairs(&event));
    if !reads.kept.is_empty() {
        page.fact("keeps", &format!("{} besides, because something reads it", reads.kept.join(" and ")));
    }
}

fn kept(page: &mut Page, keeps: &Keeps) {
    page.line(&format!("{}; bound: {}; at a restart: {}", keeps.what, keeps.bound, keeps.restart));
}

fn stage_of(page: &mut Page, stage: &StageForm) {
    page.under(&format!("stage {} ({})", stage.name, stage.kind), |page| {
        page.fact("reads", &stage.reads);
        page.facts("when", &stage.when);
        page.facts("does", &stage.does);
        page.facts(
            "exchange",
            stage
                .exchanged_by
                .iter()
                .map(|by| format!("by {by}: one worker sees all of a key"))
                .collect::<Vec<_>>()
                .iter(),
        );
        if let (Some(most), Some(deadline)) = (stage.at_a_time, &stage.deadline) {
            page.fact(
                "waits",
                &format!("for the outside: {} at a time, each at most {deadline}", count(most, "document")),
            );
        }
        for keeps in &stage.keeps {
            page.fact("memory", &format!("{}; bound: {}; at a restart: {}", keeps.what, keeps.bound, keeps.restart));
        }
        if !stage.read_by.is_empty() {
            page.fact("read by", &stage.read_by.join(", "));
        }
    });
}

fn rows_of(page: &mut Page, rows: &RowsBlock) {
    page.under(&format!("rows {} into table {}", rows.name, rows.table), |page| {
        page.fact("fires", &rows.fires);
        page.facts("when", &rows.when);
        if !rows.walked.is_empty() {
            page.under(&format!("{}, found in one walk", count(rows.walked.len(), "JSON path")), |page| {
                page.pairs(&rows.walked)
            });
        }
        if !rows.evaluated.is_empty() {
            let (what, how) = match rows.rows_as {
                "columns" => ("expression", "each computed from the tree"),
                _ => ("value", "each computed by itself: rows of this table are merged column by column"),
            };
            let marked: Vec<(String, String)> = rows
                .evaluated
                .iter()
                .map(|(name, value)| {
                    let mark = if rows.optional.contains(name) { "?" } else { "" };
                    (format!("{name}{mark}"), value.clone())
                })
                .collect();
            page.under(&format!("{}, {how}", count(marked.len(), what)), |page| page.pairs(&marked));
        }
        if !rows.optional.is_empty() {
            page.line("`?`: left out where there is no value, so that the row takes nothing from the table");
        }
    });
}

fn send_of(page: &mut Page, send: &SendBlock) {
    page.under(&format!("send {} to topic {}", send.name, send.topic), |page| {
        page.fact("fires", &send.fires);
        page.facts("when", &send.when);
        page.facts("key", &send.key);
        page.under("body", |page| page.pairs(&send.body));
        if !send.headers.is_empty() {
            page.under("headers", |page| page.pairs(&send.headers));
        }
    });
}

fn table_of(page: &mut Page, table: &TableForm) {
    page.under(&format!("table {} ({})", table.name, table.mode), |page| {
        page.fact(
            "is",
            &format!(
                "{}{}",
                table.url,
                if table.about.is_empty() { String::new() } else { format!(": {}", table.about) }
            ),
        );
        page.fact("key", &table.key.join(", "));
        if !table.partition.is_empty() {
            page.fact("partition", &table.partition.join(", "));
        }
        page.under("columns", |page| page.pairs(&table.columns));
        for guard in &table.guards {
            page.fact("guard", &format!("{}: {}", guard.rule, guard.columns.join(", ")));
        }
        page.fact("committed", &table.committed);
        if !table.after.is_empty() {
            page.fact(
                "after",
                &format!(
                    "table {} has committed as far: no row here is visible before its parent",
                    table.after.join(", ")
                ),
            );
        }
        if let Some(parent) = &table.parent_elsewhere {
            page.fact("parent", &format!("{parent}, which another flow feeds: nothing here waits for it"));
        }
        page.fact("with", &format!("the positions it stands for, as txn {}, in the same commit", table.txn));
    });
}
