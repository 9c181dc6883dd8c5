//! The table, and JSON.

use std::path::Path;

use factlog_bench::machine;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::pace::Timer;

/// What a figure is of.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    rate: u64,
}

impl Row {
    /// `rate` operations were to start in a second.
    pub(crate) fn new(name: String, rate: u64) -> Self {
        Self { name, rate }
    }
}

/// The quantiles that are printed.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Prints rows as they come, and keeps them.
#[derive(Debug)]
pub(crate) struct Report {
    machine: String,
    timer: f64,
    rows: Vec<Value>,
}

impl Report {
    pub(crate) fn begin(timer: &Timer, directory: &Path) -> Self {
        let machine = machine::describe(directory);
        println!("{machine}");
        println!("reading the clock costs {:.1} ns; it is in every figure", timer.cost);
        println!("nanoseconds, from the intended start unless something else is said\n");
        print!("{:<52}{:>10}{:>10}", "", "a second", "count");
        for (name, _) in QUANTILES {
            print!("{name:>11}");
        }
        println!("{:>12}", "max");
        Self { machine, timer: timer.cost, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row, found: &Histogram<u64>) {
        let values = QUANTILES.map(|(_, quantile)| found.value_at_quantile(quantile));
        print!("{:<52}{:>10}{:>10}", row.name, row.rate, found.len());
        for value in values {
            print!("{value:>11}");
        }
        println!("{:>12}", found.max());
        let mut value = json!({
            "name": row.name, "rate": row.rate, "count": found.len(), "max": found.max(),
        });
        for ((name, _), figure) in QUANTILES.iter().zip(values) {
            value[*name] = figure.into();
        }
        self.rows.push(value);
    }

    pub(crate) fn note(&self, text: String) {
        println!("    {text}");
    }

    pub(crate) fn end(&self) {
        println!("\n{} rows", self.rows.len());
    }

    pub(crate) fn json(&self, command: &str) -> String {
        let all = json!({
            "date": machine::today(), "machine": self.machine, "command": command,
            "unit": "ns", "timer": self.timer, "rows": self.rows,
        });
        format!("{all:#}\n")
    }
}
