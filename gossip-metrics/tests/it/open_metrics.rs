//! A strict parser of OpenMetrics 1.0, as far as gauges, counters and infos go.

use std::collections::{BTreeMap, BTreeSet};

/// All samples of an exposition.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Exposition {
    /// The value of the one sample of this name that has these labels, and perhaps others.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|has| has == value))
        };
        let mut found = self.samples.iter().filter(|sample| sample.name == name).filter(has);
        let first = found.next()?;
        assert!(found.next().is_none(), "{name} {labels:?} is ambiguous");
        Some(first.value)
    }

    /// All samples of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = (&BTreeMap<String, String>, f64)> {
        self.samples
            .iter()
            .filter(move |sample| sample.name == name)
            .map(|sample| (&sample.labels, sample.value))
    }
}

/// Refuses whatever the specification does not allow.
pub(crate) fn parse(text: &str) -> Result<Exposition, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut exposition = Exposition::default();
    let (mut families, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut family: Option<(String, Option<String>)> = None;
    for line in body.split_terminator('\n') {
        let refused = |why: &str| format!("{why}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| refused("no help"))?;
            if help.is_empty() || !families.insert(name.to_owned()) {
                return Err(refused("a family comes twice, or has no help"));
            }
            family = Some((name.to_owned(), None));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| refused("no type"))?;
            match &mut family {
                Some((help, of @ None)) if help == name && ["gauge", "counter", "info"].contains(&kind) => {
                    *of = Some(kind.to_owned());
                }
                _ => return Err(refused("a type that does not belong here")),
            }
        } else if line.starts_with('#') || line.is_empty() {
            return Err(refused("a line that OpenMetrics does not have"));
        } else {
            let sample = sample(line).map_err(|why| refused(&why))?;
            let Some((name, Some(kind))) = &family else { return Err(refused("a sample without a type")) };
            let expected = match kind.as_str() {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.clone(),
            };
            if sample.name != expected {
                return Err(refused("a sample of another family"));
            }
            if kind == "counter" && (sample.value < 0.0 || !sample.value.is_finite())
                || kind == "info" && sample.value != 1.0
            {
                return Err(refused("a value that its type does not have"));
            }
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                return Err(refused("a series comes twice"));
            }
            exposition.samples.push(sample);
        }
    }
    Ok(exposition)
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return Err("no name".into());
    }
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (key, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !is_name(key) || key.contains(':') {
                return Err(format!("no label: {key}"));
            }
            let (value, after) = quoted(after)?;
            if labels.insert(key.to_owned(), value).is_some() {
                return Err(format!("{key} comes twice"));
            }
            rest = after;
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or("labels without an end")?;
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value = value.parse().map_err(|_| format!("no number: {value}"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((place, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[place + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("an escape that there is not".into()),
            },
            c => value.push(c),
        }
    }
    Err("no closing quote".into())
}

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

#[test]
fn what_is_no_open_metrics_is_refused() {
    let head = "# HELP a A.\n# TYPE a gauge\n";
    assert!(parse(&format!("{head}a{{b=\"c\"}} 1\n# EOF\n")).is_ok());
    for bad in [
        "a 1\n",
        "a 1\n# EOF\n",
        "# HELP a A.\n# TYPE a counter\na 1\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\na 1\na 1\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\na{b=\"c} 1\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\na{b=\"\\x\"} 1\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\na{1b=\"\"} 1\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\na x\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\nb 1\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\n# HELP a A.\n# TYPE a gauge\n# EOF\n",
        "# HELP a A.\n# TYPE a gauge\n\n# EOF\n",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
