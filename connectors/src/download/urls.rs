//! Which URLs may be asked.
//!
//! The text is judged before it is parsed: URL parsers repair what they can (backslashes, tabs, octal addresses, full-width
//! letters), and a URL that needs repair is not one of ours. What parses is then compared with the text, so both must agree
//! on the host.

use url::Url;

use crate::redact::brief;
use crate::{Error, Result};

/// A URL that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The URL.
    pub url: Url,
    /// Whether it is one of the addresses of the local network that are allowed by name.
    pub local: bool,
}

/// The hosts that may be asked.
///
/// ```
/// use connectors::download::Urls;
///
/// let urls = Urls::new(&["files.example.com".into()], &["127.0.0.1:8080".into()]);
/// assert!(urls.check("https://files.example.com/a.pdf?sig=1").is_ok());
/// assert!(urls.check("http://127.0.0.1:8080/a.pdf").is_ok());
/// assert!(urls.check("http://files.example.com/a.pdf").is_err());
/// assert!(urls.check("https://files.example.com.evil.example/a.pdf").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Urls {
    allow: Vec<String>,
    allow_local: Vec<String>,
}

impl Urls {
    /// `allow`: hosts; `allow_local`: hosts with their port, or `*` for every loopback address. Case does not matter.
    pub fn new(allow: &[String], allow_local: &[String]) -> Self {
        let lower = |hosts: &[String]| hosts.iter().map(|host| host.trim().to_ascii_lowercase()).collect();
        Urls { allow: lower(allow), allow_local: lower(allow_local) }
    }

    /// Checks `text`. What is refused is a permanent error that says why.
    pub fn check(&self, text: &str) -> Result<Checked> {
        let refuse = |why: &str| Error::permanent(format!("the URL {} is refused: {why}", brief(text)));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("it must begin with https://"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if text.contains(|c: char| c.is_control() || c == '\\') {
            return Err(refuse("it holds a control character or a backslash"));
        }
        if text.trim_start() != text {
            return Err(refuse("it begins with a blank"));
        }
        if authority.contains('@') {
            return Err(refuse("it holds a user name or a password"));
        }
        if !authority.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']')) {
            return Err(refuse("its host holds a character that no host name has"));
        }
        let url = Url::parse(text).map_err(|e| refuse(&e.to_string()))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let authority = authority.to_ascii_lowercase();
        if authority != host && !authority.strip_prefix(&host).is_some_and(|port| port.starts_with(':')) {
            return Err(refuse("its host is written in an unusual way"));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let named = self.allow_local.contains(&format!("{host}:{port}"));
        let any = self.allow_local.iter().any(|a| a == "*") && matches!(&*host, "localhost" | "127.0.0.1" | "[::1]");
        if (named || any) && matches!(url.scheme(), "http" | "https") {
            return Ok(Checked { url, local: true });
        }
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(refuse("only https is allowed"));
        }
        if !matches!(url.host(), Some(url::Host::Domain(_))) {
            return Err(refuse("its host is an address, not a name"));
        }
        if url.port().is_some() {
            return Err(refuse("only the default port is allowed"));
        }
        if !self.allow.contains(&host) {
            return Err(
                refuse("its host is not allowed").hint("add the host to the connection's allow list if it is trusted")
            );
        }
        Ok(Checked { url, local: false })
    }

    /// Checks where a redirect from `from` leads.
    pub fn follow(&self, from: &Url, location: &str) -> Result<Checked> {
        // Joining would repair the location before anybody has seen it.
        if location.contains(|c: char| c.is_control() || c == '\\') {
            let message =
                format!("a redirect to {} is refused: it holds a control character or a backslash", brief(location));
            return Err(Error::permanent(message));
        }
        let joined = from
            .join(location)
            .map_err(|e| Error::permanent(format!("a redirect to {} is refused: {e}", brief(location))))?;
        let absolute = location.contains("://") && Url::parse(location).is_ok();
        self.check(if absolute { location } else { joined.as_str() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Category;

    fn urls() -> Urls {
        Urls::new(
            &["files.example.com".into(), "Store.Example.net".into()],
            &["localhost:8080".into(), "[::1]:9000".into()],
        )
    }

    #[test]
    fn what_is_allowed() {
        for url in [
            "https://files.example.com/a.pdf",
            "https://files.example.com:443/a.pdf",
            "HTTPS://FILES.example.COM/a.pdf",
            "https://store.example.net/a b/ü.pdf?sig=a%2Fb&x=@:\u{2044}",
            "https://files.example.com?x=1",
            "https://files.example.com",
            "http://localhost:8080/a.pdf",
            "https://localhost:8080/a.pdf",
            "http://[::1]:9000/a.pdf",
        ] {
            assert!(urls().check(url).is_ok(), "{url}: {:?}", urls().check(url));
        }
    }

    #[test]
    fn what_is_refused() {
        for url in [
            "",
            "files.example.com/a",
            "//files.example.com/a",
            "https:files.example.com/a",
            "https:/files.example.com/a",
            "https:///files.example.com/a",
            "https://",
            "https:///",
            " https://files.example.com/a",
            "http://files.example.com/a",
            "ftp://files.example.com/a",
            "file:///etc/passwd",
            "javascript://files.example.com/a",
            "data:text/plain,https://files.example.com/",
            "https://files.example.com.evil.example/a",
            "https://evil.example/files.example.com",
            "https://evil.example?files.example.com",
            "https://evil.example#files.example.com",
            "https://sub.files.example.com/a",
            "https://xfiles.example.com/a",
            "https://files.example.com./a",
            "https://files.example.com../a",
            "https://.files.example.com/a",
            "https://user@files.example.com/a",
            "https://user:pass@files.example.com/a",
            "https://files.example.com@evil.example/a",
            "https://files.example.com:443@evil.example/a",
            "https://evil.example:443#@files.example.com/",
            "https://evil.example\\@files.example.com/a",
            "https://files.example.com\\.evil.example/a",
            "https://files.example.com\\a",
            "https://files.example.com:8443/a",
            "https://files.example.com:80/a",
            "https://files.example.com:/a",
            "https://files.example.com:0443/a",
            "https://files.example.com:99999/a",
            "https://files.exa\tmple.com/a",
            "https://files.exa\nmple.com/a",
            "https://files.example.com/a\r\nHost: evil.example",
            "https://files.example.com/a\0",
            "https://files.example%2ecom/a",
            "https://files%00.example.com/a",
            "https://ﬁles.example.com/a",
            "https://ｆiles.example.com/a",
            "https://files。example。com/a",
            "https://files．example．com/a",
            "https://files｡example｡com/a",
            "https://fi\u{ad}les.example.com/a",
            "https://files\u{200b}.example.com/a",
            "https://files.example.com\u{202e}/a",
            "https://\u{feff}files.example.com/a",
            "https://files.example.com\u{2044}.evil.example/a",
            "https://files.example.com％2f.evil.example/a",
            "https://files.exampIe.com/a", // a capital i
            "https://files.example.com;.evil.example/a",
            "https://files.example.com,evil.example/a",
            "https://files.example.com%2f@evil.example/a",
            "https://files.example.com%23@evil.example/a",
            "https://files.example.com:443:80/a",
            "https://files.example.com:-443/a",
            "https://files.example.com:٤٤٣/a",
            "https://files.example.com:65979/a", // 443 and 65536
            "https://files.example.com /a",
            "https:\\\\files.example.com/a",
            "https:/\\files.example.com/a",
            "https\t://files.example.com/a",
            "jar:https://files.example.com/a",
            "view-source:https://files.example.com/a",
            "gopher://files.example.com:443/a",
            "wss://files.example.com/a",
            "https://filеs.example.com/a", // a Cyrillic e
            "https://xn--fils-z8d.example.com/a",
            "https://127.0.0.1/a",
            "https://127.1/a",
            "https://127.0.1/a",
            "https://0x7f.1/a",
            "https://017700000001/a",
            "https://0x7f.0.0.0x1/a",
            "https://0xa9fea9fe/a",
            "https://127.0.0.1./a",
            "https://127.0.0.1.nip.io/a",
            "https://①②⑦.⓪.⓪.①/a",
            "https://[::127.0.0.1]/a",
            "https://[::ffff:7f00:1]/a",
            "https://[::ffff:0:7f00:1]/a",
            "https://[64:ff9b::7f00:1]/a",
            "https://[2002:7f00:1::]/a",
            "https://[fd00:ec2::254]/a",
            "https://[::]/a",
            "https://2130706433/a",
            "https://0x7f000001/a",
            "https://0177.0.0.1/a",
            "https://0/a",
            "https://10.0.0.1/a",
            "https://169.254.169.254/latest/meta-data/",
            "https://8.8.8.8/a",
            "https://[::1]/a",
            "https://[::ffff:127.0.0.1]/a",
            "https://[fe80::1%25eth0]/a",
            "https://metadata.google.internal/a",
            "http://localhost/a",
            "http://localhost:8081/a",
            "http://127.0.0.1:8080/a",
            "http://LOCALHOST.:8080/a",
            "ftp://localhost:8080/a",
            "http://[::1]:9001/a",
            "http://[0:0:0:0:0:0:0:1]:9000/a",
        ] {
            let error = urls().check(url).err().map(|e| e.category);
            // A port that only repeats the default may be spelled in any way.
            let harmless = ["https://files.example.com:/a", "https://files.example.com:0443/a"].contains(&url);
            assert!(error == Some(Category::Permanent) || harmless, "{url} passed");
        }
    }

    #[test]
    fn addresses_are_refused_even_when_they_are_listed() {
        let urls = Urls::new(&["8.8.8.8".into(), "[2001:4860:4860::8888]".into()], &[]);
        for url in ["https://8.8.8.8/a", "https://0x08080808/a", "https://[2001:4860:4860::8888]/a"] {
            assert!(urls.check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_redirect_is_checked_like_a_url() {
        let from = Url::parse("https://files.example.com/a/b?x=1").expect("a URL");
        let cases = [
            ("c", Some("https://files.example.com/a/c")),
            ("/c?y=2", Some("https://files.example.com/c?y=2")),
            ("https://store.example.net/c", Some("https://store.example.net/c")),
            ("//store.example.net/c", Some("https://store.example.net/c")),
            ("/go?to=https://evil.example", Some("https://files.example.com/go?to=https://evil.example")),
            ("//evil.example/c", None),
            ("http://files.example.com/c", None),
            ("https://169.254.169.254/c", None),
            ("https://user@files.example.com/c", None),
            ("\\\\evil.example/c", None),
            ("/\t/evil.example/c", None),
            // What looks like a way out is a path.
            ("https:c", Some("https://files.example.com/a/c")),
            ("%2F%2Fevil.example/c", Some("https://files.example.com/a/%2F%2Fevil.example/c")),
            ("/..%2f..%2fetc", Some("https://files.example.com/..%2f..%2fetc")),
            ("../../../c", Some("https://files.example.com/c")),
            ("////evil.example/c", None),
            ("///evil.example/c", None),
            (" //evil.example/c", None),
            (" https://evil.example/c", None),
            ("//user@files.example.com/c", None),
            ("//files.example.com:8443/c", None),
            ("//127.1/c", None),
            ("//[::ffff:127.0.0.1]/c", None),
            ("//filеs.example.com/c", None), // a Cyrillic e
            ("HTTP://files.example.com/c", None),
            ("ftp://files.example.com/c", None),
            ("data:text/html,x", None),
            ("javascript:alert(1)", None),
            ("blob:https://files.example.com/c", None),
            ("file:///etc/passwd", None),
        ];
        for (location, expected) in cases {
            let checked = urls().follow(&from, location);
            assert_eq!(checked.as_ref().ok().map(|c| c.url.as_str()), expected, "{location}");
            assert!(checked.is_ok() || checked.is_err_and(|e| e.category == Category::Permanent));
        }
    }

    #[test]
    fn a_refusal_hides_the_secret() {
        let error = urls().check("https://evil.example/a?sig=abc").expect_err("refused");
        assert_eq!(error.message, "the URL https://evil.example/a?sig=[REDACTED] is refused: its host is not allowed");
    }
}
