//! Planted bugs: a check that cannot fail proves nothing.
//!
//! A plant is a file: what is broken, the check that must find it, the file to change, and the text
//! to replace. It is applied to a copy of the repository, never to the repository itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A bug to be planted.
#[derive(Debug, Clone)]
pub struct Plant {
    /// Name of its file.
    pub name: String,
    /// What is broken.
    pub about: String,
    /// The model that must find it, or the promise, and how often that is to be tried if not as
    /// often as usual: `G2 60000`. Of G7, a body and for how many seconds: `G7 files 30`.
    pub model: String,
    /// It is among those for which there is time in ten minutes.
    pub quick: bool,
    file: String,
    old: String,
    new: String,
}

impl Plant {
    /// All plants in `folder`, by name.
    ///
    /// # Errors
    ///
    /// One of the files is no plant, or cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Whether the text that it replaces stands in its file, once.
    pub fn fits(&self, root: &Path) -> bool {
        let text = fs::read_to_string(root.join(&self.file));
        text.is_ok_and(|text| text.matches(&self.old).count() == 1)
    }

    /// From its file.
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
                quick: head.lines().any(|line| line == "quick"),
                file: field("file:")?.to_owned(),
                old: old.to_owned(),
                new: new.to_owned(),
            })
        };
        parse().ok_or_else(|| format!("{} is no plant", path.display()))
    }
}

/// The copy of the repository that is worked on.
#[derive(Debug)]
pub struct Copied {
    tree: PathBuf,
    target: PathBuf,
}

impl Copied {
    /// Copies the repository to `target/NAME`, where builds go as well. Files that are there and the
    /// same are left alone, so that what was built of them need not be built again.
    ///
    /// # Errors
    ///
    /// It cannot be copied.
    pub fn make(name: &str) -> Result<Self, String> {
        let root = root()?;
        let base = root.join("target").join(name);
        let tree = base.join("tree");
        copy(&root, &tree).map_err(|error| format!("copying the tree: {error}"))?;
        Ok(Self { tree, target: base.join("build") })
    }

    /// Runs cargo in the copy.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn cargo(&self, words: &[&str], flags: &str) -> Result<Output, String> {
        self.output(Command::new(env!("CARGO")).args(words), flags)
    }

    /// The same of what may hang, with a bug in it: all of it is ended after `seconds`.
    ///
    /// # Errors
    ///
    /// It does not start, or had to be ended.
    pub fn cargo_within(&self, seconds: u32, words: &[&str]) -> Result<Output, String> {
        let limit = seconds.to_string();
        let output =
            self.output(Command::new("timeout").args([&limit, env!("CARGO")]).args(words), "")?;
        if output.status.code() == Some(124) {
            return Err(format!("it did not end in {seconds} s"));
        }
        Ok(output)
    }

    fn output(&self, command: &mut Command, flags: &str) -> Result<Output, String> {
        command
            .current_dir(&self.tree)
            .env("RUSTFLAGS", flags)
            .env("CARGO_TARGET_DIR", &self.target)
            // One file after the other is changed and changed back, whatever is asked of other builds.
            .env("CARGO_INCREMENTAL", "1")
            .env("RUST_BACKTRACE", "0")
            .output()
            .map_err(|error| error.to_string())
    }

    /// What cargo has built: a path below the target directory.
    pub fn built(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// The tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Runs `check` with the bug planted.
    ///
    /// # Errors
    ///
    /// It cannot be planted, or what `check` says.
    pub fn with<T>(
        &self,
        plant: &Plant,
        check: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let path = self.tree.join(&plant.file);
        let whole =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", plant.file))?;
        if whole.matches(&plant.old).count() != 1 {
            return Err(format!("{} does not have the text once", plant.file));
        }
        let write = |text: &str| fs::write(&path, text).map_err(|error| error.to_string());
        write(&whole.replace(&plant.old, &plant.new))?;
        let tried = check();
        write(&whole)?;
        tried
    }
}

/// The repository.
///
/// # Errors
///
/// It is not there any more.
pub fn root() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().map_err(|error| error.to_string())
}

/// What is built or kept by tools, and is not copied.
const BUILT: [&str; 4] = ["target", ".git", "__pycache__", "artifacts"];

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        let original = from.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !original.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        } else if !original.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !BUILT.iter().any(|built| name == *built) {
                copy(&entry.path(), &to.join(name))?;
            }
        } else if kind.is_file() {
            let copied = to.join(name);
            let bytes = fs::read(entry.path())?;
            if !fs::read(&copied).is_ok_and(|there| there == bytes) {
                fs::copy(entry.path(), copied)?;
            }
        }
    }
    Ok(())
}
