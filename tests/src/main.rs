//! Whole-system tests. One binary, because each one links the query engine.
//!
//! - `claimx`: the topology on its simulation, killed and started again, with odd messages and answers.
//! - `github`: a domain of YAML alone: its runs, odd events, files of events, and the page that tells how it was made.
//! - `model`: an independent model of a domain says which rows a run must leave.
//! - `odd`: odd messages and answers, and what becomes of each.
//! - `program`: starts the program, for the others.
//! - `settings`: every setting of a topology, and its effect.
//! - `topics`: the topics of a run, while no program has them open.
//! - `docs`: what the documentation shows is true.
//! - `tidy`: rules of the code base that no compiler knows.
#![allow(clippy::unwrap_used)]

mod claimx;
mod docs;
mod github;
mod model;
mod odd;
mod program;
mod settings;
mod tidy;
mod topics;
