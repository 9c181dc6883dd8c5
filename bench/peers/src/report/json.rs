//! The figures as one object.

use serde_json::{Value, json};

use super::{Figure, Line};
use crate::machine::Origin;
use crate::statistics::Summary;

/// All rows, and where they come from. What a subject cannot do, or failed to do, is null.
pub fn of(lines: &[Line], origin: &Origin) -> Value {
    json!({
        "date": origin.date,
        "machine": origin.machine,
        "command": origin.command,
        "rows": lines.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(line: &Line) -> Value {
    let (factlog, spread) = parts(&line.ours);
    let peers: Vec<Value> = line.peers.iter().map(|peer| self::peer(line, peer)).collect();
    json!({
        "name": line.row.to_string(),
        "unit": line.row.unit(),
        "factlog": factlog,
        "spread": spread,
        "limit": line.limit.as_ref().map(|limit| {
            let (value, spread) = parts(limit);
            json!({ "name": limit.name, "value": value, "spread": spread })
        }),
        "peers": peers,
    })
}

fn peer(line: &Line, peer: &Figure) -> Value {
    let (value, spread) = parts(peer);
    json!({
        "name": peer.name,
        "checksum": peer.is_guarded(line.row),
        "synced": line.row.synced(),
        "value": value,
        "spread": spread,
    })
}

/// Median, and least and greatest.
fn parts(figure: &Figure) -> (Value, Value) {
    match figure.summary {
        Ok(Some(Summary { median, least, greatest })) => (json!(median), json!([least, greatest])),
        Ok(None) | Err(_) => (Value::Null, Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use super::*;

    fn origin() -> Origin {
        Origin { date: "2026-02-03".into(), machine: "a machine".into(), command: "run".into() }
    }

    #[test]
    fn is_the_shape_the_one_that_programs_read() {
        let expected = json!({ "date": "2026-02-03", "machine": "a machine", "command": "run",
            "rows": [{
            "name": "append-64-of-64",
            "unit": "events/s",
            "factlog": 40.0,
            "spread": [30.0, 50.0],
            "limit": { "name": "copy", "value": 80.0, "spread": [80.0, 80.0] },
            "peers": [
                { "name": "seglog", "checksum": true, "synced": false, "value": 20.0,
                  "spread": [10.0, 30.0] },
                { "name": "khata-rs-unchecked", "checksum": false, "synced": false, "value": 35.0,
                  "spread": [35.0, 35.0] },
                { "name": "sqlite", "checksum": false, "synced": false, "value": null,
                  "spread": null },
                { "name": "okaywal", "checksum": true, "synced": false, "value": null,
                  "spread": null },
            ],
        }]});
        assert_eq!(of(&[line()], &origin()), expected);
    }

    #[test]
    fn is_a_limit_that_does_not_exist_null() {
        let without = Line { limit: None, ..line() };
        assert_eq!(of(&[without], &origin())["rows"][0]["limit"], Value::Null);
    }
}
