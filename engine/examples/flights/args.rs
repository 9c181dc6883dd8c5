//! The command line.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use factlog::Durability;
use jiff::Timestamp;
use jiff::civil::Date;

/// The exit code after a command line that makes no sense.
pub(crate) const EXIT_USAGE: u8 = 2;

/// What `--help` prints, and what follows an error in the command line.
pub(crate) const USAGE: &str = "\
usage: flights [--data FILE] [--dir DIR [--crash]] [--durability WHEN] [--json]
               [--what-if FLIGHT]
               [--at TIME] [--why FLIGHT]

  --data FILE  read this table of flights: CSV with a header, plain, gzip or zstd
               (default: New York's flights of January 2013, which are built in)
  --dir DIR    keep the log in this directory, and go on from what it holds
               (default: a temporary directory)
  --crash      stop dead halfway; run again with the same --dir to see the recovery
  --durability WHEN
               when facts become durable: none (at the end), interval (in the background,
               100 ms after they are visible; the default), group (before submissions are
               answered, one sync for those that are written together), always (the same,
               one sync for each frame)
  --json       print one JSON object instead of the report, or of what --what-if shows
  --what-if FLIGHT
               instead of the report: what its aircraft would have missed if this flight had
               been cancelled, in a fork of the log; the first UA1545 that left, or
               UA1545/EWR/1357035300, with origin and planned departure
  --at TIME    show the board as it was then, instead of the report: 2013-01-15T18:00:00Z
  --why FLIGHT show what made a flight late, instead of the report: EV4321, on the day on
               which it was latest, or EV4321/2013-01-01, the day on which it was to leave,
               in UTC
  --help       print this
";

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    /// The table to read, instead of the one that is built in.
    pub(crate) data: Option<PathBuf>,
    /// Where the log is kept, instead of in a temporary directory.
    pub(crate) dir: Option<PathBuf>,
    /// Stop dead halfway. Only with `dir`.
    pub(crate) crash: bool,
    /// When facts become durable.
    pub(crate) durability: Policy,
    /// Report as JSON.
    pub(crate) json: bool,
    /// The flight that is cancelled in a fork.
    pub(crate) what_if: Option<String>,
    /// Show the board as of this time, in seconds since the Unix epoch.
    pub(crate) at: Option<i64>,
    /// Show what made this flight late.
    pub(crate) why: Option<FlightName>,
}

/// A flight as people name it: `EV4321`, or `EV4321/2013-01-01`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightName {
    /// The carrier's code.
    pub(crate) carrier: String,
    /// The carrier's number for it.
    pub(crate) number: u32,
    /// The day on which it was to leave, in UTC; the one on which it was latest otherwise.
    pub(crate) day: Option<Date>,
}

impl FlightName {
    fn parse(text: &str) -> Option<Self> {
        let (name, day) = match text.split_once('/') {
            Some((name, day)) => (name, Some(day.parse().ok()?)),
            None => (text, None),
        };
        // Carriers have two letters or digits, and some a third letter.
        let digits = name.len() - name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (carrier, number) = name.split_at_checked(digits.max(2))?;
        let proper = carrier.len() <= 3 && carrier.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let number = number.parse().ok().filter(|_| proper)?;
        Some(Self { carrier: carrier.to_owned(), number, day })
    }
}

/// When facts become durable: the engine's policies, by their names on the command line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// At the end.
    None,
    /// In the background, after the engine's own interval.
    #[default]
    Interval,
    /// Before submissions are answered, those together that are written together.
    Group,
    /// Before submissions are answered, each frame for itself.
    Always,
}

impl Policy {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Interval, Self::Group, Self::Always];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Interval => "interval",
            Self::Group => "group",
            Self::Always => "always",
        }
    }

    /// What the engine calls it.
    pub(crate) fn durability(self) -> Durability {
        match self {
            Self::None => Durability::None,
            Self::Interval => Durability::default(),
            Self::Group => Durability::Group,
            Self::Always => Durability::Always,
        }
    }

    fn named(name: &OsString) -> Result<Self, ArgError> {
        let found = Self::ALL.into_iter().find(|policy| name == policy.name());
        found.ok_or_else(|| ArgError::NoPolicy(name.clone()))
    }
}

/// A command line that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Print [`USAGE`] and do nothing else.
    Help,
    /// Run.
    Run(Args),
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ArgError {
    /// There is no such option.
    Unknown(OsString),
    /// Something that is not an option.
    Unexpected(OsString),
    /// The option needs a value, and none follows.
    NoValue(&'static str),
    /// The option takes no value, and one was given with `=`.
    NeedlessValue(&'static str),
    /// The option was given before.
    Repeated(&'static str),
    /// `--crash` without `--dir`: there would be nothing to recover from.
    CrashWithoutDir,
    /// There is no such policy of durability.
    NoPolicy(OsString),
    /// No time.
    NoTime(OsString),
    /// No flight.
    NoFlight(OsString),
    /// `--json` with a question: answers are for people.
    JsonAnswer,
    /// `--what-if` beside another question.
    SecondQuestion,
}

impl fmt::Display for ArgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => {
                write!(f, "there is no option {}", option.to_string_lossy().escape_debug())
            }
            Self::Unexpected(word) => write!(
                f,
                "unexpected '{}'; a table is given with --data",
                word.to_string_lossy().escape_debug()
            ),
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::NeedlessValue(option) => write!(f, "{option} takes no value"),
            Self::Repeated(option) => write!(f, "{option} was given twice"),
            Self::NoPolicy(name) => write!(
                f,
                "there is no durability '{}'; it is none, interval, group or always",
                name.to_string_lossy().escape_debug()
            ),
            Self::NoTime(time) => write!(
                f,
                "'{}' is no time; one is 2013-01-15T18:00:00Z",
                time.to_string_lossy().escape_debug()
            ),
            Self::NoFlight(flight) => write!(
                f,
                "'{}' is no flight; one is EV4321 or EV4321/2013-01-01",
                flight.to_string_lossy().escape_debug()
            ),
            Self::JsonAnswer => f.write_str(
                "--json goes with the report and with --what-if, not with --at or --why",
            ),
            Self::SecondQuestion => {
                f.write_str("--what-if stands alone: ask --at and --why in another run")
            }
            Self::CrashWithoutDir => f.write_str(
                "--crash needs --dir: what a crash leaves in a temporary directory is lost",
            ),
        }
    }
}

impl Error for ArgError {}

/// Reads the command line, which begins after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, ArgError> {
    let mut words = words.into_iter().peekable();
    let mut args = Args::default();
    let mut help = false;
    let mut policy = None;
    while let Some(word) = words.next() {
        let (name, attached) = split_at_equals(&word);
        match name {
            Some("--data") => {
                let value = value("--data", attached, &mut words)?;
                set_once("--data", &mut args.data, value.into())?;
            }
            Some("--dir") => {
                let value = value("--dir", attached, &mut words)?;
                set_once("--dir", &mut args.dir, value.into())?;
            }
            Some("--durability") => {
                let value = value("--durability", attached, &mut words)?;
                set_once("--durability", &mut policy, Policy::named(&value)?)?;
            }
            Some("--what-if") => {
                let value = value("--what-if", attached, &mut words)?;
                let flight = value.to_string_lossy().into_owned();
                set_once("--what-if", &mut args.what_if, flight)?;
            }
            Some("--at") => {
                let value = value("--at", attached, &mut words)?;
                let time = value.to_str().and_then(|text| text.parse::<Timestamp>().ok());
                let time = time.ok_or_else(|| ArgError::NoTime(value.clone()))?;
                set_once("--at", &mut args.at, time.as_second())?;
            }
            Some("--why") => {
                let value = value("--why", attached, &mut words)?;
                let flight = value.to_str().and_then(FlightName::parse);
                let flight = flight.ok_or_else(|| ArgError::NoFlight(value.clone()))?;
                set_once("--why", &mut args.why, flight)?;
            }
            Some("--crash") => args.crash = flag("--crash", attached, args.crash)?,
            Some("--json") => args.json = flag("--json", attached, args.json)?,
            Some("--help" | "-h") => help = flag("--help", attached, false)?,
            _ if looks_like_option(&word) => return Err(ArgError::Unknown(word)),
            _ => return Err(ArgError::Unexpected(word)),
        }
    }
    if help {
        return Ok(Parsed::Help);
    }
    args.durability = policy.unwrap_or_default();
    if args.crash && args.dir.is_none() {
        return Err(ArgError::CrashWithoutDir);
    }
    let past = args.at.is_some() || args.why.is_some();
    if args.json && past {
        return Err(ArgError::JsonAnswer);
    }
    if args.what_if.is_some() && past {
        return Err(ArgError::SecondQuestion);
    }
    Ok(Parsed::Run(args))
}

/// `--data=FILE` is the same as `--data FILE`; the value need not be UTF-8.
fn split_at_equals(word: &OsString) -> (Option<&str>, Option<OsString>) {
    if let Some(text) = word.to_str() {
        return match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (Some(name), Some(value.into())),
            _ => (Some(text), None),
        };
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let bytes = word.as_bytes();
        let equals = bytes.iter().position(|byte| *byte == b'=');
        if let Some((name, rest)) = equals.and_then(|at| bytes.split_at_checked(at)) {
            let value = OsString::from_vec(rest.iter().skip(1).copied().collect());
            return (std::str::from_utf8(name).ok(), Some(value));
        }
    }
    (None, None)
}

fn value(
    option: &'static str,
    attached: Option<OsString>,
    words: &mut std::iter::Peekable<impl Iterator<Item = OsString>>,
) -> Result<OsString, ArgError> {
    // A file whose name begins with a dash is given as `./-name` or `--data=-name`.
    let value = attached.or_else(|| words.next_if(|next| !looks_like_option(next)));
    value.filter(|value| !value.is_empty()).ok_or(ArgError::NoValue(option))
}

fn set_once<V>(option: &'static str, place: &mut Option<V>, value: V) -> Result<(), ArgError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgError::Repeated(option)),
    }
}

fn flag(option: &'static str, attached: Option<OsString>, already: bool) -> Result<bool, ArgError> {
    match attached {
        Some(_) => Err(ArgError::NeedlessValue(option)),
        None if already => Err(ArgError::Repeated(option)),
        None => Ok(true),
    }
}

fn looks_like_option(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}
