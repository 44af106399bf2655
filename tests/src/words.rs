//! Pieces of Markdown pages: blocks of code, and command lines as a shell would cut them.

/// The words of a command line; what stands in quotes is one.
pub fn words(line: &str) -> Vec<String> {
    line.split('"')
        .enumerate()
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

/// A block of code: what stands behind its fence, such as `yaml shop.yaml`, and its lines.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence.
    pub info: String,
    /// The lines, each with its end.
    pub text: String,
    /// The line of the page that the fence is on.
    pub line: usize,
}

/// The blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut inside = false;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(_), true) => inside = false,
            (Some(info), false) => {
                inside = true;
                found.push(Block { info: info.trim().to_owned(), text: String::new(), line: at + 1 });
            }
            (None, true) => {
                if let Some(block) = found.last_mut() {
                    block.text += &format!("{line}\n");
                }
            }
            (None, false) => {}
        }
    }
    assert!(!inside, "a block of the page has no end");
    found
}
