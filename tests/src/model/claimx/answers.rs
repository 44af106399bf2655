//! The answers of the fake API by what was asked.

use serde_json::Value;

use crate::model::account::{Account, Answer};
use crate::model::coerce::{self, list};

/// Answers of one path.
#[derive(Clone, Debug, Default)]
pub struct Answers<'a> {
    /// Those that came whole with 200, oldest first.
    pub good: Vec<&'a Answer>,
    /// Some answer was a permanent error.
    pub permanent: bool,
    /// Some answer was a fault that passes.
    pub transient: bool,
}

impl<'a> Answers<'a> {
    /// The answers to requests of this method and path, whatever the API is mounted under.
    pub fn to(account: &'a Account, method: &str, path: &str) -> Self {
        let mut answers = Answers::default();
        for answer in account.answers.iter().filter(|a| a.method == method && a.path.ends_with(path)) {
            match answer.status {
                200 if answer.whole && !answer.body.is_string() => answers.good.push(answer),
                status @ 400..=499 if answer.whole && status != 401 && status != 429 => answers.permanent = true,
                _ => answers.transient = true,
            }
        }
        answers
    }

    /// The project `id`. A path ends with the integer, so that `"007"` asks for 7.
    pub fn project(account: &'a Account, id: &str) -> Option<Self> {
        Some(Self::to(account, "GET", &format!("/export/project/{}", integer(id)?)))
    }

    /// The media of the project `id`.
    pub fn media(account: &'a Account, id: &str) -> Option<Self> {
        Some(Self::to(account, "GET", &format!("/export/project/{}/media", integer(id)?)))
    }

    /// The task assignment `id`.
    pub fn task(account: &'a Account, id: &str) -> Option<Self> {
        Some(Self::to(account, "GET", &format!("/customTasks/assignment/{}", integer(id)?)))
    }

    /// Reports that may be about the claim `id`: those that name it; if none does, those that name no claim at all.
    pub fn report(account: &'a Account, id: &str) -> Self {
        let mut answers = Self::to(account, "POST", "/data");
        let names = |answer: &&Answer, wanted: Option<&str>| {
            let claims: Vec<Value> = reports(&answer.body).into_iter().map(|r| coerce::id(&r["claimId"])).collect();
            match wanted {
                Some(id) => claims.iter().any(|claim| claim == id),
                None => claims.iter().all(Value::is_null),
            }
        };
        let exact: Vec<&Answer> = answers.good.iter().copied().filter(|answer| names(answer, Some(id))).collect();
        answers.good = if exact.is_empty() {
            answers.good.iter().copied().filter(|answer| names(answer, None)).collect()
        } else {
            exact
        };
        answers
    }
}

/// The collaborations of a report.
pub fn reports(body: &Value) -> Vec<&Value> {
    list(body, &["data", "collaborations", "videoCollaboration"])
}

fn integer(id: &str) -> Option<i64> {
    id.trim().parse().ok()
}
