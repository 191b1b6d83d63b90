//! The text format of Prometheus, version 0.0.4, as its own documentation of exposition formats has it.

use std::fmt::Write;

/// The labels of a sample, and its value.
pub(crate) type Sample = (Vec<(&'static str, String)>, f64);

/// A text in the making.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// A metric that can go up and down. One without a sample is left out.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
        }
    }

    /// All of it.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// A value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
