//! The models of the engine's concurrency, run under loom in a copy of the repository.

use std::process::Output;

use crate::plants::{Copied, Plant};

const LOOM: &str = "--cfg loom";

/// A copy in which models are run.
#[derive(Debug)]
pub struct Models(Copied);

/// What models said of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// How many held.
    pub models: u64,
    /// Interleavings that were tried.
    pub executions: u64,
    /// One line for each.
    pub lines: Vec<String>,
    /// All that was printed, where one did not hold.
    pub failure: Option<String>,
}

impl Models {
    /// In the copy at `target/NAME`.
    ///
    /// # Errors
    ///
    /// There is no copy, or it does not build.
    pub fn make(name: &str) -> Result<Self, String> {
        let models = Self(Copied::make(name)?);
        models.build()?;
        Ok(models)
    }

    /// Runs cargo on the models; `words` go behind the package.
    fn cargo(&self, words: &[&str]) -> Result<Output, String> {
        let test = ["test", "--quiet", "--release", "-p", "factlog", "--lib"];
        self.0.cargo(&[&test, words].concat(), LOOM)
    }

    fn build(&self) -> Result<(), String> {
        let built = self.cargo(&["--no-run"])?;
        if built.status.success() {
            return Ok(());
        }
        Err(format!("it does not compile:\n{}", String::from_utf8_lossy(&built.stderr)))
    }

    /// Runs the models whose name contains `name`, on all processors.
    ///
    /// # Errors
    ///
    /// They cannot be started.
    pub fn run(&self, name: &str) -> Result<Ran, String> {
        let name = if name.is_empty() { "models::" } else { name };
        let output = self.cargo(&[name, "--", "--nocapture"])?;
        Ok(Ran::of(&output))
    }

    /// Plants a bug; whether its model found it.
    ///
    /// # Errors
    ///
    /// It cannot be planted, does not compile, or names no model.
    pub fn find(&self, plant: &Plant) -> Result<bool, String> {
        self.0.with(plant, || {
            self.build()?;
            let output = self.cargo(&[&plant.model, "--", "--nocapture"])?;
            let said = String::from_utf8_lossy(&output.stdout);
            if !said.contains("running 1 test") {
                return Err(format!("{} is not the name of one model", plant.model));
            }
            Ok(!output.status.success())
        })
    }
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let said = text.lines().filter_map(|line| line.split_once("model ").map(|(_, said)| said));
        let mut ran = Self::default();
        for line in said {
            let words = line.strip_suffix(" executions").and_then(|line| line.rsplit_once(": "));
            if let Some(executions) = words.and_then(|(_, count)| count.parse::<u64>().ok()) {
                ran.models += 1;
                ran.executions += executions;
                ran.lines.push(line.to_owned());
            }
        }
        if !output.status.success() {
            ran.failure = Some(format!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        ran
    }
}
