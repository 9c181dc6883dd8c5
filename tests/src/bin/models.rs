//! Runs the models of the engine's concurrency under loom, then plants known bugs one by one and
//! sees that a model finds each.
//!
//! ```text
//! cargo run -p factlog-tests --bin models            all models and all plants
//! cargo run -p factlog-tests --bin models -- NAME    those whose name contains NAME
//! ```
//!
//! Plants are in `tests/models/`; they are applied to a copy of the repository under
//! `target/models`.

use std::process::{ExitCode, Output};
use std::time::Instant;

use factlog_tests::plants::{Copied, Plant, root};

const LOOM: &str = "--cfg loom";

/// Runs cargo on the models; `words` go behind the package.
fn cargo(copied: &Copied, words: &[&str]) -> Result<Output, String> {
    let test = ["test", "--quiet", "--release", "-p", "factlog", "--lib"];
    copied.cargo(&[&test, words].concat(), LOOM)
}

fn run_model(copied: &Copied, model: &str) -> Result<Output, String> {
    cargo(copied, &[model, "--", "--nocapture", "--test-threads=1"])
}

/// What the models said of themselves.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().filter_map(|line| line.split_once("model ").map(|(_, said)| said));
    said.filter(|said| said.ends_with("executions")).map(str::to_owned).collect()
}

/// Plants a bug; whether its model found it.
fn plant(copied: &Copied, plant: &Plant) -> Result<bool, String> {
    copied.with(plant, || {
        let built = cargo(copied, &["--no-run"])?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(format!("it does not compile:\n{said}"));
        }
        let output = run_model(copied, &plant.model)?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !said.contains("running 1 test") {
            return Err(format!("{} is not the name of one model", plant.model));
        }
        Ok(!output.status.success())
    })
}

fn run() -> Result<bool, String> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let copied = Copied::make("models")?;

    let began = Instant::now();
    let name = if wanted.is_empty() { "models::" } else { &wanted };
    let output = run_model(&copied, name)?;
    let models = lines(&output);
    for model in &models {
        println!("{model}");
    }
    if !output.status.success() {
        println!("{}", String::from_utf8_lossy(&output.stdout));
        println!("{}", String::from_utf8_lossy(&output.stderr));
        return Err("a model failed, or did not compile".into());
    }
    println!("{} models hold ({:.0} s)", models.len(), began.elapsed().as_secs_f64());

    let (mut planted, mut found) = (0, 0);
    for bug in Plant::all(&root()?.join("tests").join("models"))? {
        if !bug.name.contains(&wanted) && !bug.model.contains(&wanted) {
            continue;
        }
        planted += 1;
        let verdict = match plant(&copied, &bug) {
            Ok(true) => {
                found += 1;
                "found".to_owned()
            }
            Ok(false) => "NOT FOUND".to_owned(),
            Err(error) => format!("NOT PLANTED ({error})"),
        };
        println!("{verdict} by {}: {} ({})", bug.model, bug.about, bug.name);
    }
    println!("{found} of {planted} planted bugs found ({:.0} s)", began.elapsed().as_secs_f64());
    Ok(found == planted && (planted > 0 || !wanted.is_empty()))
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
