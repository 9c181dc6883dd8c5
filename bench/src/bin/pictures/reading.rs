//! Fields of JSON, and errors that name the file and the field.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    file: PathBuf,
    field: String,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// The JSON that stands in `file`.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| Problem {
        file: file.to_owned(),
        field: String::new(),
        what: format!("no JSON: {error}"),
    })
}

/// When, on what and how a file was made, as far as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) date: Option<String>,
    pub(crate) machine: Option<String>,
    pub(crate) command: Option<String>,
}

impl Origin {
    pub(crate) fn read(whole: &Field<'_>) -> Result<Self, Problem> {
        let text = |name| whole.maybe(name).map(|field| field.text()).transpose();
        Ok(Self { date: text("date")?, machine: text("machine")?, command: text("command")? })
    }
}

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    file: &'a Path,
    name: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// All that is in `file`.
    pub(crate) fn whole(file: &'a Path, value: &'a Value) -> Self {
        Self { file, name: String::new(), value }
    }

    pub(crate) fn problem(&self, what: impl Into<String>) -> Problem {
        Problem { file: self.file.to_owned(), field: self.name.clone(), what: what.into() }
    }

    fn below(&self, name: &str, value: &'a Value) -> Self {
        let dot = if self.name.is_empty() || name.starts_with('[') { "" } else { "." };
        Self { file: self.file, name: format!("{}{dot}{name}", self.name), value }
    }

    /// The field of that name; `None` if it is not there, or null.
    pub(crate) fn maybe(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(self.below(name, value))
    }

    pub(crate) fn field(&self, name: &str) -> Result<Self, Problem> {
        let missing = || self.below(name, &Value::Null).problem("is missing");
        self.maybe(name).ok_or_else(missing)
    }

    pub(crate) fn list(&self) -> Result<Vec<Self>, Problem> {
        let values = self.value.as_array().ok_or_else(|| self.unlike("a list"))?;
        Ok(values.iter().enumerate().map(|(at, v)| self.below(&format!("[{at}]"), v)).collect())
    }

    pub(crate) fn text(&self) -> Result<String, Problem> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.unlike("text"))
    }

    pub(crate) fn flag(&self) -> Result<bool, Problem> {
        self.value.as_bool().ok_or_else(|| self.unlike("true or false"))
    }

    /// A number that a logarithm can be taken of.
    pub(crate) fn positive(&self) -> Result<f64, Problem> {
        let number = self.value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| self.unlike("a number above 0"))
    }

    fn unlike(&self, wanted: &str) -> Problem {
        let mut found = self.value.to_string();
        if found.chars().count() > 40 {
            found = found.chars().take(37).chain("...".chars()).collect();
        }
        self.problem(format!("{wanted} is wanted, not {found}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn do_errors_name_the_file_and_the_field() {
        let file = Path::new("some.json");
        let value = json!({ "rows": [{ "name": 7 }, { "value": -1.0, "long": "x".repeat(99) }] });
        let rows = Field::whole(file, &value).field("rows").and_then(|rows| rows.list());
        let rows = rows.expect("a list");
        let said = |problem: Result<(), Problem>| problem.expect_err("a problem").to_string();
        let name = rows[0].field("name").and_then(|name| name.text()).map(drop);
        assert_eq!(said(name), "some.json: rows[0].name: text is wanted, not 7");
        let value = rows[1].field("value").and_then(|value| value.positive()).map(drop);
        assert_eq!(said(value), "some.json: rows[1].value: a number above 0 is wanted, not -1.0");
        let gone = rows[1].field("gone").map(drop);
        assert_eq!(said(gone), "some.json: rows[1].gone: is missing");
        let long = rows[1].field("long").and_then(|long| long.flag()).map(drop);
        assert!(said(long).len() < 100);
    }

    #[test]
    fn is_what_is_no_json_named() {
        let said = parse(Path::new("cut.json"), "{\"rows\":").expect_err("no JSON").to_string();
        assert!(said.starts_with("cut.json: no JSON: "), "{said}");
    }
}
