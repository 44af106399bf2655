//! Addresses and settings of connections: what a client would refuse at its start is refused here.

use connectors::{kafka, store};

use super::super::{Connection, Kafka, ObjectStore};
use super::Builder;
use crate::expr::{Part, Template};
use crate::topology::node::{Entry, Node, Origin, Value};
use crate::topology::{Span, code};

/// Where tables can be, besides paths.
const TABLE_SCHEMES: &[&str] = &["file", "memory", "abfss", "abfs", "az", "azure", "adl"];

impl<'a> Builder<'a> {
    /// Checks what a connection's client is made of.
    pub(super) fn addresses(&mut self, entry: &'a Entry, connection: &Connection) {
        let Some(node) = entry.value.get(connection.kind()).filter(|node| !node.is_unset()) else { return };
        match connection {
            Connection::Kafka(kafka) => self.kafka_addresses(node, kafka),
            Connection::Http(_) => {
                if let Some(url) = node.get("url") {
                    self.api_url(url);
                }
                for header in node.get("headers").map_or(&[][..], Node::entries) {
                    self.request_header(header);
                }
            }
            Connection::Web(_) => self.hosts(node),
            Connection::ObjectStore(place) => self.store(node, place),
            Connection::Delta(_) => {
                if let Some(url) = node.get("url") {
                    self.table_url(url.span, url.text().unwrap_or_default());
                }
            }
        }
    }

    /// Where the url of a connection stands.
    pub(super) fn address_span(&self, name: &str, kind: &str) -> Option<Span> {
        let entry = self.root.entries("connections").iter().find(|e| e.key == name)?;
        entry.value.get(kind)?.get("url").map(|url| url.span)
    }

    /// Refuses a place that no table can be in.
    pub(super) fn table_url(&mut self, span: Span, url: &str) {
        let Some((scheme, _)) = url.split_once("://") else { return };
        if !TABLE_SCHEMES.contains(&scheme) {
            let message = format!("tables cannot be in a place that begins with `{scheme}://`");
            self.problem(code::ADDRESS, span, message).expected =
                Some("a path, or a url that begins with `file://`, `abfss://`, `az://` or `memory://`".into());
        }
    }

    /// Refuses a table's path that leads out of its connection, and wonders at one that does not begin there.
    pub(super) fn table_path(&mut self, node: &Node, path: &str, connection: &str) {
        self.table_url(node.span, path);
        if path.contains("://") {
            return;
        }
        if path.split('/').any(|segment| segment == "..") {
            let message = format!("the path of a table leads out of the connection `{connection}`");
            self.problem(code::ADDRESS, node.span, message).expected =
                Some("a path below the connection's url, or a whole url".into());
        } else if path.starts_with('/') {
            // A folder of this machine is a place among others; behind a store of its own it is a slip.
            let elsewhere = match self.connections.get(connection) {
                Some(Connection::Delta(delta)) => delta.url.contains("://") && !delta.url.starts_with("file://"),
                _ => false,
            };
            let code = if elsewhere { code::ADDRESS } else { code::OUTSIDE };
            let written = matches!(&node.value, Value::Scalar(scalar) if scalar.origin == Origin::Written);
            if !elsewhere && !written {
                return;
            }
            let message = format!("the path of a table is absolute: it is not below the connection `{connection}`");
            let problem = self.problem(code, node.span, message);
            problem.help = Some(if written {
                format!("leave out the first `/`, or say `file://{path}` if that is meant")
            } else {
                "leave out the first `/`, or give a whole url".into()
            });
        }
    }

    /// Refuses the literal parts of a template that no value makes right: where a path must begin, and where it may not lead.
    pub(super) fn template_path(&mut self, node: &Node, template: &Template, key: &str) {
        let text = template.text();
        if matches!(key, "get" | "post") && !text.is_empty() && !text.starts_with(['/', '?']) {
            let span = node.locate(self.source, 0, text.len());
            let whole = text.contains("://");
            let problem = self.problem(code::ADDRESS, span, "the path of a request begins with `/`");
            if whole {
                problem.help = Some("its host is that of the connection's `url`: write what stands behind that".into());
            } else {
                *problem = problem.clone().write(format!("/{text}"));
            }
        }
        // A value is one segment, or a part of one.
        let parts = template.parts().iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Expr(..) => "_",
        });
        let path: String = parts.collect();
        let path = if key == "to" { path.as_str() } else { path.split(['?', '#']).next().unwrap_or_default() };
        let Some(dots) = path.split('/').find(|segment| matches!(*segment, "." | "..")) else { return };
        let offset = text.split('/').scan(0, |at, segment| {
            let start = *at;
            *at += segment.len() + 1;
            Some((start, segment))
        });
        let offset = offset.into_iter().find(|(_, segment)| *segment == dots).map_or(0, |(at, _)| at);
        let span = node.locate(self.source, offset, dots.len());
        let message = format!("a segment of the path is `{dots}`: it would lead elsewhere, and is refused each time");
        self.problem(code::ADDRESS, span, message).help = Some("write the path that is meant, without it".into());
    }

    fn kafka_addresses(&mut self, node: &'a Node, kafka: &Kafka) {
        if let (Some(brokers), Some(at)) = (&kafka.brokers, node.get("brokers"))
            && let Some(bad) = brokers.split(',').map(str::trim).find(|broker| !is_broker(broker))
        {
            // What came from the environment is not shown.
            let message = if at.shown().contains(bad) {
                format!("`{bad}` is no broker")
            } else {
                format!("{} names no broker", at.shown())
            };
            self.problem(code::ADDRESS, at.span, message).expected =
                Some("`host:port`, several between commas, or `embedded`".into());
        }
        for (key, side) in [("consumer", kafka::Side::Consumer), ("producer", kafka::Side::Producer)] {
            for setting in node.get(key).map_or(&[][..], Node::entries) {
                let Err(error) = kafka::check_setting(side, &setting.key, setting.value.text().unwrap_or_default())
                else {
                    continue;
                };
                let problem = self.problem(code::SETTING, setting.at, error.message);
                problem.help = error.hint;
            }
        }
    }

    fn api_url(&mut self, node: &Node) {
        let text = node.text().unwrap_or_default();
        if text.is_empty() {
            return;
        }
        let (what, help) = match url::Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() => {
                ("is no address of an API".to_owned(), None)
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                ("holds credentials".to_owned(), Some("move them to the connection's `auth`"))
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => (
                "has a query or a fragment".to_owned(),
                Some("a query belongs to the call: `query: {name: expression}`"),
            ),
            Ok(_) => return,
            Err(error) => (format!("is no url: {error}"), None),
        };
        // It may hold a secret.
        let message = format!("the url {what}");
        let problem = self.problem(code::ADDRESS, node.span, message);
        problem.expected = Some("a url that begins with `https://` or `http://` and a host".into());
        problem.help = help.map(str::to_owned);
    }

    fn request_header(&mut self, header: &Entry) {
        if let Err(error) = connectors::http::check_header(&header.key, header.value.text().unwrap_or_default()) {
            self.problem(code::SETTING, header.at, error.message);
        }
    }

    fn hosts(&mut self, node: &'a Node) {
        let allowed = node.get("allow");
        if let Some(list) = allowed.filter(|list| list.items().is_empty() && list.text().is_none()) {
            self.problem(code::ADDRESS, list.span, "no host is allowed: every download would be refused").expected =
                Some("names of hosts, such as `[files.example.com]`".into());
        }
        for host in allowed.map_or(&[][..], Node::items) {
            let text = host.text().unwrap_or_default().trim();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            if text.is_empty() || text.chars().all(plain) || text.starts_with('[') {
                continue;
            }
            let shown = host.shown();
            let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
            let bare = bare.split(['/', ':', '?']).next().unwrap_or_default();
            let problem = self.problem(code::ADDRESS, host.span, format!("{shown} is no name of a host"));
            problem.expected = Some("the exact name alone, such as `files.example.com`".into());
            if text.contains('*') {
                problem.help = Some("name each host: there are no patterns".into());
            } else if !bare.is_empty() && bare.chars().all(plain) && shown.contains(bare) {
                problem.help = Some(format!("write `{bare}`"));
                problem.suggestion = Some(bare.to_owned());
            }
        }
        for kind in node.get("types").map_or(&[][..], Node::entries) {
            if let Some(bare) = kind.key.strip_prefix('.') {
                let problem = self.problem(code::SETTING, kind.at, format!("`{}` is no extension", kind.key));
                problem.help = Some(format!("write `{bare}`, without the dot"));
                problem.suggestion = Some(bare.to_owned());
            }
            for mime in kind.value.items().iter().filter(|item| item.text().is_some_and(|text| !text.contains('/'))) {
                self.problem(code::SETTING, mime.span, format!("{} is no content type", mime.shown())).expected =
                    Some("a type such as `application/pdf`".into());
            }
        }
    }

    fn store(&mut self, node: &'a Node, place: &ObjectStore) {
        let storage = place.options.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
        let options = store::Options { url: place.url.clone(), storage };
        if place.url.trim().is_empty() {
            return;
        }
        if let Err(error) = store::check(&options) {
            // An unknown option is told at the option, everything else at the url.
            let option = node.get("options").map_or(&[][..], Node::entries).iter();
            let option = option.clone().find(|entry| error.message.contains(&format!("{:?}", entry.key)));
            let span = option.map(|entry| entry.at).or(node.get("url").map(|url| url.span)).unwrap_or(node.span);
            let problem = self.problem(code::ADDRESS, span, error.message);
            problem.help = error.hint;
        }
    }
}

/// Whether a text is `host`, `host:port` or `protocol://host:port`.
fn is_broker(text: &str) -> bool {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    !host.is_empty()
        && host.chars().all(plain)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers() {
        for good in
            ["localhost", "localhost:9092", "b-1.example.com:9093", "[::1]:9092", "SASL_SSL://b:1", "10.0.0.1:9092"]
        {
            assert!(is_broker(good), "{good}");
        }
        for bad in ["", "b:", "b:x", "b:0", "b:70000", "a b:1", ":9092", "http://b/x:1"] {
            assert!(!is_broker(bad), "{bad}");
        }
    }
}
