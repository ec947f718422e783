//! Reading what `/metrics` says, in the text formats of Prometheus and `OpenMetrics`.

use std::collections::BTreeMap;

/// One line: a name, labels and a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The sample's name, with suffixes such as `_total` or `_bucket`.
    pub name: String,
    /// The labels by name.
    pub labels: BTreeMap<String, String>,
    /// The value; counters are whole numbers.
    pub value: f64,
}

/// Everything one scrape returned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// The samples in their order.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Reads a scrape; comments and lines that are no samples are passed by.
    pub fn parse(text: &str) -> Self {
        Self {
            samples: text.lines().filter_map(parse_line).collect(),
        }
    }

    /// The samples of that name which have at least these labels.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|has| has == value))
        })
    }

    /// The sum of those samples; 0 where there is none, as a counter that never counted has none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels)
            .fold(0.0, |sum, sample| sum + sample.value)
    }

    /// The value of the first of those samples.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.matching(name, labels)
            .next()
            .map(|sample| sample.value)
    }
}

fn parse_line(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let end_of_name = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end_of_name);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(labels) => parse_labels(labels)?,
        None => (BTreeMap::new(), rest),
    };
    // A timestamp or an exemplar may follow the value.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Reads labels up to the closing brace and returns what follows it.
fn parse_labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = parse_quoted(rest)?;
        labels.insert(name.to_owned(), value);
        text = rest;
    }
}

/// Reads a label's value up to its closing quote and returns what follows it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"# HELP requests Requests.
# TYPE requests counter
requests_total{status="accepted",reason="a \"b\" {c}, d\\e"} 3
requests_total{status="rejected",reason="x"} 4 # {trace_id="1"} 1.0
up 1.5e0
# EOF
"#;

    #[test]
    fn reads_labels_with_escapes_and_passes_exemplars_by() {
        let metrics = Metrics::parse(SCRAPE);
        assert_eq!(metrics.samples.len(), 3);
        assert_eq!(metrics.samples[0].labels["reason"], r#"a "b" {c}, d\e"#);
        assert_eq!(
            metrics.value("requests_total", &[("status", "rejected")]),
            Some(4.0)
        );
        assert_eq!(metrics.value("up", &[]), Some(1.5));
    }

    #[test]
    fn sums_what_matches_and_counts_nothing_as_zero() {
        let metrics = Metrics::parse(SCRAPE);
        assert_eq!(
            metrics.sum("requests_total", &[]).to_bits(),
            7.0_f64.to_bits()
        );
        assert_eq!(
            metrics.sum("requests_total", &[("status", "no")]).to_bits(),
            0
        );
    }
}
