//! The engine: what a topology means and how it runs.
//!
//! A topology is a YAML file. [`topology`] reads and checks it, [`plan`] is what it compiles to, [`run`] connects and starts
//! it, [`dataflow`] is how it runs, [`explain`] tells of that, [`graph`] draws it. [`expr`] is the language of its expressions, [`stage`] what
//! happens to a document, [`policy`] what happens to failures. [`check`] finds what is wrong with files, [`sim`] plays the
//! outside, [`testing`] runs tests of topologies, [`observe`] shows what goes on. [`dlq`] handles dead letters, [`remote`]
//! shows the embedded log to other processes, [`cli`] is the program.

mod allocator;
pub mod check;
pub mod cli;
pub mod dataflow;
pub mod dlq;
pub mod explain;
pub mod graph;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod remote;
pub mod run;
pub mod sim;
pub mod stage;
pub mod testing;
pub mod topology;

pub use expr;
