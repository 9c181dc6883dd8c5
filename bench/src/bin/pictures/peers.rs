//! Rates of factlog, its peers and the limits.

use std::path::Path;

use serde_json::Value;

use crate::bars::Picture;
use crate::reading::{Field, Origin, Problem};

/// What makes such a file, unless it says so itself.
pub(crate) const COMMAND: &str =
    "cargo run --release --manifest-path bench/peers/Cargo.toml -- --quick --json FILE";

/// Median, least and greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

/// Whose figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Peer { checksum: bool },
    Limit,
}

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) whose: Whose,
    /// `None` for what it cannot do, or failed to do.
    pub(crate) rate: Option<Rate>,
}

/// Bars beside each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// factlog first, peers from the fastest to the slowest, the limit last.
    pub(crate) bars: Vec<Bar>,
}

/// All of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) origin: Origin,
    rows: Vec<Row>,
}

impl Comparison {
    pub(crate) fn read(file: &Path, value: &Value) -> Result<Self, Problem> {
        let whole = Field::whole(file, value);
        let origin = Origin::read(&whole)?;
        let rows = whole.field("rows")?.list()?;
        Ok(Self { origin, rows: rows.iter().map(row).collect::<Result<_, _>>()? })
    }

    /// The rows that a picture shows.
    pub(crate) fn rows(&self, file: &Path, picture: &Picture) -> Result<Vec<&Row>, Problem> {
        let find = |name: &str| {
            let row = self.rows.iter().find(|row| row.name == name);
            let nothing = Value::Null;
            row.ok_or_else(|| {
                let whole = Field::whole(file, &nothing);
                whole.problem(format!("rows: none has the name {name:?}"))
            })
        };
        picture.rows.iter().map(|(name, _)| find(name)).collect()
    }
}

fn row(row: &Field<'_>) -> Result<Row, Problem> {
    let ours = Bar { name: "factlog".into(), whose: Whose::Ours, rate: rate(row, "factlog")? };
    let mut peers = Vec::new();
    for peer in row.field("peers")?.list()? {
        let whose = Whose::Peer { checksum: peer.field("checksum")?.flag()? };
        let name = peer.field("name")?.text()?;
        peers.push(Bar { name, whose, rate: rate(&peer, "value")? });
    }
    let median = |bar: &Bar| bar.rate.map_or(0.0, |rate| rate.median);
    peers.sort_by(|one, other| median(other).total_cmp(&median(one)));
    let limit = match row.maybe("limit") {
        Some(limit) => {
            let name = limit.field("name")?.text()?;
            Some(Bar { name, whose: Whose::Limit, rate: rate(&limit, "value")? })
        }
        None => None,
    };
    Ok(Row {
        name: row.field("name")?.text()?,
        unit: row.field("unit")?.text()?,
        bars: std::iter::once(ours).chain(peers).chain(limit).collect(),
    })
}

/// The median stands in the field `name`, and beside it the spread.
fn rate(of: &Field<'_>, name: &str) -> Result<Option<Rate>, Problem> {
    let Some(median) = of.maybe(name) else { return Ok(None) };
    let spread = of.field("spread")?;
    let ends = spread.list()?;
    let [least, greatest] = ends.as_slice() else {
        return Err(spread.problem(format!("two numbers are wanted, not {}", ends.len())));
    };
    let rate = Rate {
        median: median.positive()?,
        least: least.positive()?,
        greatest: greatest.positive()?,
    };
    if rate.least > rate.median || rate.median > rate.greatest {
        return Err(spread.problem(format!("{} is not within it", rate.median)));
    }
    Ok(Some(rate))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::bars::PICTURES;

    /// All rows that are drawn.
    pub(crate) fn sample() -> Value {
        let row = |name: &str| {
            json!({
                "name": name, "unit": "events/s", "factlog": 14_400_000.0,
                "spread": [11_200_000.0, 16_800_000.0],
                "limit": { "name": "copy", "value": 169e6, "spread": [165e6, 182e6] },
                "peers": [
                    { "name": "slow & old", "checksum": false, "synced": false,
                      "value": 100_900.0, "spread": [90_700.0, 103_700.0] },
                    { "name": "quick", "checksum": true, "synced": false,
                      "value": 23_950_000, "spread": [23_400_000, 25_200_000] },
                    { "name": "unable", "checksum": true, "synced": false,
                      "value": null, "spread": null },
                ],
            })
        };
        let rows = PICTURES.iter().flat_map(|picture| picture.rows.iter());
        json!({ "rows": rows.map(|(name, _)| row(name)).collect::<Vec<_>>() })
    }

    fn read(value: &Value) -> Result<Comparison, Problem> {
        Comparison::read(Path::new("p.json"), value)
    }

    #[test]
    fn are_peers_put_in_order_and_limits_last() {
        let found = read(&sample()).expect("a comparison");
        let names: Vec<_> = found.rows[0].bars.iter().map(|bar| bar.name.as_str()).collect();
        assert_eq!(names, ["factlog", "quick", "slow & old", "unable", "copy"]);
        let rate = found.rows[0].bars[1].rate.expect("a rate");
        assert_eq!((rate.median, rate.least, rate.greatest), (23.95e6, 23.4e6, 25.2e6));
        assert_eq!(found.rows[0].bars[3].rate, None);
        assert_eq!(found.origin, Origin::default());
    }

    #[test]
    fn are_bad_figures_named() {
        let said = |change: fn(&mut Value)| {
            let mut value = sample();
            change(&mut value);
            read(&value).expect_err("a problem").to_string()
        };
        assert_eq!(said(|value| value["rows"] = json!(7)), "p.json: rows: a list is wanted, not 7");
        let bad = said(|value| value["rows"][1]["peers"][0]["value"] = json!("fast"));
        assert!(bad.starts_with("p.json: rows[1].peers[0].value: a number above 0"), "{bad}");
        let bad = said(|value| value["rows"][0]["limit"]["spread"] = json!([1.0]));
        assert_eq!(bad, "p.json: rows[0].limit.spread: two numbers are wanted, not 1");
        let bad = said(|value| value["rows"][0]["spread"] = json!([1.0, 2.0]));
        assert_eq!(bad, "p.json: rows[0].spread: 14400000 is not within it");
        let bad =
            said(|value| drop(value["rows"][2].as_object_mut().map(|row| row.remove("unit"))));
        assert_eq!(bad, "p.json: rows[2].unit: is missing");
    }

    #[test]
    fn is_a_row_that_is_not_there_named() {
        let found = read(&json!({ "rows": [] })).expect("a comparison");
        let said = found.rows(Path::new("p.json"), &PICTURES[0]).expect_err("no rows").to_string();
        assert_eq!(said, "p.json: rows: none has the name \"append-1-of-64\"");
    }
}
