//! One request of an API, from its templates to its answer.
//!
//! A null in the path is a permanent failure, a null query value is left out. The answer is bound as the object it is, with
//! `fetched_at`, the instant its request was sent; an answer that is not an object is bound under `data`. Pages are joined
//! under `data`.

use std::sync::Arc;

use bytes::Bytes;
use connectors::clock::Micros;
use connectors::http::{Client, Request, Response};
use connectors::{Category, Error};
use sonic_rs::{JsonContainerTrait, JsonValueMutTrait, JsonValueTrait};

use super::Failure;
use crate::expr::{Bindings, Env, Escape, Expr, Json, Scope, json, time};
use crate::plan::{Call, Paginate, Place};

/// A request that can be sent, and compared with others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rendered {
    /// Path and query.
    pub target: String,
    /// The body.
    pub body: Option<Bytes>,
    /// Headers besides those of the connection.
    pub headers: Vec<(String, String)>,
}

/// An answer, ready to be bound.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The binding's value; null where the status says that there is nothing.
    pub value: Json,
    /// When the request was sent.
    pub fetched_at: Micros,
}

/// A call that is connected.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    call: Call,
    name: Arc<str>,
    place: Place,
}

impl Caller {
    /// `call` of the stage `name`, over `client`.
    pub fn new(client: Client, call: Call, name: Arc<str>, place: Place) -> Self {
        Caller { client, call, name, place }
    }

    /// How many calls are made at a time at present.
    pub fn limit(&self) -> usize {
        self.client.limit()
    }

    /// The request for a document.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Rendered, Failure> {
        let failure = |text: String| Failure::new(Category::Permanent, text, &self.name, &self.place);
        let mut target = match self.call.path.render(scope, Escape::Segment) {
            Ok(Some(path)) => path,
            Ok(None) => return Err(failure("a value in the path is null".to_owned())),
            Err(e) => return Err(failure(format!("path: {e}"))),
        };
        let value = |name: &str, e: &Expr| e.eval(scope).map_err(|e| failure(format!("{name}: {e}")));
        let mut separator = if target.contains('?') { '&' } else { '?' };
        for (name, expr) in &self.call.query {
            let value = value(name, expr)?;
            if !value.is_null() && value.as_bool() != Some(false) {
                target.push(separator);
                target.push_str(&escape(name));
                target.push('=');
                target.push_str(&escape(&super::dedup::key_text(&value)));
                separator = '&';
            }
        }
        let body = if self.call.body.is_empty() {
            None
        } else {
            let mut fields = Vec::with_capacity(self.call.body.len());
            for (name, expr) in &self.call.body {
                fields.push((name.as_str(), value(name, expr)?));
            }
            fields.retain(|(_, value)| !value.is_null());
            Some(Bytes::from(json::to_text(&json::object(fields))))
        };
        let mut headers = Vec::new();
        for (name, expr) in &self.call.headers {
            let value = value(name, expr)?;
            if !value.is_null() {
                headers.push((name.clone(), super::dedup::key_text(&value)));
            }
        }
        Ok(Rendered { target, body, headers })
    }

    /// Sends `rendered` and reads the answer, all its pages. Also returns how many calls that took.
    pub async fn send(&self, rendered: &Rendered, env: &Env) -> (Result<Answer, Error>, u32) {
        let mut calls = 1;
        let first = match self.exchange(rendered).await {
            Ok(first) => first,
            Err(e) if e.status.is_some_and(|s| self.call.absent.contains(&s)) => {
                return (Ok(Answer { value: Json::new(), fetched_at: env.now }), calls);
            }
            Err(e) => return (Err(e), calls),
        };
        let fetched_at = first.0.requested_at;
        let result = match &self.call.paginate {
            None => Ok(first.1),
            Some(paginate) => self.pages(rendered, first, paginate, env, &mut calls).await,
        };
        (result.map(|value| Answer { value: with_instant(value, fetched_at), fetched_at }), calls)
    }

    async fn exchange(&self, rendered: &Rendered) -> Result<(Response, Json), Error> {
        let mut request = match (&rendered.body, self.call.method) {
            (None, "GET") => Request::get(rendered.target.clone()),
            (body, _) => Request::post(rendered.target.clone(), body.clone().unwrap_or_default()),
        };
        request.headers.clone_from(&rendered.headers);
        let response = self.client.send(&request).await?;
        if let Some(limit) = self.call.max_answer.filter(|limit| response.body.len() > *limit) {
            return Err(Error::permanent(format!("{request}: the answer is longer than {limit} bytes")));
        }
        // A body that breaks off can be whole by its length: what is not JSON may be so the next time.
        let value = json::parse(&response.body)
            .map_err(|e| Error::transient(format!("{request}: the answer is not JSON: {e}")))?;
        Ok((response, value))
    }

    async fn pages(
        &self,
        rendered: &Rendered,
        first: (Response, Json),
        paginate: &Paginate,
        env: &Env,
        calls: &mut u32,
    ) -> Result<Json, Error> {
        let (mut response, mut value) = first;
        let mut joined: Vec<Json> = Vec::new();
        let mut bytes = 0;
        let limit = match paginate {
            Paginate::Link { pages } | Paginate::Next { pages, .. } | Paginate::Cursor { pages, .. } => *pages,
        };
        loop {
            bytes += response.body.len();
            if let Some(limit) = self.call.max_answer.filter(|limit| bytes > *limit) {
                return Err(Error::permanent(format!(
                    "the pages of the answer are longer than {limit} bytes together"
                )));
            }
            let page = value.get("data").filter(|d| d.is_array()).unwrap_or(&value);
            match page.as_array() {
                Some(list) => joined.extend(list.iter().cloned()),
                None => joined.push(page.clone()),
            }
            let Some(target) = next_page(rendered, &response, &value, paginate, env)? else { break };
            if *calls as usize >= limit {
                return Err(Error::permanent(format!("the answer has more than {limit} pages")));
            }
            *calls += 1;
            (response, value) = self.exchange(&Rendered { target, ..rendered.clone() }).await?;
        }
        Ok(json::object([("data", Json::from(joined))]))
    }
}

/// The target of the page after `value`, if there is one.
fn next_page(
    rendered: &Rendered,
    response: &Response,
    value: &Json,
    paginate: &Paginate,
    env: &Env,
) -> Result<Option<String>, Error> {
    let in_answer = |expr: &Expr| -> Result<Option<String>, Error> {
        let mut bindings = Bindings::default();
        bindings.set("answer".into(), value.clone());
        let found = expr.eval(&Scope { bindings: &bindings, root: None, env });
        let found = found.map_err(|e| Error::permanent(format!("next page: {e}")))?;
        Ok((!found.is_null()).then(|| super::dedup::key_text(&found)).filter(|t| !t.is_empty()))
    };
    Ok(match paginate {
        Paginate::Link { .. } => response.header("link").and_then(|links| {
            let next = links.split(',').find(|l| l.contains("rel=\"next\"") || l.contains("rel=next"))?;
            Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
        }),
        Paginate::Next { url, .. } => in_answer(url)?,
        Paginate::Cursor { value, parameter, .. } => in_answer(value)?.map(|cursor| {
            let separator = if rendered.target.contains('?') { '&' } else { '?' };
            format!("{}{separator}{}={}", rendered.target, escape(parameter), escape(&cursor))
        }),
    })
}

fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The answer as it is bound: an object with `fetched_at`.
fn with_instant(value: Json, fetched_at: Micros) -> Json {
    let mut bound = if value.is_object() { value } else { json::object([("data", value)]) };
    if let Some(object) = bound.as_object_mut() {
        object.insert("fetched_at", json::text(&time::format_timestamp(fetched_at)));
    }
    bound
}
