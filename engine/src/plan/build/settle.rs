//! What is one problem, once all are known: what only follows from others is not told, and a name that is used and not declared is
//! told once, where it was probably misspelt.

use super::Builder;
use crate::topology::node::{Entry, Node};
use crate::topology::{Diagnostic, Severity, Span, code, in_lines, nearest};

impl<'a> Builder<'a> {
    /// Notes that nothing uses or provides something. It is told if nothing else is wrong in `part`, or anywhere: what is wrong may be the
    /// reason.
    pub(super) fn absence(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        part: Option<&'a Entry>,
    ) -> &mut Diagnostic {
        let part = part.map(|entry| Span { start: entry.at.start, end: entry.at.end.max(entry.value.reach()) });
        self.absent.push((Diagnostic::new(code, self.source, span, message), part));
        let last = self.absent.len() - 1;
        &mut self.absent[last].0
    }

    /// Settles what was found, of which `form` are the problems of the form.
    pub(super) fn settle(&mut self, form: &[Diagnostic]) {
        let doubled = form.iter().any(|problem| problem.code == code::DUPLICATE_KEY);
        // What stands twice under one name hides what should have another.
        self.problems.retain(|p| !doubled || p.subject.is_none() || p.suggestion.is_some());
        self.renamed();
        let errors = |problems: &[Diagnostic]| -> Vec<usize> {
            let errors = problems.iter().filter(|p| p.severity == Severity::Error);
            errors.map(|p| p.position.line).collect()
        };
        let wrong: Vec<usize> = errors(form).into_iter().chain(errors(&self.problems)).collect();
        let mut told: Vec<(Diagnostic, Option<Span>)> = Vec::new();
        for (problem, part) in std::mem::take(&mut self.absent) {
            let hidden = match &part {
                None => !wrong.is_empty(),
                Some(part) => {
                    let lines = self.source.position(part.start).0..=self.source.position(part.end).0;
                    // What a block does not write is also not read for it.
                    let other =
                        |(told, of): &(Diagnostic, Option<Span>)| of == &Some(*part) && told.code != problem.code;
                    wrong.iter().any(|line| lines.contains(line)) || told.iter().any(other)
                }
            };
            if !hidden {
                told.push((problem, part));
            }
        }
        let (errors, warnings): (Vec<_>, Vec<_>) =
            told.into_iter().map(|(problem, _)| problem).partition(|problem| problem.severity == Severity::Error);
        if errors.is_empty() {
            self.problems.extend(warnings);
        }
        self.problems.extend(errors);
    }

    /// Names that are used and not declared. Where several places use one and nothing uses a declaration with a name that is near, the
    /// declaration was misspelt.
    fn renamed(&mut self) {
        let mut subjects: Vec<Vec<String>> = Vec::new();
        for problem in &self.problems {
            if let Some(subject) = problem.subject.as_ref().filter(|subject| !subjects.contains(subject)) {
                subjects.push(subject.clone());
            }
        }
        for subject in subjects {
            let Some((name, section)) = subject.split_last() else { continue };
            let Some(declared) = self.section(section) else {
                self.no_section(section, name);
                continue;
            };
            let uses: Vec<usize> = {
                let about = self.problems.iter().filter(|p| p.subject.as_ref() == Some(&subject));
                about.map(|problem| problem.position.line).collect()
            };
            if uses.len() < 2 || name.starts_with('(') || declared.iter().any(|entry| entry.key == *name) {
                continue;
            }
            let path = |entry: &Entry| section.iter().cloned().chain([entry.key.clone()]).collect::<Vec<_>>();
            let variable =
                |entry: &Entry| section == ["vars"] && self.source.text.contains(&format!("{{{}}}", entry.key));
            let named = |entry: &Entry| self.named.contains(&path(entry)) || variable(entry);
            let spare: Vec<&Entry> = declared.iter().filter(|entry| !named(entry)).collect();
            let meant = nearest(name, spare.iter().map(|entry| entry.key.as_str()));
            let Some(entry) = spare.iter().find(|entry| Some(entry.key.as_str()) == meant).copied() else {
                continue;
            };
            let Some(code) = self.problems.iter().find(|p| p.subject.as_ref() == Some(&subject)).map(|p| p.code) else {
                continue;
            };
            let mut lines = uses;
            lines.sort_unstable();
            lines.dedup();
            let message = format!(
                "nothing uses `{}`, and `{name}`, which {} name{}, is not declared",
                entry.key,
                in_lines(&lines),
                if lines.len() == 1 { "s" } else { "" }
            );
            self.problems.retain(|p| p.subject.as_ref() != Some(&subject));
            let problem = self.problem(code, entry.at, message);
            problem.help = Some(format!("did you mean `{name}`?"));
            problem.suggestion = Some(name.clone());
        }
    }

    /// A section that is not there: what is declared in it is one problem, whatever its name.
    fn no_section(&mut self, section: &[String], name: &str) {
        let [section] = section else { return };
        for problem in &mut self.problems {
            let about = problem.subject.as_deref();
            if matches!(about, Some([first, last]) if first == section && last == name) {
                problem.subject = Some(vec![section.clone()]);
                problem.message += &format!("; the topology has no `{section}`");
            }
        }
    }

    /// The declarations of a section of the topology.
    fn section(&self, path: &[String]) -> Option<&'a [Entry]> {
        let node = path.iter().try_fold(self.root.node?, |node: &'a Node, name| node.get(name))?;
        Some(node.entries())
    }
}
