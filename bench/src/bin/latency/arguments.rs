//! What was asked for.

use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
usage: latency [--seconds N] [--only WORD] [--dir DIRECTORY] [--json FILE]

  --seconds N       each situation is measured for so long (3)
  --only WORD       only situations whose name has this in it
  --dir DIRECTORY   where the logs are made; durable commits need a real disk (.)
  --json FILE       writes the figures there as well";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) time: Duration,
    pub(crate) only: String,
    pub(crate) directory: PathBuf,
    pub(crate) json: Option<PathBuf>,
}

impl Arguments {
    /// What makes such figures, without paths: those are of this machine alone.
    pub(crate) fn command(&self) -> String {
        let mut command = "cargo run --release -p factlog-bench --bin latency --".to_owned();
        command.push_str(&format!(" --seconds {}", self.time.as_secs()));
        if !self.only.is_empty() {
            command.push_str(&format!(" --only {:?}", self.only));
        }
        command + " --json FILE"
    }

    /// `None` if help was asked for.
    pub(crate) fn parse(words: &[String]) -> Result<Option<Self>, String> {
        let mut found = Self {
            time: Duration::from_secs(3),
            only: String::new(),
            directory: PathBuf::from("."),
            json: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(None);
            }
            if !["--seconds", "--only", "--dir", "--json"].contains(&word.as_str()) {
                return Err(format!("unknown: {word}"));
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--seconds" => {
                    let seconds =
                        value.parse::<u64>().ok().filter(|count| (1..=3600).contains(count));
                    let seconds = seconds.ok_or("--seconds: a number from 1 to 3600")?;
                    found.time = Duration::from_secs(seconds);
                }
                "--only" => found.only.clone_from(value),
                "--dir" => found.directory = PathBuf::from(value),
                _ => found.json = Some(PathBuf::from(value)),
            }
        }
        Ok(Some(found))
    }

    /// Whether the situation `name` is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    #[test]
    fn are_unknown_words_refused() {
        let parse = |words: &[&str]| {
            Arguments::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert!(parse(&["--quick"]).is_err());
        assert!(parse(&["--seconds"]).is_err());
        assert!(parse(&["--seconds", "0"]).is_err());
        assert_eq!(parse(&["--help"]), Ok(None));
        let found = parse(&["--seconds", "2", "--only", "durable"]).expect("good").expect("some");
        assert!(
            found.time.as_secs() == 2 && found.wants("durable, group") && !found.wants("append")
        );
    }
}
