//! A lock on schemas: the types that were released, in a file that is committed.
//!
//! What stands in logs is read by the programs of tomorrow. Whoever changes an event without giving
//! it a new version finds out when a log is opened; this finds out in `cargo test`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use factlog_codec::types::EventType;

/// The environment variable that has new types written down: `FACTLOG_SCHEMA=add`.
const VARIABLE: &str = "FACTLOG_SCHEMA";

/// A type by name and version.
type Name = (String, u16);

/// How types differ from those that were released.
#[derive(Debug)]
#[non_exhaustive]
pub enum SchemaError {
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// A line of the file is none: its number.
    Line(PathBuf, usize),
    /// Types changed, vanished, or are not in the file yet.
    Different {
        /// The file.
        path: PathBuf,
        /// Released, and of another shape now, by name and version.
        changed: Vec<(String, u16)>,
        /// Released, and not there any more.
        gone: Vec<(String, u16)>,
        /// Not released so far.
        new: Vec<(String, u16)>,
    },
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Line(path, line) => {
                write!(f, "{}, line {line}: not `name version fingerprint`", path.display())
            }
            Self::Different { path, changed, gone, new } => {
                write!(f, "the schema differs from {}:", path.display())?;
                for (name, version) in changed {
                    write!(
                        f,
                        "\n- `{name}` version {version} was released with another shape: take that \
                         back, or make it version {} and keep the old struct as an earlier one",
                        version.saturating_add(1)
                    )?;
                }
                for (name, version) in gone {
                    write!(
                        f,
                        "\n- `{name}` version {version} was released and is not there any more: logs \
                         may hold it; name it among `earlier(..)`"
                    )?;
                }
                for (name, version) in new {
                    write!(
                        f,
                        "\n- `{name}` version {version} is new: run the test once with \
                         {VARIABLE}=add, and commit the file"
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for SchemaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Line(..) | Self::Different { .. } => None,
        }
    }
}

/// Holds types against the file at `path`, in which the released ones stand: for a test of a program
/// that stores them. With the environment variable `FACTLOG_SCHEMA=add`, new ones are added to the
/// file; nothing in it is ever changed or taken out, but by hand.
///
/// ```
/// use factlog::{Vocabulary, check_schema};
///
/// # #[factlog::event(name = "price-set", version = 1)]
/// # pub struct PriceSet { pub cents: u64 }
/// #[factlog::vocabulary]
/// pub enum PriceEvent {
///     Set(PriceSet),
/// }
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("schema.lock");
/// # let types = PriceEvent::types();
/// # std::fs::write(&path, format!("price-set 1 {:016x}\n", types[0].fingerprint()))?;
/// // In a test: concat!(env!("CARGO_MANIFEST_DIR"), "/schema.lock").
/// check_schema(&path, PriceEvent::types())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A released type has changed or vanished, one is new, or the file cannot be read.
pub fn check_schema(
    path: impl AsRef<Path>,
    types: impl IntoIterator<Item = &'static EventType>,
) -> Result<(), SchemaError> {
    let add = std::env::var_os(VARIABLE).is_some_and(|value| value == "add");
    check(path.as_ref(), types.into_iter().collect(), add)
}

fn check(path: &Path, types: Vec<&'static EventType>, add: bool) -> Result<(), SchemaError> {
    let io = |error| SchemaError::Io(path.to_owned(), error);
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(io)?,
    };
    let mut released: BTreeMap<Name, u64> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = read_line(line).ok_or(SchemaError::Line(path.to_owned(), number + 1))?;
        released.insert(read.0, read.1);
    }
    let now: BTreeMap<Name, u64> = types
        .into_iter()
        .map(|one| ((one.name().to_owned(), one.version()), one.fingerprint()))
        .collect();
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    for (name, fingerprint) in &released {
        match now.get(name) {
            None => gone.push(name.clone()),
            Some(found) if found != fingerprint => changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let new: Vec<_> = now.keys().filter(|name| !released.contains_key(*name)).cloned().collect();
    if changed.is_empty() && gone.is_empty() && (new.is_empty() || add) {
        if !new.is_empty() {
            released.extend(now);
            fs::write(path, written(&released)).map_err(io)?;
        }
        return Ok(());
    }
    Err(SchemaError::Different { path: path.to_owned(), changed, gone, new })
}

fn read_line(line: &str) -> Option<(Name, u64)> {
    let mut words = line.split(' ');
    let (name, version) = (words.next()?, words.next()?.parse().ok()?);
    let fingerprint = u64::from_str_radix(words.next()?, 16).ok()?;
    words.next().is_none().then(|| ((name.to_owned(), version), fingerprint))
}

fn written(released: &BTreeMap<Name, u64>) -> String {
    let mut text = String::from(
        "# Events that were released: name, version, fingerprint of their shape. A line is added by a\n\
         # test with FACTLOG_SCHEMA=add, and never changed.\n",
    );
    for ((name, version), fingerprint) in released {
        text.push_str(&format!("{name} {version} {fingerprint:016x}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    static ONE: EventType = EventType::opaque("one", 1);
    static TWO: EventType = EventType::opaque("two", 3);

    #[test]
    fn is_every_difference_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("schema.lock");
        let different = |result: Result<(), SchemaError>| match result {
            Err(SchemaError::Different { changed, gone, new, .. }) => {
                (changed.len(), gone.len(), new.len())
            }
            other => panic!("{other:?}"),
        };
        // There is no file: all are new.
        assert_eq!(different(check(&path, vec![&ONE, &TWO], false)), (0, 0, 2));
        check(&path, vec![&ONE], true).expect("added");
        assert_eq!(different(check(&path, vec![&ONE, &TWO], false)), (0, 0, 1));
        check(&path, vec![&ONE, &TWO], true).expect("added");
        check(&path, vec![&TWO, &ONE], false).expect("the same");
        assert_eq!(different(check(&path, vec![&ONE], true)), (0, 1, 0));
        let text = fs::read_to_string(&path).expect("readable");
        let fingerprint = format!("{:016x}", TWO.fingerprint());
        let other = text.replace(&format!("two 3 {fingerprint}"), "two 3 00000000000000ff");
        fs::write(&path, &other).expect("written");
        // What was released is not overwritten, whatever is asked for.
        assert_eq!(different(check(&path, vec![&ONE, &TWO], true)), (1, 0, 0));
        let error = check(&path, vec![&ONE, &TWO], false).expect_err("changed").to_string();
        assert!(
            error.contains("`two` version 3") && error.contains("make it version 4"),
            "{error}"
        );
        fs::write(&path, "two three\n").expect("written");
        assert!(matches!(check(&path, vec![], false), Err(SchemaError::Line(_, 1))));
    }
}
