//! Which flows of which topologies run: names from the command line against what the topologies declare.
//!
//! A name is, in this order: a flow by `topology/flow`; a flow by its name or by one of its aliases; all flows of the
//! topologies that have the name, or have it among their aliases. A flow name that several topologies know must say which.

use crate::plan::Plan;
use crate::topology::nearest;

/// For each of `plans` the indexes of its chosen flows, in their order; all flows where there are no names.
pub fn choose(plans: &[&Plan], names: &[String]) -> Result<Vec<Vec<usize>>, Vec<String>> {
    if names.is_empty() {
        return Ok(plans.iter().map(|plan| (0..plan.flows.len()).collect()).collect());
    }
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new(); plans.len()];
    let mut problems = Vec::new();
    for name in names {
        match meant(plans, name) {
            Ok(flows) => flows.into_iter().for_each(|(plan, flow)| chosen[plan].push(flow)),
            Err(problem) => problems.push(problem),
        }
    }
    for flows in &mut chosen {
        flows.sort_unstable();
        flows.dedup();
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}

/// The flows that one name means, as indexes of the topology and of its flow.
fn meant(plans: &[&Plan], name: &str) -> Result<Vec<(usize, usize)>, String> {
    let flows = || {
        let each = |(at, plan): (usize, &&Plan)| (0..plan.flows.len()).map(|flow| (at, flow)).collect::<Vec<_>>();
        plans.iter().enumerate().flat_map(each)
    };
    let is = |plan: usize, flow: usize, name: &str| {
        let flow = &plans[plan].flows[flow];
        flow.name == name || flow.aliases.iter().any(|alias| alias == name)
    };
    let whole = |(plan, flow): (usize, usize)| format!("{}/{}", plans[plan].name, plans[plan].flows[flow].name);
    if let Some((topology, flow)) = name.split_once('/')
        && let Some(found) = flows().find(|(p, f)| plans[*p].name == topology && is(*p, *f, flow))
    {
        return Ok(vec![found]);
    }
    let found: Vec<_> = flows().filter(|(plan, flow)| is(*plan, *flow, name)).collect();
    if found.len() > 1 {
        let names: Vec<String> = found.into_iter().map(whole).collect();
        return Err(format!("several flows are called `{name}`: say {}", names.join(" or ")));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let found: Vec<_> =
        flows().filter(|(p, _)| plans[*p].name == name || plans[*p].aliases.iter().any(|a| a == name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut known: Vec<String> = Vec::new();
    for plan in plans {
        known.push(plan.name.clone());
        known.extend(plan.aliases.iter().cloned());
        known.extend(plan.flows.iter().map(|f| format!("{}/{}", plan.name, f.name)));
        known.extend(plan.flows.iter().flat_map(|f| std::iter::once(&f.name).chain(&f.aliases)).cloned());
    }
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => Err(format!("no flow and no topology is called `{name}`; did you mean `{near}`?")),
        None => {
            let flows: Vec<String> = flows().map(whole).collect();
            Err(format!("no flow and no topology is called `{name}`; there are {}", flows.join(", ")))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::topology::{Environment, load_str};

    fn plan(name: &str, aliases: &str, flows: &[(&str, &str)]) -> Plan {
        let mut text = format!(
            "topology: {name}\nlanguage: 1\naliases: [{aliases}]\nconnections: {{lake: {{delta: {{url: x}}}}}}\ntables:\n"
        );
        for (flow, _) in flows {
            text += &format!("  {flow}: {{key: [id], columns: {{id: id!}}}}\n");
        }
        text += "flows:\n";
        for (flow, alias) in flows {
            text += &format!(
                "  {flow}:\n    aliases: [{alias}]\n    source: {{file: {{path: x, message: {{id: id!}}}}}}\n    rows: {{r: {{table: {flow}, columns: {{id: event.id}}}}}}\n"
            );
        }
        load_str("t.yaml", &text, &Environment::default(), "data").map_err(|p| p.render()).unwrap().plan
    }

    #[test]
    fn a_name_means_a_flow_or_whole_topologies() {
        let shop = plan("shop", "everything", &[("orders", "shop-orders"), ("users", "shop-users")]);
        let fleet = plan("fleet", "all, everything", &[("orders", "fleet-orders"), ("devices", "")]);
        let plans = [&shop, &fleet];
        let all = || vec![vec![0, 1], vec![0, 1]];
        let cases: &[(&[&str], Vec<Vec<usize>>)] = &[
            (&[], all()),
            (&["everything"], all()),
            (&["all"], vec![vec![], vec![0, 1]]),
            (&["fleet"], vec![vec![], vec![0, 1]]),
            (&["shop-users"], vec![vec![1], vec![]]),
            (&["shop/orders"], vec![vec![0], vec![]]),
            (&["fleet/fleet-orders"], vec![vec![], vec![0]]),
            (&["devices", "users", "shop/users", "devices"], vec![vec![1], vec![1]]),
            (&["devices", "everything"], all()),
        ];
        for (names, expected) in cases {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            assert_eq!(choose(&plans, &names).as_ref(), Ok(expected), "{names:?}");
        }
        let refused = |names: &[&str]| {
            choose(&plans, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap_err().join("; ")
        };
        assert!(refused(&["orders"]).contains("shop/orders or fleet/orders"), "{}", refused(&["orders"]));
        assert!(refused(&["devises"]).contains("did you mean `devices`"), "{}", refused(&["devises"]));
        assert!(refused(&["shop/usres"]).contains("did you mean `shop/users`"), "{}", refused(&["shop/usres"]));
        assert!(refused(&["zzzzzzz"]).contains("shop/users, fleet/orders"), "{}", refused(&["zzzzzzz"]));
        assert_eq!(choose(&plans, &["a1".into(), "b2".into()]).unwrap_err().len(), 2, "every wrong name is told");
    }
}
