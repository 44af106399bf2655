//! Files from hosts that are named in advance.
//!
//! URLs come from outside, so a download is a request that a stranger chose. What holds:
//! - Only hosts on the list are asked, over TLS, at their default port ([`Urls`]). Each redirect is checked like the first
//!   URL. A host that is reached in the local network must be named with its port in [`Options::allow_local`].
//! - The addresses that were checked are the ones that are connected to: private, loopback, link-local and metadata
//!   addresses are refused where names are resolved ([`address`]), so a name cannot change its mind in between.
//! - A file is streamed to the [`Spool`](crate::spool::Spool) in pieces and appears there whole or not at all. It is never
//!   longer than [`Options::max_size`], and as long as the server said.
//! - Its type is checked by extension, content type and first bytes ([`Types`]).
//!
//! Errors carry the status of the answer, so a caller can tell an expired link (403) from a missing file (404). They hold
//! redacted URLs only.

pub mod address;
mod fetch;
mod types;
mod urls;
mod web;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Category;

pub use fetch::{Downloaded, Downloader};
pub use types::{Types, sniff};
pub use urls::{Checked, Urls};
pub use web::{Answer, Web};

/// Where files may come from and what they may be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts, exact, in lower case.
    pub allow: Vec<String>,
    /// Addresses in the local network as `host:port`, which may be asked over http or https although they are not
    /// public. For simulations and for hosts behind a private endpoint. `*` is every loopback address.
    pub allow_local: Vec<String>,
    /// The longest file in bytes.
    pub max_size: u64,
    /// The longest silence: until the answer begins, and between two of its pieces. There is no limit on the whole
    /// download here; the caller gives it up by dropping it.
    pub idle_timeout: Duration,
    /// Downloads at a time.
    pub concurrency: usize,
    /// Redirects that are followed.
    pub redirects: usize,
    /// What files may be.
    pub types: Types,
    /// What statuses mean where it differs from the default table: by status, or by class (`5` for every 5xx).
    pub classify: BTreeMap<u16, Category>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            allow: Vec::new(),
            allow_local: Vec::new(),
            max_size: 4 << 30,
            idle_timeout: Duration::from_secs(30),
            concurrency: 20,
            redirects: 5,
            types: Types::default(),
            classify: BTreeMap::new(),
        }
    }
}
