//! Whole-system tests. One binary, because each one links the query engine.
//!
//! - `claimx`, `xact`: a domain's topology on its simulation, killed and started again, with odd messages and answers.
//! - `github`: a domain of YAML alone: its runs, odd events, files of events, and the page that tells how it was made.
//! - `model`: an independent model of a domain says which rows a run must leave.
//! - `odd`: odd messages and answers, and what becomes of each.
//! - `program`: starts the program, for the others.
//! - `criteria`: what the specification calls a success: domains that know nothing of each other, on shared code.
//! - `http`, `files`: a server of the tests' own, and one of files. `crash` kills runs.
//! - `made_up`: topologies of no domain, for the two below.
//! - `observe`: what a running program shows of itself.
//! - `dlq`: dead letters are found, replayed and purged, while a program runs and while none does.
//! - `errors`: what failures mean, and where they go.
//! - `poison`: malformed messages, answers and files by the thousand.
//! - `secrets`: what is planted in a run is in nothing that it says.
//! - `settings`: every setting of a topology has its effect; each domain lists its own.
//! - `together`: several topologies in one process.
//! - `explain`: what is told of a topology is all of it, and what it does. `dry`: a dry run shows everything and writes nothing.
//! - `suites`: the tests of topologies hold, and say what does not.
//! - `topics`: the topics of a run, while no program has them open.
//! - `validate`: the check of files, as people, editors and CI run it.
//! - `kafka`: the system on a real Kafka.
//! - `independent`: the tables as another reader and another language see them.
//! - `needs`: what a machine may lack.
//! - `docs`: what the documentation shows is true; `manual` runs the examples of the language's reference, `tutorial` the tutorial.
//! - `schema`: the schemas that editors check with accept what is shipped and nothing that is broken.
//! - `graph`: drawings of the shipped topologies, and those on their pages.
//! - `starter`: what `engine new` writes. `words` are pieces of pages.
//! - `tidy`: rules of the code base that no compiler knows.
#![allow(clippy::unwrap_used)]

mod claimx;
mod crash;
mod criteria;
mod dlq;
mod docs;
mod dry;
mod errors;
mod explain;
mod files;
mod github;
mod graph;
mod http;
mod independent;
mod kafka;
mod made_up;
mod manual;
mod model;
mod needs;
mod observe;
mod odd;
mod poison;
mod program;
mod schema;
mod secrets;
mod settings;
mod starter;
mod suites;
mod tidy;
mod together;
mod topics;
mod tutorial;
mod validate;
mod words;
mod xact;
