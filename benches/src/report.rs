//! What a scenario measured: for each figure its name, its unit and the value of every run.

use std::fmt;

/// The figures of one scenario.
#[derive(Default)]
pub struct Report {
    title: String,
    figures: Vec<Figure>,
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    /// Whether more is better.
    more: bool,
    values: Vec<f64>,
}

impl Report {
    /// An empty report.
    pub fn new(title: impl Into<String>) -> Self {
        Report { title: title.into(), figures: Vec::new() }
    }

    /// Adds one run's value of a figure of which less is better.
    pub fn less(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.add(name, unit, value, false);
    }

    /// Adds one run's value of a figure of which more is better.
    pub fn more(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.add(name, unit, value, true);
    }

    fn add(&mut self, name: &'static str, unit: &'static str, value: f64, more: bool) {
        match self.figures.iter_mut().find(|f| f.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { name, unit, more, values: vec![value] }),
        }
    }
}

impl Figure {
    /// Best and median.
    fn summary(&self) -> (f64, f64) {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let best = if self.more { values.last() } else { values.first() };
        (best.copied().unwrap_or(f64::NAN), values.get(values.len() / 2).copied().unwrap_or(f64::NAN))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for figure in &self.figures {
            let (best, median) = figure.summary();
            let places = if best.abs() < 100.0 { 2 } else { 0 };
            writeln!(f, "  {:<28} median {median:>12.places$}  best {best:>12.places$}  {}", figure.name, figure.unit)?;
        }
        Ok(())
    }
}
