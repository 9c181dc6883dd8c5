//! What the program `proof` is told.

use std::path::PathBuf;

use super::Request;
use super::promises::{PROMISES, Promise};
use crate::seed_from_clock;

/// How it is called.
pub const USAGE: &str =
    "usage: proof [--quick] [--only ID]... [--seed N] [--count N] [--json FILE] \
                         [--no-plants | --plants [NAME]]

  --quick         at most ten minutes; without it the full figures
  --only G2       this promise alone, without planted bugs (unless --plants)
  --seed N        where random numbers begin; from the clock, if not given
  --count N       how often to try
  --json FILE     the table for programs
  --no-plants     no planted bugs
  --plants [NAME] planted bugs alone, or those whose name contains NAME";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// The promises that are tried.
    pub only: Vec<&'static Promise>,
    /// What each is asked.
    pub request: Request,
    /// Where the table for programs goes.
    pub json: Option<PathBuf>,
    /// Whether promises are tried on the tree as it is.
    pub rows: bool,
    /// Planted bugs whose name contains this, if any are wanted.
    pub plants: Option<String>,
}

impl Arguments {
    /// From the words behind the program's name.
    ///
    /// # Errors
    ///
    /// They say nothing that is known.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut only, mut json, mut plants, mut no_plants) = (Vec::new(), None, None, false);
        let mut request = Request { seed: seed_from_clock(), count: None, quick: false };
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => request.quick = true,
                "--no-plants" => no_plants = true,
                "--plants" => {
                    plants =
                        Some(words.next_if(|next| !next.starts_with("--")).unwrap_or_default());
                }
                "--only" | "--seed" | "--count" | "--json" => {
                    let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                    let number = || value.parse::<u64>().map_err(|_| format!("{word} {value}?"));
                    match word.as_str() {
                        "--only" => only.push(
                            Promise::named(&value)
                                .ok_or_else(|| format!("{value} is no promise"))?,
                        ),
                        "--seed" => request.seed = number()?,
                        "--count" => request.count = Some(number()?),
                        _ => json = Some(PathBuf::from(value)),
                    }
                }
                _ => return Err(format!("{word}?")),
            }
        }
        if no_plants && plants.is_some() {
            return Err("--plants and --no-plants?".to_owned());
        }
        let rows = plants.is_none() || !only.is_empty();
        if plants.is_none() && !no_plants && only.is_empty() {
            plants = Some(String::new());
        }
        if only.is_empty() {
            only = PROMISES.iter().collect();
        }
        Ok(Self { only, request, json, rows, plants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Arguments, String> {
        Arguments::parse(words.split_whitespace().map(String::from))
    }

    #[test]
    fn is_it_understood_what_is_asked() {
        let all = parse("--quick").expect("known");
        assert!(all.request.quick && all.rows && all.only.len() == 8);
        assert_eq!(all.plants.as_deref(), Some(""));
        let one = parse("--only g2 --seed 7 --count 9").expect("known");
        assert_eq!((one.only[0].id, one.only.len()), ("G2", 1));
        assert_eq!((one.request.seed, one.request.count), (7, Some(9)));
        assert!(one.rows && one.plants.is_none());
        let plants = parse("--plants torn --quick").expect("known");
        assert_eq!((plants.rows, plants.plants.as_deref()), (false, Some("torn")));
        let both = parse("--only G2 --plants").expect("known");
        assert_eq!((both.rows, both.plants.as_deref()), (true, Some("")));
        assert!(parse("--no-plants").expect("known").plants.is_none());
    }

    #[test]
    fn is_nonsense_refused() {
        for words in ["--only G9", "--seed x", "--count", "G1", "--plants --no-plants"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
