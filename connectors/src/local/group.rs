//! Groups inside one process: which member reads which partition.
//!
//! A rebalance has two steps, as in Kafka's cooperative protocol. Joining, leaving and new topics change the *target*;
//! a partition changes hands only when its present owner has polled and so knows that it lost it. Hence a partition has
//! never two owners, and members that keep a partition notice nothing. The assignment is balanced (loads of members that
//! could trade a partition differ by at most one) and moves no more partitions than that needs.

use std::collections::{BTreeMap, BTreeSet};

use super::Catalogue;
use crate::log::Partition;

/// A member of a group; unique in the process.
pub(crate) type Member = u64;

/// All groups of a log.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<String, Group>,
    members: Member,
}

#[derive(Debug, Default)]
struct Group {
    members: BTreeMap<Member, BTreeSet<String>>,
    owner: BTreeMap<Partition, Member>,
    target: BTreeMap<Partition, Member>,
    /// The version of the catalogue that `target` was made for.
    version: Option<u64>,
}

/// What a member learns when it polls.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// All partitions that it owns now.
    pub(crate) owned: BTreeSet<Partition>,
    /// Whether it gave up a partition that somebody else may be waiting for.
    pub(crate) released: bool,
}

impl Groups {
    /// Adds a member that reads `topics`.
    pub(crate) fn join(&mut self, group: &str, topics: BTreeSet<String>) -> Member {
        self.members += 1;
        let group = self.groups.entry(group.to_string()).or_default();
        group.members.insert(self.members, topics);
        group.version = None;
        self.members
    }

    /// Removes a member; what it owned is free at once.
    pub(crate) fn leave(&mut self, name: &str, member: Member) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.members.remove(&member);
        group.owner.retain(|_, owner| *owner != member);
        group.version = None;
        if group.members.is_empty() {
            self.groups.remove(name);
        }
    }

    /// Lets `member` give up what it lost and take what is free for it.
    pub(crate) fn step(&mut self, name: &str, member: Member, catalogue: &Catalogue) -> Step {
        let Some(group) = self.groups.get_mut(name) else {
            return Step { owned: BTreeSet::new(), released: false };
        };
        let version = catalogue.version();
        if group.version != Some(version) {
            group.target = assign(&catalogue.topics(), &group.members, &group.owner);
            group.version = Some(version);
        }
        let before = group.owner.len();
        let target = &group.target;
        group.owner.retain(|partition, owner| *owner != member || target.get(partition) == Some(&member));
        let released = group.owner.len() < before;
        for (partition, owner) in target {
            if *owner == member && !group.owner.contains_key(partition) {
                group.owner.insert(partition.clone(), member);
            }
        }
        let owned = group.owner.iter().filter(|(_, owner)| **owner == member).map(|(p, _)| p.clone()).collect();
        Step { owned, released }
    }

    /// Whether `member` owns `partition` now.
    pub(crate) fn owns(&self, name: &str, member: Member, partition: &Partition) -> bool {
        self.groups.get(name).is_some_and(|group| group.owner.get(partition) == Some(&member))
    }
}

/// Shares all partitions that somebody reads among `members`, keeping present owners where the balance allows.
fn assign(
    topics: &BTreeMap<std::sync::Arc<str>, i32>,
    members: &BTreeMap<Member, BTreeSet<String>>,
    owners: &BTreeMap<Partition, Member>,
) -> BTreeMap<Partition, Member> {
    let reads = |member: &Member, topic: &str| members.get(member).is_some_and(|topics| topics.contains(topic));
    let mut load: BTreeMap<Member, usize> = members.keys().map(|member| (*member, 0)).collect();
    let mut target: BTreeMap<Partition, Member> = BTreeMap::new();
    let mut free = Vec::new();
    for (topic, partitions) in topics {
        for partition in (0..*partitions).map(|partition| (topic.clone(), partition)) {
            match owners.get(&partition).filter(|owner| reads(owner, topic)) {
                Some(owner) => {
                    *load.entry(*owner).or_default() += 1;
                    target.insert(partition, *owner);
                }
                None => free.push(partition),
            }
        }
    }
    let lightest = |load: &BTreeMap<Member, usize>, topic: &str| {
        load.iter()
            .filter(|(member, _)| reads(member, topic))
            .min_by_key(|(member, n)| (**n, **member))
            .map(|(m, n)| (*m, *n))
    };
    for partition in free {
        if let Some((member, _)) = lightest(&load, &partition.0) {
            *load.entry(member).or_default() += 1;
            target.insert(partition, member);
        }
    }
    // Every move makes the sum of the squared loads smaller, so this ends.
    loop {
        let trade = target.iter().find_map(|(partition, owner)| {
            let (member, least) = lightest(&load, &partition.0)?;
            (load.get(owner)? > &(least + 1)).then(|| (partition.clone(), *owner, member))
        });
        let Some((partition, from, to)) = trade else { return target };
        load.entry(from).and_modify(|n| *n -= 1);
        *load.entry(to).or_default() += 1;
        target.insert(partition, to);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::local::Span;
    use proptest::prelude::*;

    fn catalogue(topics: &[(&str, usize)]) -> Catalogue {
        let catalogue = Catalogue::default();
        for (name, partitions) in topics {
            catalogue.add(name, vec![Span::default(); *partitions]);
        }
        catalogue
    }

    fn topics(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_string()).collect()
    }

    #[test]
    fn a_partition_is_free_only_after_its_owner_has_polled() {
        let catalogue = catalogue(&[("orders", 2)]);
        let mut groups = Groups::default();
        let first = groups.join("g", topics(&["orders"]));
        assert_eq!(groups.step("g", first, &catalogue).owned.len(), 2);
        let second = groups.join("g", topics(&["orders"]));
        assert!(groups.step("g", second, &catalogue).owned.is_empty(), "the first does not know yet");
        let step = groups.step("g", first, &catalogue);
        assert_eq!((step.owned.len(), step.released), (1, true));
        assert_eq!(groups.step("g", second, &catalogue).owned.len(), 1);
        groups.leave("g", first);
        assert_eq!(groups.step("g", second, &catalogue).owned.len(), 2);
    }

    #[test]
    fn members_get_only_what_they_read() {
        let catalogue = catalogue(&[("a", 3), ("b", 1)]);
        let mut groups = Groups::default();
        let a = groups.join("g", topics(&["a"]));
        let b = groups.join("g", topics(&["b"]));
        assert!(groups.step("g", a, &catalogue).owned.iter().all(|p| &*p.0 == "a"));
        assert_eq!(groups.step("g", b, &catalogue).owned.len(), 1);
    }

    proptest! {
        /// After any joins and leaves, once everybody has polled twice, each partition has one owner and loads are even.
        #[test]
        fn the_shares_are_whole_and_even(partitions in 1usize..12, moves in prop::collection::vec(any::<bool>(), 1..12)) {
            let catalogue = catalogue(&[("orders", partitions)]);
            let mut groups = Groups::default();
            let mut members = vec![groups.join("g", topics(&["orders"]))];
            for join in moves {
                if join || members.len() == 1 {
                    members.push(groups.join("g", topics(&["orders"])));
                } else {
                    groups.leave("g", members.remove(0));
                }
                for member in &members {
                    groups.step("g", *member, &catalogue);
                }
                let shares: Vec<_> = members.iter().map(|m| groups.step("g", *m, &catalogue).owned).collect();
                let all: BTreeSet<_> = shares.iter().flatten().collect();
                prop_assert_eq!(shares.iter().map(BTreeSet::len).sum::<usize>(), partitions);
                prop_assert_eq!(all.len(), partitions);
                let (least, most) = (shares.iter().map(BTreeSet::len).min(), shares.iter().map(BTreeSet::len).max());
                prop_assert!(most.unwrap() - least.unwrap() <= 1);
            }
        }
    }
}
