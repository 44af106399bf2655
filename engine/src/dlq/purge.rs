//! Deleting letters.

use std::sync::Arc;

use connectors::Result;
use connectors::clock::Micros;
use connectors::log::Log;

use super::marks::At;
use super::{Action, Filter, Letter, Mark, Marks, Queue};

/// How much of a partition goes.
struct Cut {
    partition: i32,
    /// The offset before which everything goes.
    before: i64,
    /// Whether everything so far goes.
    whole: bool,
}

/// Deletes the letters that `filter` takes and that were replayed; with `discard` also those that were not. Tells `report` of each.
/// With `dry_run` nothing is deleted. Returns how many went, or would go.
pub async fn purge(
    queue: &Queue,
    log: &Arc<dyn Log>,
    filter: &Filter,
    (discard, dry_run): (bool, bool),
    now: Micros,
    report: &mut dyn FnMut(&Letter, Action),
) -> Result<usize> {
    let marks = Marks::load(&**log, &queue.topic).await?;
    let bounds = log.bounds(&queue.topic).await?;
    let mut cuts: Vec<Cut> =
        bounds.iter().map(|b| Cut { partition: b.partition, before: b.low, whole: true }).collect();
    // Letters behind one that stays: they cannot be deleted yet, so it is noted that they are to be.
    let mut hidden: Vec<(At, Mark)> = Vec::new();
    let mut gone = 0;
    let mut scan = queue.scan(log.clone()).await?;
    while let Some(messages) = scan.next().await? {
        for letter in messages.into_iter().map(|message| queue.letter(message, &marks)) {
            let at = (letter.message.partition, letter.message.offset);
            let before = matches!(letter.mark, Some(Mark::Purged { .. }));
            let now_too = queue.takes(&letter, filter) && (discard || letter.replays() > 0);
            if now_too {
                gone += 1;
                report(&letter, Action::Purged);
            } else if queue.takes(&letter, filter) {
                report(&letter, Action::Kept);
            }
            let Some(cut) = cuts.iter_mut().find(|cut| cut.partition == at.0) else { continue };
            cut.whole &= before || now_too;
            if cut.whole {
                cut.before = at.1 + 1;
            } else if now_too {
                hidden.push((at, Mark::Purged { at: now }));
            }
        }
    }
    if dry_run {
        return Ok(gone);
    }
    if !hidden.is_empty() {
        Marks::prepare(&**log, &queue.topic).await?;
        Marks::write(&**log, &queue.topic, &hidden).await?;
    }
    for (cut, _) in cuts.iter().zip(&bounds).filter(|(cut, bounds)| cut.before > bounds.low) {
        log.trim(&queue.topic, cut.partition, cut.before).await?;
    }
    // Marks that nobody needs do no harm; a topic that is only compacted cannot be cut.
    if let Err(error) = Marks::sweep(&**log, &queue.topic).await {
        tracing::debug!(topic = queue.topic, %error, "marks that nobody needs stay");
    }
    Ok(gone)
}
