//! A line or a block that is indented wrongly: one slip, and much that follows from it.
//!
//! What the slip was is found by trying. Lines near the problems are moved to the indentations that their neighbours have, alone or
//! with what stands below them, and the whole text is checked again. The move that leaves the least is the problem that is
//! told, together with what is wrong apart from it. So nothing that only follows from the slip needs to be known as such.

use super::diagnostic::{Diagnostic, Severity, code};
use super::source::{Source, Span};

/// How many bytes of text the forms of moved texts are read from at most: a long file gets fewer tries.
const READ_BYTES: usize = 2 << 20;
/// How many bytes of text are checked completely.
const CHECK_BYTES: usize = 256 << 10;
/// At how many lines with problems a slip is looked for.
const LINES: usize = 6;
/// How far up from such a line.
const ABOVE: usize = 12;

/// The codes of problems that a wrong indentation shows itself by.
const FORM: &[&str] = &[
    code::YAML,
    code::UNKNOWN_KEY,
    code::MISSING_KEY,
    code::WRONG_KIND,
    code::DUPLICATE_KEY,
    code::EXCLUSIVE,
    code::BAD_NAME,
];

/// How a text is read and checked.
pub(super) trait Check {
    /// How many problems the form of a text has; none: it is not YAML.
    fn form(&self, source: &Source) -> Option<usize>;
    /// All problems of a text.
    fn all(&self, source: &Source) -> Vec<Diagnostic>;
}

/// The problems of `source` if they come from a line or block that is indented wrongly: that one, and those that are left when
/// it is moved.
pub(super) fn mend(source: &Source, problems: &[Diagnostic], check: &dyn Check) -> Option<Vec<Diagnostic>> {
    let own: Vec<&Diagnostic> = errors(problems).filter(|p| p.position.file == source.name).collect();
    let formless = own.iter().any(|problem| problem.code == code::YAML);
    let few = match own.as_slice() {
        [one] => !formless && !is_stray(one),
        all => !all.iter().any(|problem| FORM.contains(&problem.code)),
    };
    if few {
        return None;
    }
    let text = Text::new(source);
    let limit = |bytes: usize, most: usize| (bytes / source.text.len().max(1)).clamp(4, most);
    let (reads, mut checks) = (limit(READ_BYTES, 160), limit(CHECK_BYTES, 10));
    let before = check.form(source).unwrap_or(usize::MAX);
    let mut best: Option<Best> = None;
    let mut later: Vec<(usize, Move)> = Vec::new();
    for moved in text.moves(&own).into_iter().take(reads) {
        match check.form(&text.with(&moved)) {
            Some(0) if checks > 0 => {
                checks -= 1;
                best = Best::of(best, moved, &text, check);
                if best.as_ref().is_some_and(|best| best.left.is_empty()) {
                    break;
                }
            }
            Some(form) if form < before => later.push((form, moved)),
            _ => {}
        }
    }
    if best.is_none() {
        // The sort keeps the order in which they were tried among those that leave as much.
        later.sort_by_key(|(form, _)| *form);
        for (_, moved) in later.into_iter().take(checks) {
            best = Best::of(best, moved, &text, check);
        }
    }
    let best = best?;
    let count = errors(&best.left).count();
    // A text that is no YAML has one problem, whatever else is wrong: more than a few left are of the wrong move.
    let fewer = match own.len() {
        1 if !formless => best.left.is_empty(),
        _ if formless => count <= 2,
        before => count + 1 < before,
    };
    fewer.then(|| {
        let mut all = vec![text.told(&best.moved, formless)];
        all.extend(best.left.into_iter().map(|problem| best.moved.back(problem, source)));
        all
    })
}

/// A key that is none where it stands, and looks like no other.
fn is_stray(problem: &Diagnostic) -> bool {
    problem.code == code::UNKNOWN_KEY && problem.suggestion.is_none() && problem.message.starts_with("unknown key")
}

/// The move that leaves the least, and what it leaves.
struct Best {
    moved: Move,
    left: Vec<Diagnostic>,
}

impl Best {
    /// The better of what was found and another move.
    fn of(found: Option<Best>, moved: Move, text: &Text<'_>, check: &dyn Check) -> Option<Best> {
        let left = check.all(&text.with(&moved));
        // Where it would be as wrong as it was, it does not belong.
        let misfit = errors(&left).any(|p| p.position.line == moved.first && FORM.contains(&p.code));
        if misfit {
            return found;
        }
        let count = |left: &[Diagnostic]| (errors(left).count(), left.len());
        match found {
            Some(best) if count(&best.left) <= count(&left) => Some(best),
            _ => Some(Best { moved, left }),
        }
    }
}

fn errors(problems: &[Diagnostic]) -> impl Iterator<Item = &Diagnostic> {
    problems.iter().filter(|problem| problem.severity == Severity::Error)
}

/// Lines that get another indentation; lines are counted from 1.
#[derive(Clone, Debug)]
struct Move {
    first: usize,
    last: usize,
    from: usize,
    to: usize,
}

impl Move {
    fn distance(&self) -> usize {
        self.from.abs_diff(self.to)
    }

    /// A problem of the moved text, where it is in the text as it stands.
    fn back(&self, mut problem: Diagnostic, source: &Source) -> Diagnostic {
        let at = &mut problem.position;
        if at.file != source.name {
            return problem;
        }
        let column = |line: usize, column: usize| match (self.first..=self.last).contains(&line) {
            true => (column + self.from).saturating_sub(self.to).max(1),
            false => column,
        };
        at.column = column(at.line, at.column);
        at.end_column = column(at.end_line, at.end_column);
        if at.end_line == at.line {
            at.end_column = at.end_column.max(at.column + 1);
        }
        problem
    }
}

/// A text as lines with their indentation.
struct Text<'s> {
    source: &'s Source,
    lines: Vec<&'s str>,
}

impl<'s> Text<'s> {
    fn new(source: &'s Source) -> Self {
        Text { source, lines: source.text.split('\n').collect() }
    }

    /// A line, from 1.
    fn line(&self, number: usize) -> &'s str {
        number.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or("")
    }

    /// Whether a line says something, and something that can be moved.
    fn full(&self, number: usize) -> bool {
        let line = self.line(number).trim();
        !line.is_empty() && !line.starts_with('#') && !line.starts_with("---")
    }

    fn indent(&self, number: usize) -> usize {
        let line = self.line(number);
        line.len() - line.trim_start_matches(' ').len()
    }

    fn above(&self, number: usize) -> impl Iterator<Item = usize> {
        (1..number).rev().filter(move |n| self.full(*n))
    }

    fn below(&self, number: usize) -> impl Iterator<Item = usize> {
        (number + 1..=self.lines.len()).filter(move |n| self.full(*n))
    }

    /// The lines above that are indented less than all below them down to this one: what it stands in.
    fn around(&self, number: usize) -> Vec<usize> {
        let mut least = usize::MAX;
        let mut found = Vec::new();
        for line in self.above(number) {
            if self.indent(line) < least {
                least = self.indent(line);
                found.push(line);
            }
            if least == 0 || found.len() == ABOVE {
                break;
            }
        }
        found
    }

    /// The last line of what stands below a line.
    fn end(&self, number: usize) -> usize {
        let inside = self.below(number).take_while(|line| self.indent(*line) > self.indent(number));
        inside.last().unwrap_or(number)
    }

    /// The moves that may mend a text with these problems, the smallest first.
    fn moves(&self, problems: &[&Diagnostic]) -> Vec<Move> {
        let mut lines: Vec<usize> = Vec::new();
        let mut seen: Vec<usize> = Vec::new();
        for problem in problems {
            let line = problem.position.line.min(self.lines.len());
            if seen.contains(&line) {
                continue;
            }
            if seen.len() == LINES {
                break;
            }
            seen.push(line);
            lines.push(line);
            let around = self.around(line);
            // Beside each of these the first of its neighbours, by which the others are measured, and the line above.
            let firsts = around.iter().filter_map(|line| self.below(*line).next());
            let firsts: Vec<usize> = firsts.chain(around.iter().filter_map(|line| self.above(*line).next())).collect();
            lines.extend(around);
            lines.extend(firsts);
            lines.extend(self.below(line).take(1));
        }
        let mut known: Vec<usize> = Vec::new();
        let mut moves: Vec<Move> = Vec::new();
        for line in lines {
            if self.full(line) && !known.contains(&line) {
                known.push(line);
                moves.extend(self.moves_of(line));
            }
        }
        let unit = self.unit();
        let odd = |moved: &Move| {
            let owner = self.above(moved.first).map(|line| self.indent(line)).find(|indent| *indent < moved.to);
            owner.is_some_and(|owner| moved.to - owner != unit)
        };
        // A problem is most often at the slip itself, and the first one of all.
        let away = |moved: &Move| seen.iter().position(|line| *line == moved.first).map_or(2, |at| at.min(1));
        // Then a line alone or with all below it, before a part of that.
        let part = |moved: &Move| moved.last != moved.first && moved.last != self.end(moved.first);
        moves.sort_by_cached_key(|moved| {
            (moved.distance(), odd(moved), away(moved), part(moved), moved.last - moved.first)
        });
        moves
    }

    /// By how many blanks most lines are indented further than what they stand in.
    fn unit(&self) -> usize {
        let mut counts = [0_usize; 9];
        let mut around: Vec<usize> = Vec::new();
        for indent in (1..=self.lines.len()).filter(|n| self.full(*n)).map(|n| self.indent(n)) {
            while around.last().is_some_and(|last| *last >= indent) {
                around.pop();
            }
            if let Some(count) = around.last().and_then(|last| counts.get_mut(indent - last)) {
                *count += 1;
            }
            around.push(indent);
        }
        (0..counts.len()).max_by_key(|step| counts[*step]).unwrap_or(2)
    }

    /// The places that a line could belong to: beside and below what stands around it.
    fn moves_of(&self, first: usize) -> Vec<Move> {
        let from = self.indent(first);
        let mut places: Vec<usize> =
            self.around(first).iter().flat_map(|l| [self.indent(*l), self.indent(*l) + 2]).collect();
        places.extend(self.below(self.end(first)).take(1).map(|line| self.indent(line)));
        places.sort_unstable();
        places.dedup();
        let mut moves = Vec::new();
        for to in places.into_iter().filter(|to| *to != from && from.abs_diff(*to) <= 12) {
            if !self.takes_keys(first, to) {
                continue;
            }
            for last in self.lasts(first, to) {
                let too_far = (first..=last).any(|l| self.full(l) && self.indent(l) + to < from);
                if !too_far {
                    moves.push(Move { first, last, from, to });
                }
            }
        }
        moves
    }

    /// Whether a line would be a key with this indentation: behind a value it would be more of that.
    fn takes_keys(&self, number: usize, to: usize) -> bool {
        let owner = self.above(number).find(|line| self.indent(*line) < to).map(|line| self.line(line).trim());
        owner.is_none_or(|line| {
            let said = line.split(" #").next().unwrap_or(line).trim_end();
            said.ends_with(':') || said.starts_with("- ")
        })
    }

    /// Where the lines may end that are moved with the first: at the line itself, with all that stands below it, with as much of it
    /// as is not beside it afterwards, and with neighbours that were moved together.
    fn lasts(&self, first: usize, to: usize) -> Vec<usize> {
        let end = self.end(first);
        let mut lasts = vec![first, end];
        let inside: Vec<usize> = self.below(first).take_while(|line| *line <= end).collect();
        let ends = inside.iter().zip(inside.iter().skip(1)).filter(|(_, next)| self.indent(**next) <= to);
        lasts.extend(ends.map(|(last, _)| *last).take(24));
        let mut next = end;
        for _ in 0..4 {
            match self.below(next).next().filter(|line| self.indent(*line) == self.indent(first)) {
                Some(neighbour) => next = self.end(neighbour),
                None => break,
            }
            lasts.push(next);
        }
        lasts.sort_unstable();
        lasts.dedup();
        lasts
    }

    /// The text with lines moved.
    fn with(&self, moved: &Move) -> Source {
        let mut text = String::with_capacity(self.source.text.len() + 64);
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            if (moved.first..=moved.last).contains(&(at + 1)) && !line.trim().is_empty() {
                let blanks = (self.indent(at + 1) + moved.to).saturating_sub(moved.from);
                text.extend(std::iter::repeat_n(' ', blanks));
                text.push_str(line.trim_start_matches(' '));
            } else {
                text.push_str(line);
            }
        }
        Source::new(self.source.name.clone(), text)
    }

    /// The problem that a move mends.
    fn told(&self, moved: &Move, formless: bool) -> Diagnostic {
        let line = self.line(moved.first);
        let rest = line.get(moved.from..).unwrap_or("");
        let key = rest.split(':').next().unwrap_or("").trim_end();
        let start = self.source.start(moved.first) + moved.from;
        let span = Span { start, end: start + key.len().max(1) };
        let owner = self.above(moved.first).find(|line| self.indent(*line) < moved.to);
        let place = owner.map(|line| {
            let key = self.line(line).trim().split(':').next().unwrap_or("").trim_start_matches("- ");
            format!("below `{key}` in line {line}")
        });
        let place = place.unwrap_or_else(|| "at the beginning of the line".to_owned());
        let blanks = if moved.to == 1 { "blank" } else { "blanks" };
        let count = self.below(moved.first).take_while(|line| *line <= moved.last).count();
        let (code, message) = match formless {
            true => (code::YAML, "not YAML: this line is not indented like the keys beside it".to_owned()),
            false => {
                (code::UNKNOWN_KEY, format!("`{key}` is indented wrongly: it does not belong to what it stands in"))
            }
        };
        let with = match count {
            0 => String::new(),
            1 => ", and the line below it with it".to_owned(),
            _ => format!(", and the {count} lines below it with it"),
        };
        Diagnostic::new(code, self.source, span, message)
            .help(format!("indent it by {} {blanks}, {place}{with}", moved.to))
    }
}
