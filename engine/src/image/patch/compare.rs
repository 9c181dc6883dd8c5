//! Two JSON texts side by side.

use super::change::{Change, Patch};
use super::json::{Parts, parts, unescaped};

/// What makes of `before` what `after` is. Paths begin with `path`.
pub(super) fn compare(path: &str, before: &str, after: &str) -> Patch {
    let mut found = Compare { path: path.to_owned(), changes: Vec::new() };
    found.value(before, after);
    Patch { changes: found.changes }
}

/// Appends one step to a path.
pub(super) fn descend(path: &mut String, name: &str) {
    path.push('/');
    for letter in name.chars() {
        match letter {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            letter => path.push(letter),
        }
    }
}

struct Compare {
    path: String,
    changes: Vec<Change>,
}

impl Compare {
    fn value(&mut self, before: &str, after: &str) {
        if before == after {
            return;
        }
        match (parts(before), parts(after)) {
            (Parts::Object(before), Parts::Object(there)) if has_common(&before, &there) => {
                self.object(&before, &there);
            }
            (Parts::Array(before), Parts::Array(after)) => self.array(&before, &after),
            _ => {
                let path = self.path.clone();
                self.changes.push(Change::Replace { path, value: after.to_owned() });
            }
        }
    }

    /// With one more step in the path.
    fn inside(&mut self, name: &str, look: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        descend(&mut self.path, name);
        look(self);
        self.path.truncate(len);
    }

    fn object(&mut self, before: &[(&str, &str)], after: &[(&str, &str)]) {
        for (name, value) in before {
            let now = after.iter().find(|(other, _)| other == name);
            self.inside(&unescaped(name), |this| match now {
                Some((_, now)) => this.value(value, now),
                None => this.changes.push(Change::Remove { path: this.path.clone() }),
            });
        }
        for (name, value) in after {
            if before.iter().any(|(other, _)| other == name) {
                continue;
            }
            self.inside(&unescaped(name), |this| {
                let (path, value) = (this.path.clone(), (*value).to_owned());
                this.changes.push(Change::Add { path, value });
            });
        }
    }

    /// What both begin with and end with is passed over; between, element by element.
    fn array(&mut self, before: &[&str], after: &[&str]) {
        let pairs = before.iter().zip(after);
        let head = pairs.take_while(|(one, other)| one == other).count();
        let (before, after) = (before.get(head..).unwrap_or(&[]), after.get(head..).unwrap_or(&[]));
        let pairs = before.iter().rev().zip(after.iter().rev());
        let tail = pairs.take_while(|(one, other)| one == other).count();
        let before = before.get(..before.len() - tail).unwrap_or(&[]);
        let after = after.get(..after.len() - tail).unwrap_or(&[]);
        for (at, (one, other)) in before.iter().zip(after).enumerate() {
            self.inside(&(head + at).to_string(), |this| this.value(one, other));
        }
        // From the last one on, so that those before stay where they are.
        for at in (after.len()..before.len()).rev() {
            self.inside(&(head + at).to_string(), |this| {
                this.changes.push(Change::Remove { path: this.path.clone() });
            });
        }
        for (at, value) in after.iter().enumerate().skip(before.len()) {
            self.inside(&(head + at).to_string(), |this| {
                let (path, value) = (this.path.clone(), (*value).to_owned());
                this.changes.push(Change::Add { path, value });
            });
        }
    }
}

/// Another variant of an enum is another object, and no change of the one before.
fn has_common(before: &[(&str, &str)], after: &[(&str, &str)]) -> bool {
    before.iter().any(|(name, _)| after.iter().any(|(other, _)| other == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(before: &str, after: &str, patch: &str) {
        assert_eq!(compare("", before, after).to_string(), patch);
    }

    #[test]
    fn is_told_what_differs_and_no_more() {
        is("{\"a\":1}", "{\"a\":1}", "[]");
        let patch = r#"[{"op":"replace","path":"/a/1","value":3}]"#;
        is(r#"{"a":[1,2],"b":"x"}"#, r#"{"a":[1,3],"b":"x"}"#, patch);
        let patch = r#"[{"op":"replace","path":"","value":{"B":{"x":1}}}]"#;
        is(r#"{"A":{"x":1}}"#, r#"{"B":{"x":1}}"#, patch);
        is("[1,2,3,4]", "[1,4]", r#"[{"op":"remove","path":"/2"},{"op":"remove","path":"/1"}]"#);
        is("[1,4]", "[1,2,4]", r#"[{"op":"add","path":"/1","value":2}]"#);
        is("null", "5", r#"[{"op":"replace","path":"","value":5}]"#);
        let patch = r#"[{"op":"remove","path":"/a~1b"},{"op":"add","path":"/c~0","value":2}]"#;
        is(r#"{"x":0,"a/b":1}"#, r#"{"x":0,"c~":2}"#, patch);
    }
}
