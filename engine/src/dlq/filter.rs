//! Which letters are meant.

use connectors::Category;
use connectors::clock::Micros;
use sonic_rs::JsonValueTrait;

use super::{Letter, Mark};
use crate::expr::json;
use crate::stage::dedup::key_text;
use crate::stage::message::header;

/// A header of other programs that names a message.
const TRACE_ID: &str = "trace_id";

/// What a letter must be to be meant. Nothing said means every letter; of several values of one kind one must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Its category.
    pub categories: Vec<Category>,
    /// The stage or block that failed.
    pub stages: Vec<String>,
    /// The first instant at which it died.
    pub since: Option<Micros>,
    /// The first instant that is too late.
    pub until: Option<Micros>,
    /// Its key.
    pub keys: Vec<String>,
    /// What names it: its trace, its key, its place as `topic/partition/offset` or `partition/offset`, or the value of a field at the
    /// top of its payload.
    pub ids: Vec<String>,
    /// Whether it was not replayed yet.
    pub new: bool,
}

impl Filter {
    /// Whether `letter` is meant. One that was purged never is.
    pub fn takes(&self, letter: &Letter) -> bool {
        let handled = match letter.mark {
            Some(Mark::Purged { .. }) => return false,
            Some(Mark::Replayed { .. }) => true,
            None => false,
        };
        let one = |all: &[String], text: Option<&str>| all.is_empty() || all.iter().any(|a| Some(a.as_str()) == text);
        let category = letter.text(header::CATEGORY);
        (self.categories.is_empty() || self.categories.iter().any(|c| c.as_str() == category))
            && one(&self.stages, letter.message.header(header::STAGE))
            && self.since.is_none_or(|since| letter.died() >= since)
            && self.until.is_none_or(|until| letter.died() < until)
            && one(&self.keys, letter.key().as_deref())
            && !(self.new && handled)
            && (self.ids.is_empty() || self.ids.iter().any(|id| named(letter, id)))
    }
}

fn named(letter: &Letter, id: &str) -> bool {
    let message = &letter.message;
    let place = format!("{}/{}", message.partition, message.offset);
    // With or without the topic in front.
    id.strip_suffix(&*place).is_some_and(|topic| topic.is_empty() || topic.strip_suffix('/') == Some(&*message.topic))
        || [header::TRACE, TRACE_ID].iter().any(|name| message.header(name) == Some(id))
        || letter.key().as_deref() == Some(id)
        || json::parse(&message.payload).is_ok_and(|payload| {
            json::entries(&payload).iter().any(|(_, value)| !value.is_null() && key_text(value) == id)
        })
}

/// The partition and the offset that `id` names, if it is a place without its topic.
pub fn place(id: &str) -> Option<(i32, i64)> {
    let (partition, offset) = id.split_once('/')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(partition) && digits(offset)).then_some(())?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use connectors::log::Message;

    use super::*;

    fn letter(mark: Option<Mark>) -> Letter {
        let headers = [("error_category", "auth"), ("stage", "project"), ("trace", "orders/0/4@7")];
        let message = Message {
            topic: "dead".into(),
            partition: 2,
            offset: 17,
            time: 1000,
            key: Some("k".into()),
            payload: br#"{"trace": "T-1", "n": 42, "in": {"id": "deep"}, "none": null}"#.to_vec().into(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        };
        Letter { message, mark, home: 0 }
    }

    #[test]
    fn a_letter_is_found_by_all_that_is_said_of_it() {
        let ids = |ids: &[&str]| Filter { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Filter::default() };
        let cases = [
            (Filter::default(), true),
            (Filter { categories: vec![Category::Auth, Category::Permanent], ..Filter::default() }, true),
            (Filter { categories: vec![Category::Permanent], ..Filter::default() }, false),
            (Filter { stages: vec!["project".into()], ..Filter::default() }, true),
            (Filter { stages: vec!["proj".into()], ..Filter::default() }, false),
            (Filter { since: Some(1000), until: Some(1001), ..Filter::default() }, true),
            (Filter { since: Some(1001), ..Filter::default() }, false),
            (Filter { until: Some(1000), ..Filter::default() }, false),
            (Filter { keys: vec!["k".into()], ..Filter::default() }, true),
            (Filter { keys: vec!["".into()], ..Filter::default() }, false),
            (Filter { categories: vec![Category::Auth], stages: vec!["other".into()], ..Filter::default() }, false),
            (ids(&["2/17"]), true),
            (ids(&["dead/2/17"]), true),
            (ids(&["other/2/17"]), false),
            (ids(&["12/17"]), false),
            (ids(&["/2/17"]), false),
            (ids(&["orders/0/4@7"]), true),
            (ids(&["k"]), true),
            (ids(&["T-1"]), true),
            (ids(&["42"]), true),
            (ids(&["zzz", "42"]), true),
            (ids(&["deep"]), false),
            (ids(&["null"]), false),
            (ids(&["T-"]), false),
        ];
        for (filter, expected) in cases {
            assert_eq!(filter.takes(&letter(None)), expected, "{filter:?}");
        }
        let (replayed, purged) = (Mark::Replayed { times: 1, at: 0 }, Mark::Purged { at: 0 });
        let new = Filter { new: true, ..Filter::default() };
        assert!(Filter::default().takes(&letter(Some(replayed))) && new.takes(&letter(None)));
        assert!(!new.takes(&letter(Some(replayed))) && !Filter::default().takes(&letter(Some(purged))));
    }
}
