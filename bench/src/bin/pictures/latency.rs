//! Percentiles.

use std::path::Path;

use serde_json::Value;

use crate::reading::{Field, Origin, Problem};

/// What makes such a file, unless it says so itself.
pub(crate) const COMMAND: &str =
    "cargo run --release -p factlog-bench --bin latency -- --json FILE";

/// What is drawn of each row.
pub(crate) const PERCENTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "p99.99"];

/// One situation at one rate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Operations that were to start in a second.
    pub(crate) rate: f64,
    /// Nanoseconds, one for each of [`PERCENTILES`].
    pub(crate) values: [f64; PERCENTILES.len()],
}

/// All of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latencies {
    pub(crate) origin: Origin,
    rows: Vec<Row>,
}

impl Latencies {
    pub(crate) fn read(file: &Path, value: &Value) -> Result<Self, Problem> {
        let whole = Field::whole(file, value);
        let unit = whole.field("unit")?;
        if unit.text()? != "ns" {
            return Err(unit.problem("only ns is known"));
        }
        let origin = Origin::read(&whole)?;
        let rows = whole.field("rows")?.list()?;
        Ok(Self { origin, rows: rows.iter().map(row).collect::<Result<_, _>>()? })
    }

    /// All rows of that name, whatever their rate: at least one.
    pub(crate) fn named(&self, file: &Path, name: &str) -> Result<Vec<&Row>, Problem> {
        let found: Vec<_> = self.rows.iter().filter(|row| row.name == name).collect();
        if found.is_empty() {
            let nothing = Value::Null;
            let whole = Field::whole(file, &nothing);
            return Err(whole.problem(format!("rows: none has the name {name:?}")));
        }
        Ok(found)
    }
}

fn row(row: &Field<'_>) -> Result<Row, Problem> {
    let mut values = [0.0; PERCENTILES.len()];
    for (value, name) in values.iter_mut().zip(PERCENTILES) {
        *value = row.field(name)?.positive()?;
    }
    Ok(Row { name: row.field("name")?.text()?, rate: row.field("rate")?.positive()?, values })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::curves::PANELS;

    /// All rows that are drawn.
    pub(crate) fn sample() -> Value {
        let row = |name: &str, rate: u64| {
            json!({
                "name": name, "rate": rate, "count": 1000, "max": 9_000_000,
                "p50": 90, "p90": 210, "p99": 440, "p99.9": 3035, "p99.99": 99_903,
            })
        };
        let names = PANELS.iter().flat_map(|panel| panel.series.iter());
        let rows = names.flat_map(|series| [row(series.row, 100_000), row(series.row, 1_000_000)]);
        let machine = "Some processor, 2 cores, ext4, Linux 6.1";
        json!({ "machine": machine, "unit": "ns", "rows": rows.collect::<Vec<_>>() })
    }

    fn read(value: &Value) -> Result<Latencies, Problem> {
        Latencies::read(Path::new("l.json"), value)
    }

    #[test]
    fn are_rows_found_by_name() {
        let found = read(&sample()).expect("latencies");
        let rows = found.named(Path::new("l.json"), "append to cursor").expect("rows");
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[1].rate, rows[1].values[4]), (1e6, 99_903.0));
        assert_eq!(
            found.origin.machine.as_deref(),
            Some("Some processor, 2 cores, ext4, Linux 6.1")
        );
    }

    #[test]
    fn are_bad_figures_named() {
        let said = |change: fn(&mut Value)| {
            let mut value = sample();
            change(&mut value);
            read(&value).expect_err("a problem").to_string()
        };
        let bad = said(|value| value["rows"][1]["p99.9"] = json!(null));
        assert_eq!(bad, "l.json: rows[1].p99.9: is missing");
        let bad = said(|value| value["rows"][0]["p50"] = json!(0));
        assert_eq!(bad, "l.json: rows[0].p50: a number above 0 is wanted, not 0");
        let bad = said(|value| value["unit"] = json!("us"));
        assert_eq!(bad, "l.json: unit: only ns is known");
    }

    #[test]
    fn is_a_situation_that_was_not_measured_named() {
        let found = read(&json!({ "unit": "ns", "rows": [] })).expect("latencies");
        let said = found.named(Path::new("l.json"), "append").expect_err("none").to_string();
        assert_eq!(said, "l.json: rows: none has the name \"append\"");
    }
}
