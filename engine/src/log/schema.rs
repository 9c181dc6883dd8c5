//! A lock on schemas: the types that were released, in a file that is committed.
//!
//! What stands in logs is read by the programs of tomorrow. Whoever changes an event without giving
//! it a new version finds out when a log is opened (by an engine, or with `Options::vocabulary`), or
//! when the event is first appended or read; this finds out in `cargo test`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use factlog_codec::types::EventType;

/// The environment variable that has new types written down: `FACTLOG_SCHEMA=add`.
const VARIABLE: &str = "FACTLOG_SCHEMA";

/// A type by name and version.
type Name = (String, u16);

/// What stands in the file of a type: its fingerprint, and what it looks like, a field a line.
type Shape = (u64, String);

/// A released type that has another shape now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaChange {
    /// Name of the event.
    pub name: String,
    /// Version of the event.
    pub version: u16,
    /// What was released: a field a line. Empty if the file does not say.
    pub was: String,
    /// What it is now.
    pub is: String,
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, was, is } = self;
        write!(f, "`{name}` version {version} was released with another shape")?;
        if was == is {
            write!(f, " (of the same fields, laid out in another way)")?;
        } else if !was.is_empty() {
            let gone = was.lines().filter(|line| !is.lines().any(|other| other == *line));
            let new = is.lines().filter(|line| !was.lines().any(|other| other == *line));
            gone.into_iter().try_for_each(|line| write!(f, "\n    - {line}"))?;
            new.into_iter().try_for_each(|line| write!(f, "\n    + {line}"))?;
            write!(f, "\n  so")?;
        }
        write!(
            f,
            ": take that back, or make it version {} and keep the old struct as an earlier one",
            version.saturating_add(1)
        )
    }
}

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
        /// Released, and of another shape now.
        changed: Vec<SchemaChange>,
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
                write!(
                    f,
                    "{}, line {line}: neither `name version fingerprint`, nor a field",
                    path.display()
                )
            }
            Self::Different { path, changed, gone, new } => {
                write!(f, "the schema differs from {}:", path.display())?;
                for change in changed {
                    write!(f, "\n- {change}")?;
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
/// file; what was released is never changed or taken out, but by hand.
///
/// [`schema_lock!`](crate::schema_lock) is the same in one line.
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
    let mut released = read(&text).map_err(|line| SchemaError::Line(path.to_owned(), line))?;
    let shape = |one: &EventType| (one.fingerprint(), shown(one));
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    let mut now: BTreeMap<Name, Shape> = BTreeMap::new();
    for one in types {
        let (name, is) = ((one.name().to_owned(), one.version()), shape(one));
        if let Some(was) = now.insert(name.clone(), is.clone())
            && was.0 != is.0
        {
            // The program has two of that name and version: either would be the other's change.
            changed.push(change(&name, was.1, is.1));
        }
    }
    for (name, (fingerprint, was)) in &released {
        match now.get(name) {
            None => gone.push(name.clone()),
            Some((found, is)) if found != fingerprint => {
                changed.push(change(name, was.clone(), is.clone()));
            }
            Some(_) => {}
        }
    }
    let new: Vec<_> = now.keys().filter(|name| !released.contains_key(*name)).cloned().collect();
    if changed.is_empty() && gone.is_empty() && (new.is_empty() || add) {
        if add {
            released.extend(now);
            let written = written(&released);
            if written != text {
                fs::write(path, written).map_err(io)?;
            }
        }
        return Ok(());
    }
    Err(SchemaError::Different { path: path.to_owned(), changed, gone, new })
}

fn change(name: &Name, was: String, is: String) -> SchemaChange {
    SchemaChange { name: name.0.clone(), version: name.1, was, is }
}

/// What a type looks like, a field a line.
fn shown(one: &EventType) -> String {
    one.description().map_or_else(|| "opaque bytes".to_owned(), ToString::to_string)
}

/// The released types; or the number of a line that is none.
fn read(text: &str) -> Result<BTreeMap<Name, Shape>, usize> {
    let mut released: BTreeMap<Name, Shape> = BTreeMap::new();
    let mut last: Option<Name> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(field) = line.strip_prefix(FIELD) {
            // It belongs to the type above.
            let above = last.as_ref().and_then(|name| released.get_mut(name)).ok_or(number)?;
            if !above.1.is_empty() {
                above.1.push('\n');
            }
            above.1.push_str(field);
            continue;
        }
        let (name, fingerprint) = read_line(line).ok_or(number)?;
        if released.insert(name.clone(), (fingerprint, String::new())).is_some() {
            return Err(number);
        }
        last = Some(name);
    }
    Ok(released)
}

fn read_line(line: &str) -> Option<(Name, u64)> {
    let mut words = line.split(' ');
    let (name, version) = (words.next()?, words.next()?.parse().ok()?);
    let fingerprint = u64::from_str_radix(words.next()?, 16).ok()?;
    words.next().is_none().then(|| ((unescaped(name), version), fingerprint))
}

/// A name as it stands in a line: a word of its own that begins no remark. The names of opaque types
/// may be any text.
fn escaped(name: &str) -> String {
    let mut word = String::new();
    for (at, c) in name.chars().enumerate() {
        if c == '\\' || c.is_whitespace() || c.is_control() || (at == 0 && c == '#') {
            word.extend(c.escape_unicode());
        } else {
            word.push(c);
        }
    }
    word
}

/// The name that a word stands for.
fn unescaped(word: &str) -> String {
    let mut parts = word.split("\\u{");
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape = part.split_once('}').and_then(|(digits, rest)| {
            let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
            Some((c, rest))
        });
        if let Some((c, rest)) = escape {
            name.push(c);
            name.push_str(rest);
        } else {
            name.push_str("\\u{");
            name.push_str(part);
        }
    }
    name
}

/// What a line begins with that shows a field.
const FIELD: &str = "    ";

fn written(released: &BTreeMap<Name, Shape>) -> String {
    let mut text = String::from(
        "# Events that were released: name, version, fingerprint of their shape; below, their fields. \
         New\n# ones are added by a test with FACTLOG_SCHEMA=add; what is there is never changed.\n",
    );
    for ((name, version), (fingerprint, fields)) in released {
        text.push_str(&format!("{} {version} {fingerprint:016x}\n", escaped(name)));
        for field in fields.lines() {
            text.push_str(&format!("{FIELD}{field}\n"));
        }
    }
    text
}

/// Holds the types of events and vocabularies against a file in the package, in which the released
/// ones stand; panics with what differs. One line in a test:
///
/// ```no_run
/// # #[factlog::event(name = "price-set", version = 1)]
/// # pub struct PriceSet { pub cents: u64 }
/// # #[factlog::event(name = "set-price", version = 1)]
/// # pub struct SetPrice { pub cents: u64 }
/// # #[factlog::vocabulary]
/// # pub enum PriceEvent { Set(PriceSet) }
/// #[test]
/// fn are_released_events_as_they_were() {
///     factlog::schema_lock!("schema.lock", PriceEvent, SetPrice);
/// }
/// ```
///
/// Run it once with the environment variable `FACTLOG_SCHEMA=add`, which writes the file or adds to
/// it what is new, and commit the file. See [`check_schema`](crate::check_schema), which it calls.
///
/// # Panics
///
/// When a released type has changed or vanished, one is new, or the file cannot be read.
#[macro_export]
macro_rules! schema_lock {
    ($path:expr, $($of:ty),+ $(,)?) => {{
        #[allow(unused_imports, reason = "there are events, or vocabularies, or both")]
        use $crate::__private::{OfEvent as _, OfVocabulary as _};
        let path = ::std::path::Path::new(::core::env!("CARGO_MANIFEST_DIR")).join($path);
        let types = [$((&$crate::__private::TypesOf::<$of>::new()).types()),+].concat();
        if let ::core::result::Result::Err(error) = $crate::check_schema(path, types) {
            ::core::panic!("{error}");
        }
    }};
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
        // A field of nothing, and a type twice.
        fs::write(&path, "# a remark\n    cents: u64\n").expect("written");
        assert!(matches!(check(&path, vec![], false), Err(SchemaError::Line(_, 2))));
        fs::write(&path, "one 1 0\n    cents: u64\none 1 1\n").expect("written");
        assert!(matches!(check(&path, vec![], false), Err(SchemaError::Line(_, 3))));
    }

    static ODD: [EventType; 6] = [
        EventType::opaque("# a remark", 1),
        EventType::opaque("    two words 1 00", 1),
        EventType::opaque("two\nlines 1 00", 1),
        EventType::opaque("back\\u{23}slash", 1),
        EventType::opaque("\u{2028}\t\r", 1),
        EventType::opaque("Flug gestrichen", 1),
    ];

    #[test]
    fn does_any_name_stand_in_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("schema.lock");
        check(&path, ODD.iter().collect(), true).expect("added");
        check(&path, ODD.iter().collect(), false).expect("the same");
        let text = fs::read_to_string(&path).expect("readable");
        check(&path, ODD.iter().collect(), true).expect("the same");
        assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        // A backslash that was written as it is.
        assert_eq!(unescaped("a\\b\\u{}\\u{23"), "a\\b\\u{}\\u{23");
    }

    #[test]
    fn are_two_types_of_one_name_and_version_told() {
        #[crate::event(name = "one", version = 1, crate = crate)]
        struct One {
            #[allow(dead_code, reason = "only its shape is looked at")]
            cents: u64,
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("schema.lock");
        let described = <One as crate::Event>::static_type();
        for types in [vec![&ONE, described], vec![described, &ONE]] {
            let Err(SchemaError::Different { changed, .. }) = check(&path, types, true) else {
                panic!("one of them is the other's change");
            };
            assert_eq!((changed[0].name.as_str(), changed.len()), ("one", 1));
            assert!(!path.exists(), "neither is written down");
        }
        check(&path, vec![&ONE, &ONE], true).expect("one type");
    }
}
