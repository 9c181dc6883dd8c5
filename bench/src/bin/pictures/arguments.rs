//! What was asked for.

use std::path::PathBuf;

use jiff::civil::Date;

pub(crate) const HELP: &str = "\
usage: pictures --peers FILE --latency FILE [--out DIRECTORY] [--date YYYY-MM-DD]
                [--peers-command TEXT] [--latency-command TEXT]

  --peers FILE      what `bench/peers` wrote with --json
  --latency FILE    what the program `latency` wrote with --json
  --out DIRECTORY   where append.svg, durable.svg and latency.svg go (bench/pictures)
  --date DATE       when it was measured; unless told, what the files say, or else today
  --peers-command TEXT, --latency-command TEXT
                    what made the files, if not the commands of the README";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) peers: PathBuf,
    pub(crate) latency: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) date: Option<String>,
    pub(crate) peers_command: Option<String>,
    pub(crate) latency_command: Option<String>,
}

impl Arguments {
    /// `None` if help was asked for.
    pub(crate) fn parse(words: &[String]) -> Result<Option<Self>, String> {
        let (mut peers, mut latency, mut out, mut date) = (None, None, None, None);
        let (mut peers_command, mut latency_command) = (None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let place = match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--peers" => &mut peers,
                "--latency" => &mut latency,
                "--out" => &mut out,
                "--date" => &mut date,
                "--peers-command" => &mut peers_command,
                "--latency-command" => &mut latency_command,
                _ => return Err(format!("unknown: {word}")),
            };
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            *place = Some(value.clone());
        }
        if let Some(text) = &date {
            let parsed = text.parse::<Date>();
            parsed.map_err(|_| format!("--date is a day, 2026-11-24 say, not {text}"))?;
        }
        let missing = |option: &str| format!("{option} is needed");
        Ok(Some(Self {
            peers: peers.ok_or_else(|| missing("--peers"))?.into(),
            latency: latency.ok_or_else(|| missing("--latency"))?.into(),
            out: out.unwrap_or_else(|| "bench/pictures".into()).into(),
            date,
            peers_command,
            latency_command,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<Arguments>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(&words)
    }

    #[test]
    fn does_what_was_asked_for_come_out() {
        let found = of("--peers p --latency l --date 2026-02-28").expect("known").expect("no help");
        assert_eq!((found.peers, found.latency), ("p".into(), "l".into()));
        assert_eq!((found.out, found.date), ("bench/pictures".into(), Some("2026-02-28".into())));
        assert_eq!(of("--help"), Ok(None));
    }

    #[test]
    fn is_what_makes_no_sense_refused() {
        let bad = ["", "--peers p", "--latency l", "--peers", "--wat x", "--date 2026-02-30"];
        for line in bad {
            assert!(of(line).is_err(), "{line:?}");
        }
    }
}
