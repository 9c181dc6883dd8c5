//! Runs the models of the engine's concurrency under loom, then plants known bugs one by one and
//! sees that a model finds each.
//!
//! ```text
//! cargo run -p factlog-tests --bin models            all models and all plants
//! cargo run -p factlog-tests --bin models -- NAME    those whose name contains NAME
//! ```
//!
//! A plant is a file in `tests/models/`: what is broken, the model that must find it, the file, and
//! the text to replace. It is applied to a copy of the repository under `target/models`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

/// A bug to be planted.
struct Plant {
    name: String,
    about: String,
    model: String,
    file: String,
    old: String,
    new: String,
}

impl Plant {
    /// From its file; the message says what is wrong with it.
    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let parse = || {
            let (head, rest) = text.split_once("<<<<\n")?;
            let (old, rest) = rest.split_once("====\n")?;
            let (new, _) = rest.split_once(">>>>")?;
            let field = |field: &str| {
                head.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim())
            };
            Some(Self {
                name: name?,
                about: head.lines().next()?.to_owned(),
                model: field("model:")?.to_owned(),
                file: field("file:")?.to_owned(),
                old: old.to_owned(),
                new: new.to_owned(),
            })
        };
        parse().ok_or_else(|| format!("{} is no plant", path.display()))
    }
}

/// The copy of the repository that is worked on.
struct Copied {
    tree: PathBuf,
    target: PathBuf,
}

impl Copied {
    fn make(root: &Path) -> std::io::Result<Self> {
        let base = root.join("target").join("models");
        let tree = base.join("tree");
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        copy(root, &tree)?;
        Ok(Self { tree, target: base.join("build") })
    }

    /// Runs cargo on the models; `words` go behind the package.
    fn cargo(&self, words: &[&str]) -> std::io::Result<Output> {
        Command::new(env!("CARGO"))
            .current_dir(&self.tree)
            .args(["test", "--quiet", "--release", "-p", "factlog", "--lib"])
            .args(words)
            .env("RUSTFLAGS", "--cfg loom")
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0")
            .output()
    }

    fn run(&self, model: &str) -> std::io::Result<Output> {
        self.cargo(&[model, "--", "--nocapture", "--test-threads=1"])
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if name != "target" && name != ".git" {
                copy(&entry.path(), &to.join(name))?;
            }
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// What the models said of themselves.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().filter_map(|line| line.split_once("model ").map(|(_, said)| said));
    said.filter(|said| said.ends_with("executions")).map(str::to_owned).collect()
}

/// Plants a bug; whether its model found it.
fn plant(copied: &Copied, plant: &Plant) -> Result<bool, String> {
    let path = copied.tree.join(&plant.file);
    let whole = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", plant.file))?;
    if whole.matches(&plant.old).count() != 1 {
        return Err(format!("{} does not have the text once", plant.file));
    }
    let write = |text: &str| fs::write(&path, text).map_err(|error| error.to_string());
    write(&whole.replace(&plant.old, &plant.new))?;
    let tried = (|| {
        let built = copied.cargo(&["--no-run"]).map_err(|error| error.to_string())?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(format!("it does not compile:\n{said}"));
        }
        let output = copied.run(&plant.model).map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !said.contains("running 1 test") {
            return Err(format!("{} is not the name of one model", plant.model));
        }
        Ok(!output.status.success())
    })();
    write(&whole)?;
    tried
}

fn run() -> Result<bool, String> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let copied = Copied::make(&root).map_err(|error| format!("copying the tree: {error}"))?;

    let began = Instant::now();
    let name = if wanted.is_empty() { "models::" } else { &wanted };
    let output = copied.run(name).map_err(|error| error.to_string())?;
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

    let folder = root.join("tests").join("models");
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let (mut planted, mut found) = (0, 0);
    for path in paths {
        let bug = Plant::read(&path)?;
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
