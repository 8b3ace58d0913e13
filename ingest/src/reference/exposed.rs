//! The metrics as `/metrics` exposes them, read from the text itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, row};
use crate::metrics::Metrics;

/// A metric as the page tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    /// Names of its samples, in their order.
    names: Vec<String>,
    kind: String,
    help: String,
    unit: String,
    /// Values by label.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The metrics of a text in OpenMetrics' format, in its order.
fn metrics(text: &str) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match (words.as_slice(), metrics.last_mut()) {
            (["#", "HELP", _, help], _) => metrics.push(Metric {
                help: (*help).to_owned(),
                ..Metric::default()
            }),
            (["#", "TYPE", _, kind], Some(metric)) => metric.kind = (*kind).to_owned(),
            (["#", "UNIT", _, unit], Some(metric)) => metric.unit = (*unit).to_owned(),
            (["#", ..], _) | (_, None) => {}
            (_, Some(metric)) => add_sample(metric, line),
        }
    }
    metrics
}

/// Takes over a sample's name and labels: `name{label="value"} 0`. No value of ours has a quote or a comma.
fn add_sample(metric: &mut Metric, line: &str) {
    let (series, _value) = line.rsplit_once(' ').unwrap_or((line, ""));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    if !metric.names.iter().any(|known| known == name) {
        metric.names.push(name.to_owned());
    }
    for pair in labels.trim_end_matches('}').split(',') {
        if let Some((label, value)) = pair.split_once('=') {
            let values = metric.labels.entry(label.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
}

/// A label with its values, where they are words: numbers and names of others are samples only.
fn label(name: &str, values: &BTreeSet<String>) -> String {
    let word = |value: &String| value.chars().all(|c| c.is_ascii_alphabetic());
    if values.iter().all(word) {
        let values: Vec<String> = values.iter().map(|value| code(value)).collect();
        format!("{}: {}", code(name), values.join(", "))
    } else {
        code(name)
    }
}

pub(super) fn section() -> String {
    let mut page = String::from(
        "A metric with labels is there once something was counted under it, but for `le`, the upper bounds of a histogram.\n\n| name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in metrics(&Metrics::sampled().encode()) {
        let names: Vec<String> = metric.names.iter().map(|name| code(name)).collect();
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|(name, values)| label(name, values))
            .collect();
        let kind = match metric.unit.as_str() {
            "" => metric.kind,
            unit => format!("{} in {unit}", metric.kind),
        };
        page.push_str(&row([
            &*names.join(", "),
            &kind,
            &labels.join("; "),
            &metric.help,
        ]));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_told_as_the_text_exposes_it() {
        let text = "# HELP a_b Of b, by c.\n# TYPE a_b counter\n# UNIT a_b bytes\na_b_total{c=\"y\",d=\"1\"} 0\na_b_total{c=\"x\",d=\"1\"} 0\n# HELP e E.\n# TYPE e gauge\ne 0\n# EOF\n";
        let found = metrics(text);
        let values = |of: &[&str]| of.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(
            found[0],
            Metric {
                names: vec!["a_b_total".to_owned()],
                kind: "counter".to_owned(),
                help: "Of b, by c.".to_owned(),
                unit: "bytes".to_owned(),
                labels: [
                    ("c".to_owned(), values(&["x", "y"])),
                    ("d".to_owned(), values(&["1"]))
                ]
                .into(),
            }
        );
        let labels: Vec<String> = found[0].labels.iter().map(|(n, v)| label(n, v)).collect();
        assert_eq!(labels, ["`c`: `x`, `y`", "`d`"]);
        assert_eq!(
            (found.len(), found[1].names.as_slice()),
            (2, &["e".to_owned()][..])
        );
    }
}
