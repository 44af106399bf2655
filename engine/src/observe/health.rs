//! Whether a process is alive, and whether it is ready.
//!
//! *Alive*: every flow can go on, and every worker thread has stepped within [`WEDGED`]. Starting it again would help if not.
//! *Ready*: everything is open, every flow's source answers and has partitions to read, no circuit breaker is open. What is
//! missing is a reason, in words.

use connectors::clock::Micros;
use connectors::policy::BreakerState;

use super::{Phase, Subject};

/// A worker that has not stepped for so long is wedged, in microseconds. It steps fifty times a second when idle, and
/// nothing that it does in one step waits.
pub const WEDGED: Micros = 60_000_000;

/// What shows of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The topology.
    pub topology: String,
    /// Its flows.
    pub flows: Vec<FlowSigns>,
    /// Connections whose circuit breaker is open.
    pub open: Vec<String>,
    /// Connections that cannot be reached, and why.
    pub down: Vec<(String, String)>,
}

/// What shows of one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowSigns {
    /// Its name.
    pub name: String,
    /// Why it cannot go on.
    pub failure: Option<String>,
    /// How long the quietest of its workers has been silent, in microseconds.
    pub silent: Micros,
    /// Why its source does not answer.
    pub refused: Option<String>,
    /// Partitions that it reads.
    pub assigned: i64,
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it is not alive; empty: it is.
    pub dead: Vec<String>,
    /// Why it is not ready; empty: it is.
    pub unready: Vec<String>,
}

/// What shows of `subjects` at `now`. The instances of a topology are one: any of them may hold the partitions.
pub fn signs(subjects: &[Subject], now: Micros) -> Vec<Signs> {
    let mut all: Vec<Signs> = Vec::new();
    for subject in subjects {
        let name = &subject.plan.name;
        let flows = subject.flows.iter().map(|flow| FlowSigns {
            name: flow.name.clone(),
            failure: flow.control.failure(),
            silent: flow.control.beaten().map_or(0, |at| now.saturating_sub(at)),
            refused: flow.control.refused(),
            assigned: flow.control.assigned(),
        });
        let breakers = subject.outside.clients().filter(|(_, client)| client.breaker == BreakerState::Open);
        let open = breakers.map(|(connection, _)| connection.clone());
        let down = subject.outside.troubles().map(|(connection, why)| (connection.clone(), why));
        match all.iter_mut().find(|signs| signs.topology == *name) {
            None => all.push(Signs {
                topology: name.clone(),
                flows: flows.collect(),
                open: open.collect(),
                down: down.collect(),
            }),
            Some(known) => {
                for (known, flow) in known.flows.iter_mut().zip(flows) {
                    known.failure = known.failure.take().or(flow.failure);
                    known.refused = known.refused.take().or(flow.refused);
                    known.silent = known.silent.max(flow.silent);
                    known.assigned += flow.assigned;
                }
                known.open.extend(open);
                known.down.extend(down);
            }
        }
    }
    all
}

/// What they mean.
pub fn judge(phase: Phase, signs: &[Signs]) -> Health {
    let mut health = Health::default();
    match phase {
        Phase::Connecting => {
            health.unready.push("connecting: not everything that the topologies name is open".to_owned())
        }
        Phase::Stopping => health.unready.push("stopping: what has been read is being finished".to_owned()),
        Phase::Running => {}
    }
    for Signs { topology, flows, open, down } in signs {
        for flow in flows {
            let name = format!("flow {topology}/{}", flow.name);
            if let Some(failure) = &flow.failure {
                health.dead.push(format!("{name} cannot go on: {failure}"));
            } else if flow.silent > WEDGED {
                health
                    .dead
                    .push(format!("{name} is wedged: a worker has not stepped for {} s", flow.silent / 1_000_000));
            }
            if phase != Phase::Running {
                continue;
            }
            if let Some(refused) = &flow.refused {
                health.unready.push(format!("{name}: its source does not answer: {refused}"));
            } else if flow.assigned <= 0 {
                let why = "the group is forming, or has more members than partitions";
                health.unready.push(format!("{name} has no partition to read: {why}"));
            }
        }
        let breaker = |name: &String| format!("connection {topology}/{name}: its circuit breaker is open");
        health.unready.extend(open.iter().map(breaker));
        health.unready.extend(down.iter().map(|(name, why)| format!("connection {topology}/{name}: {why}")));
    }
    // What is dead is not ready either.
    health.unready.extend(health.dead.iter().cloned());
    health
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> FlowSigns {
        FlowSigns { name: "orders".into(), assigned: 6, silent: 20_000, ..FlowSigns::default() }
    }

    #[test]
    fn each_ill_has_its_reason() {
        // The phase, a flow, open breakers; why it is dead, why it is not ready.
        type Case<'a> = (Phase, FlowSigns, &'a [&'a str], Option<&'a str>, Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (Phase::Running, well(), &[], None, None),
            (Phase::Connecting, well(), &[], None, Some("connecting")),
            (Phase::Stopping, FlowSigns { assigned: 0, ..well() }, &[], None, Some("stopping")),
            (Phase::Running, FlowSigns { assigned: 0, ..well() }, &[], None, Some("shop/orders has no partition")),
            (Phase::Running, FlowSigns { refused: Some("no route".into()), ..well() }, &[], None, Some("no route")),
            (Phase::Running, well(), &["api"], None, Some("shop/api: its circuit breaker is open")),
            (
                Phase::Running,
                FlowSigns { silent: 61_000_000, ..well() },
                &[],
                Some("shop/orders is wedged: a worker has not stepped for 61 s"),
                Some("wedged"),
            ),
            (Phase::Stopping, FlowSigns { silent: WEDGED, ..well() }, &[], None, Some("stopping")),
            (
                Phase::Running,
                FlowSigns { failure: Some("disk".into()), silent: 61_000_000, ..well() },
                &[],
                Some("cannot go on: disk"),
                Some("disk"),
            ),
        ];
        for (phase, flow, open, dead, unready) in cases {
            let open = open.iter().map(|o| (*o).to_owned()).collect();
            let signs = Signs { topology: "shop".into(), flows: vec![flow.clone()], open, down: Vec::new() };
            let health = judge(*phase, &[signs]);
            let told = |reasons: &[String], expected: &Option<&str>| match expected {
                None => reasons.is_empty(),
                Some(text) => reasons.len() == 1 && reasons.iter().any(|r| r.contains(text)),
            };
            assert!(told(&health.dead, dead) && told(&health.unready, unready), "{flow:?}: {health:?}");
        }
    }

    #[test]
    fn a_cluster_that_cannot_be_reached_is_a_reason() {
        let down = vec![("bus".to_owned(), "no broker answers".to_owned())];
        let signs = Signs { topology: "shop".into(), flows: vec![well()], down, ..Signs::default() };
        let health = judge(Phase::Running, &[signs]);
        assert_eq!((health.dead.len(), health.unready), (0, vec!["connection shop/bus: no broker answers".to_owned()]));
    }
}
