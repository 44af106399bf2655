//! `engine dlq list | show | replay | purge`: what flows have given up, and what to do about it. See [`crate::dlq`].
//!
//! Exit status: 0, it was done; 1, it could not be, or nothing is called what was asked for; 2, the command line or a topology
//! is wrong.

mod place;
mod text;

use std::path::PathBuf;

use clap::Subcommand;
use connectors::Category;
use connectors::clock::{Clock, Micros, SystemClock};

use super::{Failed, terminal};
use crate::dlq::{Action, Filter, Letter, Marks, Options, purge, replay};
use crate::expr::time::parse_timestamp;
use crate::topology::Environment;
use crate::topology::value::duration;
use place::Place;

/// Dead letters
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// One line for each dead letter
    List(ListArgs),
    /// Dead letters whole: headers, history and payload, secrets left out
    #[command(visible_aliases = ["view", "inspect"])]
    Show(ListArgs),
    /// Write dead letters to their flow's topic again
    Replay(ReplayArgs),
    /// Delete dead letters that were replayed
    Purge(PurgeArgs),
}

/// Which dead letters; nothing said means all.
#[derive(clap::Args)]
struct Selection {
    /// What names a letter: its trace, its key, `topic/partition/offset`, or the value of a field of its message, such as an event's id
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// The topologies [default: those in the folder `topologies`]
    #[arg(long, value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// Only of this flow, `topology/flow`, or topology; may be repeated
    #[arg(long, value_name = "NAME", visible_alias = "worker")]
    flow: Vec<String>,
    /// The folder of the embedded log
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Only of this category: transient, auth, permanent, circuit_open, unknown; may be repeated
    #[arg(long, value_name = "CATEGORY", value_parser = category)]
    category: Vec<Category>,
    /// Only what failed in this stage or block; may be repeated
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// Only with this key; may be repeated
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Only what died at this instant or later: ISO, or how long ago, such as `2h`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what died before this instant: ISO, or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only what was not replayed yet
    #[arg(long)]
    new: bool,
    /// How they are told
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

#[derive(clap::Args)]
struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
}

#[derive(clap::Args)]
struct ReplayArgs {
    #[command(flatten)]
    selection: Selection,
    /// At most so many
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    limit: usize,
    /// Those that were replayed before, too
    #[arg(long)]
    again: bool,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
struct PurgeArgs {
    #[command(flatten)]
    selection: Selection,
    /// Also those that were not replayed: their messages are lost
    #[arg(long)]
    discard: bool,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// A JSON document a line.
    Json,
}

fn category(text: &str) -> Result<Category, String> {
    let known = Category::ALL.map(Category::as_str).join(", ");
    Category::ALL.into_iter().find(|c| c.as_str() == text).ok_or(format!("a category is one of {known}"))
}

impl Selection {
    fn filter(&self, now: Micros) -> Result<Filter, Failed> {
        let instant = |text: &Option<String>| -> Result<Option<Micros>, Failed> {
            let Some(text) = text else { return Ok(None) };
            let ago = duration(text).and_then(|ago| Some(now.saturating_sub(Micros::try_from(ago.as_micros()).ok()?)));
            let found = ago.or_else(|| parse_timestamp(text));
            let wrong =
                || Failed::usage(format!("{text} is no time: 2026-01-10T12:00:00Z, or how long ago, such as 2h"));
            Ok(Some(found.ok_or_else(wrong)?))
        };
        Ok(Filter {
            categories: self.category.clone(),
            stages: self.stage.clone(),
            since: instant(&self.since)?,
            until: instant(&self.until)?,
            keys: self.key.clone(),
            ids: self.ids.clone(),
            new: self.new,
        })
    }

    /// Whoever names letters wants them to be there.
    fn found(&self, count: usize) -> Result<(), Failed> {
        if count > 0 || self.ids.is_empty() {
            return Ok(());
        }
        let ids = self.ids.join(", ");
        Err(Failed::running(vec![format!("no dead letter is called {ids}, or another option leaves it out")]))
    }
}

/// Runs `engine dlq`.
pub async fn run(args: Args, environment: Environment) -> Result<(), Failed> {
    match args.verb {
        Verb::List(args) => list(&args, false, &environment).await,
        Verb::Show(args) => list(&args, true, &environment).await,
        Verb::Replay(args) => send(&args, &environment).await,
        Verb::Purge(args) => delete(&args, &environment).await,
    }
}

async fn list(args: &ListArgs, whole: bool, environment: &Environment) -> Result<(), Failed> {
    let selection = &args.selection;
    let filter = selection.filter(SystemClock::new(1.0).now())?;
    let (mut total, mut new, mut rows) = (0, 0, Vec::new());
    for Place { queue, log } in place::open(selection, environment).await? {
        let marks = Marks::load(&*log, &queue.topic).await?;
        let mut scan = queue.scan(log).await?;
        while let Some(messages) = scan.next().await? {
            for letter in messages.into_iter().map(|message| queue.letter(message, &marks)) {
                if !queue.takes(&letter, &filter) {
                    continue;
                }
                total += 1;
                new += usize::from(letter.mark.is_none());
                if total > args.limit {
                    continue;
                }
                match (whole, selection.format) {
                    (_, Format::Json) => terminal::put(&text::json(&queue, &letter, None, whole))?,
                    (true, Format::Table) => terminal::put(&text::page(&queue, &letter))?,
                    (false, Format::Table) => rows.push(text::row(&queue, &letter)),
                }
            }
        }
    }
    if !rows.is_empty() {
        terminal::put(&text::table(&rows))?;
    }
    let more = total.saturating_sub(args.limit);
    let rest = if more > 0 { format!("; {more} more: --limit") } else { String::new() };
    terminal::say(format_args!("dead letters: {total}, not replayed yet: {new}{rest}"));
    selection.found(total)
}

/// Tells what is done with each letter, and remembers the first trouble with telling it.
struct Telling {
    format: Format,
    dry_run: bool,
    counts: [usize; 4],
    trouble: Option<Failed>,
}

impl Telling {
    fn new(format: Format, dry_run: bool) -> Self {
        Telling { format, dry_run, counts: [0; 4], trouble: None }
    }

    fn tell(&mut self, queue: &crate::dlq::Queue, letter: &Letter, action: Action) {
        let place = match action {
            Action::Replayed(_) => 0,
            Action::Already(_) => 1,
            Action::Purged => 2,
            Action::Kept => 3,
        };
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        let action = text::action(action, self.dry_run);
        let line = match self.format {
            Format::Json => text::json(queue, letter, Some(&action), false),
            Format::Table => text::line(queue, letter, &action),
        };
        if let Err(failed) = terminal::put(&line) {
            self.trouble.get_or_insert(failed);
        }
    }

    fn end(self) -> Result<(), Failed> {
        self.trouble.map_or(Ok(()), Err)
    }
}

async fn send(args: &ReplayArgs, environment: &Environment) -> Result<(), Failed> {
    let clock = SystemClock::new(1.0);
    let filter = args.selection.filter(clock.now())?;
    let mut telling = Telling::new(args.selection.format, args.dry_run);
    let mut left = args.limit;
    for Place { queue, log } in place::open(&args.selection, environment).await? {
        let options = Options { again: args.again, dry_run: args.dry_run, limit: left };
        let mut report = |letter: &Letter, action| telling.tell(&queue, letter, action);
        left -= replay(&queue, &log, &filter, options, || clock.now(), &mut report).await?;
    }
    let [replayed, already, ..] = telling.counts;
    let before = match already {
        0 => String::new(),
        n => format!("; replayed before and left alone: {n} (--again replays them once more)"),
    };
    let what = if args.dry_run { "would be replayed" } else { "replayed" };
    terminal::say(format_args!("dead letters {what}: {replayed}{before}"));
    telling.end()?;
    args.selection.found(replayed + already)
}

async fn delete(args: &PurgeArgs, environment: &Environment) -> Result<(), Failed> {
    let now = SystemClock::new(1.0).now();
    let filter = args.selection.filter(now)?;
    let mut telling = Telling::new(args.selection.format, args.dry_run);
    for Place { queue, log } in place::open(&args.selection, environment).await? {
        let mut report = |letter: &Letter, action| telling.tell(&queue, letter, action);
        purge(&queue, &log, &filter, (args.discard, args.dry_run), now, &mut report).await?;
    }
    let [.., purged, kept] = telling.counts;
    let stays = match kept {
        0 => String::new(),
        n => format!("; not replayed, so they stay: {n} (--discard deletes them all the same)"),
    };
    let what = if args.dry_run { "would be purged" } else { "purged" };
    terminal::say(format_args!("dead letters {what}: {purged}{stays}"));
    telling.end()?;
    args.selection.found(purged + kept)
}
