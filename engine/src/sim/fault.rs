//! What goes wrong, and when. Whether a call is faulted is a function of the seed, its path and how often that path was
//! called before, so that a call that is tried again meets a new draw and gets through in the end.

use std::time::Duration;

use super::declaration::{FaultDeclaration, FaultKind, Latency, Span};
use super::draw::Draw;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another status, perhaps with a `Retry-After`.
    Status(u16, Option<Duration>),
    /// The connection or the body; how long it takes.
    Kind(FaultKind, Duration),
}

impl Fault {
    /// The name it has in the account.
    pub(super) fn name(self) -> String {
        match self {
            Fault::Status(status, _) => status.to_string(),
            Fault::Kind(kind, _) => match kind {
                FaultKind::Timeout => "timeout",
                FaultKind::Reset => "reset",
                FaultKind::Truncated => "truncated",
                FaultKind::Slow => "slow",
                FaultKind::Redirect => "redirect",
                FaultKind::GenericType => "generic_type",
            }
            .to_owned(),
        }
    }

    /// Draws the fault of one call from what is declared.
    pub(super) fn draw(faults: &[FaultDeclaration], draw: Draw) -> Option<Fault> {
        let mut at = draw.unit();
        for fault in faults {
            if at < fault.rate {
                return Some(match (fault.status, fault.kind) {
                    (Some(status), _) => Fault::Status(status, fault.retry_after.map(|s| s.0)),
                    (None, kind) => {
                        let kind = kind.unwrap_or(FaultKind::Reset);
                        Fault::Kind(kind, fault.lasts.unwrap_or(Span(default(kind))).0)
                    }
                });
            }
            at -= fault.rate;
        }
        None
    }
}

fn default(kind: FaultKind) -> Duration {
    match kind {
        FaultKind::Timeout => Duration::from_secs(60),
        FaultKind::Slow => Duration::from_millis(500),
        _ => Duration::ZERO,
    }
}

/// What is wrong with a list of faults.
pub(super) fn check(faults: &[FaultDeclaration], files: bool, place: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for (i, fault) in faults.iter().enumerate() {
        let place = format!("{place}[{i}]");
        if fault.status.is_some() == fault.kind.is_some() {
            errors.push(format!("{place}: give either a status or a kind"));
        }
        if fault.status.is_some_and(|s| !(100..=999).contains(&s)) {
            errors.push(format!("{place}: the status has three digits"));
        }
        if !(0.0..=1.0).contains(&fault.rate) {
            errors.push(format!("{place}: the rate is from 0 to 1"));
        }
        let only_files = [FaultKind::Slow, FaultKind::Redirect, FaultKind::GenericType];
        if !files && fault.kind.is_some_and(|k| only_files.contains(&k)) {
            errors.push(format!("{place}: this kind of fault is for files"));
        }
    }
    if faults.iter().map(|f| f.rate).sum::<f64>() > 1.0 {
        errors.push(format!("{place}: the rates add up to more than 1"));
    }
    errors
}

impl Latency {
    /// How long one answer takes.
    pub(super) fn draw(self, draw: Draw) -> Duration {
        let (mean, jitter) = (self.mean.micros(), self.jitter.micros());
        Duration::from_micros(u64::try_from(draw.between(mean - jitter, mean + jitter)).unwrap_or(0))
    }
}
