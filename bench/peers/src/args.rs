//! The command line.

use std::fmt;
use std::path::PathBuf;

use crate::peers;
use crate::row::{Operation, Row, SIZES};

/// What `--help` prints.
pub const HELP: &str = "\
factlog beside other logs and stores, and beside the limits of the machine.

  cargo run --release --manifest-path bench/peers/Cargo.toml -- [OPTIONS]

  --quick           events of 64 bytes, four peers; about two minutes. Without it: all peers, and
                    64, 256 and 1,024 bytes; about twenty
  --only ROW        this row only, append-64-of-64 say; may be given several times
  --peer NAME       this peer only, seglog say; may be given several times
  --repetitions N   processes for each figure; 3 unless told
  --dir DIR         where logs are written, in a directory that is removed afterwards; unless told,
                    where this program stands. Durable rows need a disk: no tmpfs
  --json FILE       writes the figures to FILE as well
  --help            prints this";

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Print the help.
    Help,
    /// Measure and compare.
    Compare(Wanted),
    /// Be one of the processes that measure.
    Child(Order),
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// In this order.
    pub rows: Vec<Row>,
    /// Names of peers.
    pub peers: Vec<String>,
    /// Processes for each figure.
    pub repetitions: usize,
    /// Where logs are written, unless beside the program.
    pub dir: Option<PathBuf>,
    /// Where figures are written as JSON.
    pub json: Option<PathBuf>,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Name of a subject.
    pub subject: String,
    /// What it does.
    pub row: Row,
    /// Where.
    pub within: PathBuf,
}

/// The first word that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgsError {
    /// No such option.
    Unknown(String),
    /// An option without what belongs behind it.
    Missing(&'static str),
    /// No such row in this run.
    Row(String, Vec<String>),
    /// No such peer.
    Peer(String, Vec<String>),
    /// Not a number from 1 to 99.
    Repetitions(String),
    /// What a parent gives to its child was changed.
    Child,
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => write!(f, "there is no option {word:?}"),
            Self::Missing(option) => write!(f, "{option} needs a value behind it"),
            Self::Row(row, rows) => {
                write!(f, "this run has no row {row:?}, but {}", rows.join(", "))
            }
            Self::Peer(peer, peers) => {
                write!(f, "there is no peer {peer:?}, but {}", peers.join(", "))
            }
            Self::Repetitions(word) => write!(f, "--repetitions is from 1 to 99, not {word:?}"),
            Self::Child => f.write_str("--child is for this program itself"),
        }
    }
}

/// What the words of a command line ask for.
///
/// # Errors
///
/// One of them is not known.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, ArgsError> {
    let mut words = words.into_iter();
    let (mut quick, mut repetitions, mut dir, mut json) = (false, 3, None, None);
    let (mut only, mut chosen) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        let mut value = |option| words.next().ok_or(ArgsError::Missing(option));
        match word.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--child" => return child(words).ok_or(ArgsError::Child),
            "--quick" => quick = true,
            "--only" => only.push(value("--only")?),
            "--peer" => chosen.push(value("--peer")?),
            "--dir" => dir = Some(PathBuf::from(value("--dir")?)),
            "--json" => json = Some(PathBuf::from(value("--json")?)),
            "--repetitions" => {
                let text = value("--repetitions")?;
                let number = text.parse().ok().filter(|number| (1..=99).contains(number));
                repetitions = number.ok_or(ArgsError::Repetitions(text))?;
            }
            _ => return Err(ArgsError::Unknown(word)),
        }
    }
    let sizes = if quick { &SIZES[..1] } else { &SIZES[..] };
    let rows = rows(sizes.iter().flat_map(|size| Row::of_size(*size)).collect(), only)?;
    let peers = peers(quick, chosen)?;
    Ok(Command::Compare(Wanted { rows, peers, repetitions, dir, json }))
}

fn rows(all: Vec<Row>, only: Vec<String>) -> Result<Vec<Row>, ArgsError> {
    let names: Vec<String> = all.iter().map(Row::to_string).collect();
    if let Some(strange) = only.iter().find(|row| !names.contains(row)) {
        return Err(ArgsError::Row(strange.clone(), names));
    }
    let wanted = |row: &Row| only.is_empty() || only.contains(&row.to_string());
    Ok(all.into_iter().filter(wanted).collect())
}

fn peers(quick: bool, chosen: Vec<String>) -> Result<Vec<String>, ArgsError> {
    let names: Vec<String> = peers::all().iter().map(|peer| peer.name().to_owned()).collect();
    if let Some(strange) = chosen.iter().find(|peer| !names.contains(peer)) {
        return Err(ArgsError::Peer(strange.clone(), names));
    }
    let wanted = |name: &String| {
        if chosen.is_empty() {
            !quick || peers::QUICK.contains(&name.as_str())
        } else {
            chosen.contains(name)
        }
    };
    Ok(names.into_iter().filter(wanted).collect())
}

/// The words that start a child for `order`.
pub fn of_child(order: &Order) -> Vec<String> {
    let Order { subject, row, within } = order;
    let Row { operation, batch, size } = row;
    let words = ["--child", subject, operation.name()].map(str::to_owned);
    let numbers = [batch.to_string(), size.to_string(), within.to_string_lossy().into_owned()];
    words.into_iter().chain(numbers).collect()
}

fn child(words: impl Iterator<Item = String>) -> Option<Command> {
    let [subject, operation, batch, size, within] = words.collect::<Vec<_>>().try_into().ok()?;
    let operation = Operation::parse(&operation)?;
    let size = size.parse().ok().filter(|size| SIZES.contains(size))?;
    let batch = batch.parse().ok().filter(|batch| *batch > 0)?;
    let row = Row { operation, batch, size };
    Some(Command::Child(Order { subject, row, within: within.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, ArgsError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn wanted(line: &str) -> Wanted {
        match of(line) {
            Ok(Command::Compare(wanted)) => wanted,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn is_the_quick_set_of_64_bytes_and_four_peers() {
        let quick = wanted("--quick");
        assert_eq!(quick.rows, Row::of_size(64));
        assert_eq!(quick.peers, peers::QUICK);
        assert_eq!(quick.repetitions, 3);
    }

    #[test]
    fn is_everything_measured_unless_told() {
        let all = wanted("");
        assert_eq!(all.rows.len(), 18);
        assert_eq!(all.peers.len(), peers::all().len());
    }

    #[test]
    fn do_options_choose() {
        let line =
            "--only replay-of-256 --peer sqlite --peer seglog --repetitions 5 --dir d --json j";
        let some = wanted(line);
        assert_eq!(some.rows.iter().map(Row::to_string).collect::<Vec<_>>(), ["replay-of-256"]);
        assert_eq!(some.peers, ["seglog", "sqlite"]);
        assert_eq!((some.repetitions, some.dir), (5, Some("d".into())));
        assert_eq!(some.json, Some("j".into()));
    }

    #[test]
    fn is_what_is_not_known_an_error_that_says_so() {
        assert_eq!(of("--slow"), Err(ArgsError::Unknown("--slow".into())));
        assert_eq!(of("--dir"), Err(ArgsError::Missing("--dir")));
        assert_eq!(of("--repetitions 0"), Err(ArgsError::Repetitions("0".into())));
        assert!(matches!(of("--peer mongo"), Err(ArgsError::Peer(_, _))));
        assert!(matches!(of("--quick --only append-1-of-256"), Err(ArgsError::Row(_, _))));
        assert_eq!(of("--child seglog append"), Err(ArgsError::Child));
        assert_eq!(of("--quick --help"), Ok(Command::Help));
    }

    #[test]
    fn does_a_child_understand_its_parent() {
        for row in Row::of_size(256) {
            let order = Order { subject: "seglog".into(), row, within: "a b".into() };
            assert_eq!(parse(of_child(&order)), Ok(Command::Child(order)));
        }
    }
}
