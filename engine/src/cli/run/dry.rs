//! `engine run FILE --dry-run`: what a run would do with the next messages, without doing it.

use std::sync::Arc;

use connectors::clock::Clock;

use super::{Args, Failed, Topology, terminal};
use crate::run::dry::{self, Wishes};
use crate::run::{Embedded, Local, Options};

/// Runs it.
pub(super) async fn run(args: &Args, topologies: &[Topology], clock: &Arc<dyn Clock>) -> Result<(), Failed> {
    let wishes = Wishes { messages: args.messages, calls: !args.no_calls };
    terminal::say("dry run: nothing is written, no position moves, no file is downloaded or uploaded");
    for topology in topologies {
        for call in dry::calls(&topology.plan, &topology.chosen) {
            let name = &topology.plan.name;
            match wishes.calls {
                true => terminal::say(format_args!("{name}: may call {call}; --no-calls leaves it out")),
                false => terminal::say(format_args!("{name}: does not call {call}")),
            }
        }
    }
    for topology in topologies {
        let options = Options {
            data: args.data.clone(),
            workers: 1,
            create_topics: args.dev,
            local: if args.allow_local_urls { Local::Allowed } else { Local::Refused },
            discard: args.no_delta,
            embedded: Embedded::default(),
            clock: clock.clone(),
        };
        let mut unheard = None;
        let tell = |text: &str| {
            if let Err(failed) = terminal::put(text) {
                unheard.get_or_insert(failed);
            }
        };
        let ran = dry::run(topology.plan.clone(), &topology.chosen, &options, wishes, tell).await;
        ran.map_err(Failed::running)?;
        if let Some(failed) = unheard {
            return Err(failed);
        }
    }
    Ok(())
}
