//! Checks what a server and its files are like, as far as that is more than the form of a key.

use super::declaration::{Files, element, share};
use super::grow::Compiler;
use super::language::{FILE_FAULT, FILES, LINK, LONGEST_FILE, ODD_LINK, PLACE};
use crate::topology::node::Node;
use crate::topology::reader::Reader;
use crate::topology::shape::Shape;
use crate::topology::{code, value};

/// Checks the `faults` of a server, a route or the files, each a `shape`.
pub(super) fn faults(compiler: &mut Compiler<'_>, of: &Reader<'_>, shape: &'static Shape) {
    let mut sum = 0.0;
    for item in of.items("faults") {
        let fault = element(item, shape);
        sum += share(&fault, "rate");
        let kind = fault.opt_text("kind");
        if fault.get("retry_after").is_some() && kind.is_some() {
            let at = fault.place("retry_after");
            compiler.wrong(code::EXCLUSIVE, at, "`retry_after` goes with `status`");
        }
        if fault.get("lasts").is_some() && !matches!(kind, Some("timeout" | "slow")) {
            let at = fault.place("lasts");
            compiler.wrong(code::EXCLUSIVE, at, "only a `timeout` and a `slow` file last some time");
        }
    }
    if sum > 1.0 {
        compiler.wrong(code::SIMULATION, of.place("faults"), "the rates add up to more than 1");
    }
}

/// Checks `files`.
pub(super) fn files(compiler: &mut Compiler<'_>, root: &Reader<'_>, read: Option<&Files>) {
    let files = root.object("files", &FILES);
    let Some(read) = read else { return };
    faults(compiler, &files, &FILE_FAULT);
    sizes(compiler, &files);
    let whole = |path: &str| path.starts_with('/') && path.ends_with('/') && path.len() > 1;
    if let Some(node) = files.get("under").filter(|_| !whole(&read.under)) {
        let problem = compiler.wrong(code::ADDRESS, node.span, format!("`{}` is no folder", read.under));
        problem.expected = Some("a path that begins and ends with `/`, such as `/files/`".into());
    }
    for item in files.items("places") {
        let place = element(item, &PLACE);
        sizes(compiler, &place);
        if let Some(node) = place.get("under")
            && !node.text().unwrap_or_default().starts_with(&read.under)
        {
            let message = format!("`{}` is not below the files", node.text().unwrap_or_default());
            compiler.wrong(code::ADDRESS, node.span, message).expected = Some(format!("a path below `{}`", read.under));
        }
    }
    let link = files.object("link", &LINK);
    if link.items("odd").iter().map(|item| share(&element(item, &ODD_LINK), "rate")).sum::<f64>() > 1.0 {
        compiler.wrong(code::SIMULATION, link.place("odd"), "the rates add up to more than 1");
    }
}

fn sizes(compiler: &mut Compiler<'_>, of: &Reader<'_>) {
    let Some(node) = of.get("size") else { return };
    compiler.ordered(node, value::size);
    let size = |node: &&Node| node.text().and_then(value::size).is_some_and(|size| size > LONGEST_FILE);
    if let Some(node) = node.items().iter().find(size) {
        let message = format!("`{}` is too long for a file that is made in memory", node.text().unwrap_or_default());
        compiler.wrong(code::SIMULATION, node.span, message).expected = Some("at most `256MiB`".into());
    }
}
