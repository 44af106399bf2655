//! What every log promises of transactions: records and positions are durable together, or neither is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::log::{PATIENCE, Seen, create, drain, join, numbers, plain, record, send, spec, text};
use crate::Category;
use crate::log::{Log, Position, Subscription};

/// With transactions, under a name that nobody else has.
fn transactional(group: &str, topics: &[&str], member: &str) -> Subscription {
    Subscription { transactions: Some(format!("{group}.{member}")), ..plain(group, topics) }
}

pub(super) async fn together(log: Arc<dyn Log>, name: String) {
    let (from, to) = (format!("{name}.from"), format!("{name}.to"));
    create(&*log, &[spec(&from, 1), spec(&to, 1)]).await;
    send(&*log, numbers(&from, 0..5)).await;
    let mut source = join(&*log, plain(&format!("{name}.plain"), &[&from])).await;
    if !source.is_transactional() {
        let result = source.commit_with_records(vec![record(&to, None, "no")], &Position::new()).await;
        assert_eq!(result.expect_err("it said it cannot").category, Category::Permanent);
    }
    let mut source = join(&*log, transactional(&name, &[&from], "0")).await;
    assert!(source.is_transactional());
    let seen = drain(&mut *source, 5).await;
    let result = source.commit_with_records(vec![record(&to, None, "out")], &seen.position()).await;
    result.expect("the transaction works");
    assert_eq!(log.position(&name, &from).await.expect("a position"), BTreeMap::from([(0, 5)]));
    assert_eq!(log.read(&to, 0, 0, 10).await.expect("reading works").len(), 1);
    // A partition that is not ours: nothing is written.
    let foreign = Position::from([((Arc::from(&*to), 0), 1)]);
    source.commit_with_records(vec![record(&to, None, "lost")], &foreign).await.expect_err("the partition is not ours");
    assert_eq!(log.read(&to, 0, 0, 10).await.expect("reading works").len(), 1);
    // A refusal ends nothing.
    send(&*log, numbers(&from, 5..6)).await;
    let next = drain(&mut *source, 1).await;
    let result = source.commit_with_records(vec![record(&to, None, "more")], &next.position()).await;
    result.expect("the transaction works");
    // Its successor under the same name goes on where it was.
    drop(source);
    let mut source = join(&*log, transactional(&name, &[&from], "0")).await;
    send(&*log, numbers(&from, 6..7)).await;
    let last = drain(&mut *source, 1).await;
    assert_eq!(last.texts(), ["6"]);
    source.commit_with_records(Vec::new(), &last.position()).await.expect("positions alone are a transaction too");
    let position = log.position(&name, &from).await.expect("a position");
    assert_eq!(position, BTreeMap::from([(0, 7)]));
    let written = log.read(&to, 0, 0, 10).await.expect("reading works");
    assert_eq!(written.iter().map(text).collect::<Vec<_>>(), ["out", "more"]);
}

pub(super) async fn lost(log: Arc<dyn Log>, name: String) {
    let (from, to) = (format!("{name}.from"), format!("{name}.to"));
    create(&*log, &[spec(&from, 2), spec(&to, 1)]).await;
    send(&*log, (0..20).map(|n| record(&from, Some(&format!("k{n}")), &n.to_string())).collect()).await;
    let mut first = join(&*log, transactional(&name, &[&from], "0")).await;
    let mut one = drain(&mut *first, 20).await;
    let mut second = join(&*log, transactional(&name, &[&from], "1")).await;
    let mut two = Seen::default();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while two.owned.is_empty() || one.revoked.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "no rebalance");
        one.poll(&mut *first).await;
        two.poll(&mut *second).await;
    }
    let all = one.position();
    first.commit_with_records(vec![record(&to, None, "both")], &all).await.expect_err("a partition was lost");
    assert!(log.position(&name, &from).await.expect("a position").is_empty());
    let kept: Position = all.into_iter().filter(|(partition, _)| !one.revoked.contains(partition)).collect();
    first.commit_with_records(vec![record(&to, None, "kept")], &kept).await.expect("the rest works");
    let written = log.read(&to, 0, 0, 10).await.expect("reading works");
    assert_eq!(written.iter().map(text).collect::<Vec<_>>(), ["kept"]);
}
