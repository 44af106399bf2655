//! What is said about an API as a whole: one line when it refuses our credentials, cannot be reached, or answers again.
//! What single calls meet is told by whoever made them.
//!
//! A wrong password or a wrong address shows with the first call, so that is when it is said. Later a lost connection is
//! nothing special; that the breaker opens is. The same news is not told twice within [`QUIET`].

use crate::clock::Micros;
use crate::{Category, Error};

/// How long news is not repeated, in microseconds.
const QUIET: Micros = 60_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Well,
    Refused,
    Down,
}

/// Something worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It refuses our credentials.
    Refused,
    /// There is no connection, and never was one.
    Unreachable,
    /// The breaker opened.
    Down,
    /// It answers again.
    Well,
}

/// How an API is, as far as its answers tell.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: State,
    /// Bad news was told that is not over.
    amiss: bool,
    last: Option<(News, Micros)>,
}

impl Health {
    /// Takes in how an exchange ended, and whether the breaker `opened` with it. Returns what is worth telling.
    pub(super) fn record(&mut self, result: Result<(), &Error>, opened: bool, now: Micros) -> Option<News> {
        let (state, news) = match result {
            Ok(()) => (State::Well, News::Well),
            Err(error) if error.category == Category::Auth => (State::Refused, News::Refused),
            Err(_) if opened => (State::Down, News::Down),
            Err(error) if error.category == Category::Permanent && error.status.is_some() => (State::Well, News::Well),
            // What was refused before it was sent says nothing of the API.
            Err(error) if error.category == Category::Permanent => return None,
            Err(error) if error.status.is_none() && self.state == State::Unknown => (State::Down, News::Unreachable),
            Err(_) => return None,
        };
        if std::mem::replace(&mut self.state, state) == state {
            return None;
        }
        if news == News::Well {
            return std::mem::take(&mut self.amiss).then_some(news);
        }
        if self.last.is_some_and(|(last, at)| last == news && now - at < QUIET) {
            return None;
        }
        self.last = Some((news, now));
        self.amiss = true;
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(category: Category, status: Option<u16>) -> Error {
        Error { status, ..Error::new(category, "no") }
    }

    #[test]
    fn each_change_is_told_once() {
        let refused = failed(Category::Auth, Some(401));
        let lost = failed(Category::Transient, None);
        let busy = failed(Category::Transient, Some(503));
        let absent = failed(Category::Permanent, Some(404));
        let s = 1_000_000;
        type Step<'a> = (Result<(), &'a Error>, bool, Micros, Option<News>);
        let unsent = failed(Category::Permanent, None);
        let cases: [&[Step<'_>]; 7] = [
            // What was never sent says nothing.
            &[(Err(&unsent), false, 0, None), (Err(&lost), false, s, Some(News::Unreachable))],
            &[(Ok(()), false, 0, None), (Err(&lost), false, s, None), (Err(&busy), true, s, Some(News::Down))],
            &[
                (Err(&lost), false, 0, Some(News::Unreachable)),
                (Err(&lost), false, s, None),
                (Ok(()), false, s, Some(News::Well)),
            ],
            &[
                (Err(&refused), false, 0, Some(News::Refused)),
                (Err(&refused), false, s, None),
                (Err(&busy), false, s, None),
            ],
            &[
                (Err(&refused), false, 0, Some(News::Refused)),
                (Err(&absent), false, s, Some(News::Well)),
                (Ok(()), false, s, None),
            ],
            // What comes and goes is told once a minute.
            &[
                (Err(&busy), true, 0, Some(News::Down)),
                (Ok(()), false, s, Some(News::Well)),
                (Err(&busy), true, 2 * s, None),
                (Ok(()), false, 3 * s, None),
                (Err(&busy), true, 61 * s, Some(News::Down)),
            ],
            // Other bad news than the last is told at once.
            &[(Err(&lost), false, 0, Some(News::Unreachable)), (Err(&refused), false, s, Some(News::Refused))],
        ];
        for steps in cases {
            let mut health = Health::default();
            for (index, (result, opened, now, news)) in steps.iter().enumerate() {
                assert_eq!(health.record(*result, *opened, *now), *news, "step {index} of {steps:?}");
            }
        }
    }
}
