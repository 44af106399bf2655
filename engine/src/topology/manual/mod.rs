//! The reference of the language, as a page: made from the tables that the loader checks with, and the words that stand around them.
//!
//! A [`Section`] tells of one part of the language: what it is for, its keys, an example. Examples are pieces of a topology that
//! begin at the keys of the file (`connections:`, `topics:`, `tables:`) or of a flow (`source:`, `stages:`, `rows:`, `send:`). A test puts each into
//! a small topology, loads it and runs it.

mod connections;
mod flows;
mod stages;

use super::shape::{Key, Kind, Shape};

/// A part of the language.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// The level of the heading.
    pub level: usize,
    /// What it is for, in Markdown.
    pub text: &'static str,
    /// The mappings that it tells of, each with those of its keys that it tells of; none are all.
    pub tables: &'static [(&'static Shape, &'static [&'static str])],
    /// A piece of a topology that shows it; may be empty.
    pub example: &'static str,
}

const INTRODUCTION: &str = include_str!("introduction.md");

/// Every part, in the order of the page.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    connections::SECTIONS.iter().chain(flows::SECTIONS).chain(stages::SECTIONS)
}

/// The whole page.
pub fn markdown() -> String {
    page(INTRODUCTION, &sections().collect::<Vec<_>>())
}

/// A page of these sections behind an introduction.
pub fn page(introduction: &str, sections: &[&'static Section]) -> String {
    let mut page = String::from(introduction);
    for section in sections {
        page += &format!("{} {}\n", "#".repeat(section.level), section.title);
        if !section.text.is_empty() {
            page += &format!("{}\n\n", section.text.trim());
        }
        if !section.example.is_empty() {
            page += &format!("```yaml\n{}\n```\n\n", section.example.trim());
        }
        for (at, (shape, only)) in section.tables.iter().enumerate() {
            if at > 0 && name(shape) != section.title {
                page += &format!("{} {}\n", "#".repeat(section.level + 1), name(shape));
            }
            if at > 0 {
                page += &format!("{}\n\n", shape.about);
            }
            page += &table(shape, only, sections);
        }
    }
    format!("{}\n", page.trim_end())
}

/// What a mapping is called, without its article.
fn name(shape: &Shape) -> &'static str {
    let name = shape.name;
    name.strip_prefix("a ").or_else(|| name.strip_prefix("an ")).unwrap_or(name)
}

/// The place on the page that tells of a mapping.
fn anchor(shape: &Shape, sections: &[&'static Section]) -> String {
    let of = |section: &&'static Section| {
        let at = section.tables.iter().position(|(other, _)| std::ptr::eq(*other, shape))?;
        Some(if at == 0 { section.title } else { name(shape) })
    };
    // Of several sections about one mapping the first leads to the others.
    let title = sections.iter().find_map(of).unwrap_or_else(|| name(shape));
    let letter = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "_-".contains(c) => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    title.chars().filter_map(letter).collect()
}

/// The keys of a mapping as a table.
fn table(shape: &Shape, only: &[&str], sections: &[&'static Section]) -> String {
    let mut text = String::new();
    let choice: Vec<&str> =
        shape.one_of.iter().copied().filter(|name| only.is_empty() || only.contains(name)).collect();
    if only.is_empty() && !choice.is_empty() {
        text += &format!("Exactly one of `{}`.\n\n", choice.join("`, `"));
    }
    format!("{text}{HEAD}{}\n", rows(shape, only, sections))
}

/// The head of a table of keys.
pub const HEAD: &str = "| Key | Type | Default | What it means |\n|---|---|---|---|\n";

/// The keys of a mapping as the rows of a table.
pub fn rows(shape: &Shape, only: &[&str], sections: &[&'static Section]) -> String {
    let mut text = String::new();
    let keys: Vec<&Key> = shape.keys.iter().filter(|key| only.is_empty() || only.contains(&key.name)).collect();
    for key in keys {
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => "–".to_owned(),
        };
        let mut about = key.about.to_owned();
        if let Some(example) = key.example {
            about += &format!(" For example `{example}`.");
        }
        let row = [format!("`{}`", key.name), type_of(&key.kind, sections), default, about]
            .map(|cell| cell.replace('|', "\\|"));
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

/// The type of a key in few words.
fn type_of(kind: &Kind, sections: &[&'static Section]) -> String {
    let words = |words: &[&str]| format!("`{}`", words.join("`, `"));
    let link = |shape: &Shape| format!("[{}](#{})", name(shape), anchor(shape, sections));
    let of = |kind: &Kind| type_of(kind, sections);
    match kind {
        Kind::Text => "text".into(),
        Kind::Secret => "secret".into(),
        Kind::Name => "text with `{variables}`".into(),
        Kind::DelayName => "text with `{variables}` and `{delay}`".into(),
        Kind::Reference => "name".into(),
        Kind::Binding => "name of letters, digits, `_`".into(),
        Kind::Bool => "`true`, `false`".into(),
        Kind::Integer(0) => "whole number".into(),
        Kind::Integer(least) => format!("whole number from {least}"),
        Kind::Number => "number above 0".into(),
        Kind::Within(i64::MIN, i64::MAX) => "whole number".into(),
        Kind::Within(least, most) => format!("whole number from {least} to {most}"),
        Kind::Between(f64::MIN, _) => "number".into(),
        Kind::Between(least, f64::MAX) => format!("number from {least}"),
        Kind::Between(least, most) => format!("number from {least} to {most}"),
        Kind::Instant => "instant".into(),
        Kind::Duration(_) => "duration".into(),
        Kind::Size(_) => "size".into(),
        Kind::Expression => "expression".into(),
        Kind::Template => "template".into(),
        Kind::Choice(choice) => words(choice),
        Kind::Column => "type, or `{type: meaning}`".into(),
        Kind::Field => "type, or `{type: expression}`".into(),
        Kind::List(inner) => format!("list: {}", of(inner)),
        Kind::Tuple(kinds) => {
            format!("list of {}: {}", kinds.len(), kinds.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        Kind::Tree(_) => "[tree](#trees)".into(),
        Kind::Map(_, inner) => format!("by name: {}", of(inner)),
        Kind::Object(shape) => link(shape),
        Kind::Any => "anything".into(),
        Kind::ListOr(inner, shape) => format!("list: {}, or {}", of(inner), link(shape)),
        Kind::ChoiceOr(choice, shape) => format!("{}, or {}", words(choice), link(shape)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::topology::language::{STAGE_KINDS, TOPOLOGY};

    /// Every mapping that can be reached, by name.
    fn reach(shape: &'static Shape, into: &mut BTreeMap<&'static str, &'static Shape>) {
        if into.insert(shape.name, shape).is_some() {
            return;
        }
        fn inside(kind: &Kind, into: &mut BTreeMap<&'static str, &'static Shape>) {
            match kind {
                Kind::Object(shape) | Kind::ChoiceOr(_, shape) => reach(shape, into),
                Kind::ListOr(inner, shape) => {
                    inside(inner, into);
                    reach(shape, into);
                }
                Kind::List(inner) | Kind::Map(_, inner) => inside(inner, into),
                _ => {}
            }
        }
        shape.keys.iter().for_each(|key| inside(&key.kind, into));
    }

    #[test]
    fn every_key_is_told_of_once() {
        let mut shapes = BTreeMap::new();
        reach(&TOPOLOGY, &mut shapes);
        for (name, shape) in &shapes {
            for key in shape.keys {
                let tells = |section: &&Section| {
                    let mut tables = section.tables.iter();
                    tables.any(|(s, only)| std::ptr::eq(*s, *shape) && (only.is_empty() || only.contains(&key.name)))
                };
                let told = sections().filter(tells).count();
                assert_eq!(told, 1, "{name}: `{}` is told of in {told} sections", key.name);
            }
        }
        for section in sections() {
            for (shape, only) in section.tables {
                assert!(only.iter().all(|name| shape.key(name).is_some()), "{}", section.title);
            }
        }
    }

    #[test]
    fn every_kind_of_stage_connection_and_sink_has_an_example() {
        for title in STAGE_KINDS.iter().chain(&["kafka", "http", "web", "object_store", "delta", "rows", "send"]) {
            let section = sections().find(|section| section.title == *title);
            assert!(section.is_some_and(|section| !section.example.is_empty()), "{title}");
        }
    }

    #[test]
    fn links_within_the_page_lead_to_headings() {
        let page = markdown();
        let headings: Vec<String> = page
            .lines()
            .filter(|line| line.starts_with('#') && line.contains("# "))
            .filter_map(|line| line.split_once("# "))
            .map(|(_, title)| title.to_lowercase().replace(' ', "-"))
            .collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert_eq!(headings.iter().filter(|heading| *heading == link).count(), 1, "{link} of {headings:?}");
        }
    }
}
