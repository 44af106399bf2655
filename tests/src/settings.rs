//! Every setting of a topology has its effect, from the environment and from the settings file beside it.
//!
//! Each domain has one table of all of them: the variable, what the plan says without it, a value, and what the plan says then.
//! The names in the table, in the topology and on the domain's page are compared, so that a setting that is added to one place
//! only is found. Here are the checks; the tables, and the tests that run the checks on them, are the domains'.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::plan::{Connection, Delta, Flow, Kafka, ObjectStore, Plan, SourceKind, Web};
use engine::topology::{Environment, load};

use crate::program::topologies;

/// One setting: what is read off the plan without it, and with it set to `value`.
pub struct Setting {
    name: &'static str,
    /// Other variables that the value needs beside it.
    with: &'static [(&'static str, &'static str)],
    read: fn(&Plan) -> String,
    default: &'static str,
    value: &'static str,
    effect: &'static str,
}

/// A setting by its name, how it is read, what it is by default, a value and what it is then.
pub const fn setting(
    name: &'static str,
    read: fn(&Plan) -> String,
    default: &'static str,
    value: &'static str,
    effect: &'static str,
) -> Setting {
    Setting { name, with: &[], read, default, value, effect }
}

/// A setting whose value needs others beside it.
pub const fn setting_with(with: &'static [(&'static str, &'static str)], setting: Setting) -> Setting {
    Setting { with, ..setting }
}

/// The settings of one topology.
pub struct Settings {
    /// The topology's name: its file is `topologies/NAME.yaml`, its page `docs/NAME.md`.
    pub topology: &'static str,
    /// Every setting, some in several spellings of their value.
    pub all: &'static [Setting],
    /// Where two names stand for one setting, the first wins over the second.
    pub spellings: &'static [(&'static str, &'static str)],
}

impl Settings {
    /// The topology's file.
    pub fn file(&self) -> PathBuf {
        topologies().join(format!("{}.yaml", self.topology))
    }

    /// The plan with these variables.
    pub fn plan(&self, variables: &[(&str, &str)]) -> Plan {
        plan_of(&self.file(), &variables.iter().copied().collect())
    }

    /// Each setting is what it is by default, and what it is said to be with its value; an empty value is none.
    pub fn assert_effects(&self) {
        let defaults = self.plan(&[]);
        for setting in self.all {
            assert_eq!((setting.read)(&defaults), setting.default, "{} by default", setting.name);
            let others = setting.with.iter().copied().filter(|(name, _)| *name != setting.name);
            let variables: Vec<_> = others.chain([(setting.name, setting.value)]).collect();
            let plan = self.plan(&variables);
            assert_eq!((setting.read)(&plan), setting.effect, "{}={}", setting.name, setting.value);
        }
        let none: Vec<_> = self.all.iter().map(|setting| (setting.name, "")).collect();
        let empty = self.plan(&none);
        for setting in self.all {
            assert_eq!((setting.read)(&empty), setting.default, "{} is empty, which is no value", setting.name);
        }
    }

    /// Of two names for one setting the first wins.
    pub fn assert_spellings(&self) {
        for (first, second) in self.spellings {
            let of = |name: &str| self.all.iter().find(|s| s.name == name).expect("the setting is in the table");
            let plan = self.plan(&[(*first, of(first).value), (*second, of(second).value)]);
            assert_eq!((of(first).read)(&plan), of(first).effect, "{first} beside {second}");
        }
    }

    /// A wrong value keeps the topology from being loaded, and what is said names `told`.
    pub fn assert_refused(&self, cases: &[(&str, &str, &str)]) {
        for (name, value, told) in cases {
            let loaded = load(&self.file(), &[(*name, *value)].into_iter().collect(), Path::new("DATA"));
            let text = loaded.err().unwrap_or_else(|| panic!("{name}={value} is accepted")).render();
            assert!(text.contains(told), "{name}={value}: {text}");
        }
    }

    /// The table, the topology and the page name the same settings.
    pub fn assert_complete(&self) {
        let tested: BTreeSet<&str> = self.all.iter().map(|s| s.name).collect();

        let topology = std::fs::read_to_string(self.file()).unwrap();
        let end = |rest: &str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let named: BTreeSet<&str> = topology.split("${").skip(1).map(|rest| &rest[..end(rest)]).collect();
        assert_eq!(named, tested, "named in the topology, and tested");

        let page = topologies().join(format!("../docs/{}.md", self.topology));
        let page = std::fs::read_to_string(page).unwrap();
        let settings = page.split("## Settings").nth(1).expect("the page has settings");
        let rows = settings.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let explained: BTreeSet<&str> = rows.flat_map(|row| row.split("`").filter(|t| t.len() > 2)).collect();
        assert_eq!(explained, tested, "explained on the page, and tested");
    }
}

/// The plan of a topology.
pub fn plan_of(file: &Path, environment: &Environment) -> Plan {
    match load(file, environment, Path::new("DATA")) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{}", problems.render()),
    }
}

/// The brokers' connection.
pub fn kafka(plan: &Plan) -> &Kafka {
    let Connection::Kafka(kafka) = &plan.connections["bus"] else { panic!("bus is no kafka connection") };
    kafka
}

/// The connection that downloads.
pub fn web(plan: &Plan) -> &Web {
    let Connection::Web(web) = &plan.connections["web"] else { panic!("web is no web connection") };
    web
}

/// An object store.
pub fn store<'a>(plan: &'a Plan, name: &str) -> &'a ObjectStore {
    let Connection::ObjectStore(store) = &plan.connections[name] else { panic!("{name} is no object store") };
    store
}

/// The connection of the tables.
pub fn lake(plan: &Plan) -> &Delta {
    let Connection::Delta(delta) = &plan.connections["lake"] else { panic!("lake is no delta connection") };
    delta
}

/// A flow.
pub fn flow<'a>(plan: &'a Plan, name: &str) -> &'a Flow {
    plan.flows.iter().find(|f| f.name == name).expect("the flow is there")
}

/// The brokers, or that there are none.
pub fn brokers(plan: &Plan) -> String {
    kafka(plan).brokers.clone().unwrap_or_else(|| "embedded".to_owned())
}

/// The names of all declared topics.
pub fn topics(plan: &Plan) -> String {
    plan.topics.values().map(|t| t.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// What each flow reads.
pub fn source_topics(plan: &Plan) -> String {
    let topic = |f: &Flow| match &f.source.kind {
        SourceKind::Topic { topic, .. } => topic.clone(),
        SourceKind::File { path } => path.display().to_string(),
    };
    plan.flows.iter().map(topic).collect::<Vec<_>>().join(" ")
}

/// The consumer group of a flow.
pub fn group(plan: &Plan, name: &str) -> String {
    let SourceKind::Topic { group, .. } = &flow(plan, name).source.kind else { panic!("{name} reads no topic") };
    group.clone()
}

/// Of every flow the retry topics, without the prefix, and their delays.
pub fn retries(plan: &Plan) -> String {
    let of = |f: &Flow| {
        let delays = f.source.retry.delays.iter();
        let bare = |topic: &str| topic.split_once('.').map_or(String::new(), |(_, rest)| rest.to_owned());
        let delays = delays.map(|(delay, topic)| format!("{}={delay:?}", bare(topic)));
        format!("{}: {}", f.name, delays.collect::<Vec<_>>().join(" "))
    };
    plan.flows.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// Where a table is.
pub fn table(plan: &Plan, name: &str) -> String {
    plan.tables[name].url.clone()
}

/// A value as `Debug` shows it, without the wrapping of an option.
pub fn shown<T: std::fmt::Debug>(value: T) -> String {
    let text = format!("{value:?}");
    text.strip_prefix("Some(").and_then(|t| t.strip_suffix(')')).map(str::to_owned).unwrap_or(text)
}
