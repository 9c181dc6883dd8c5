//! How many bytes reach the device for each byte of acknowledged commits, by `/sys/dev/block`.
//!
//! `cargo run --release -p factlog-bench --bin device [DIRECTORY]`
//!
//! The device counts what everybody writes: take one that nobody else uses, a loop device say.
//! Besides the two ways of writing there is a loop that does nothing but write the same padded
//! bytes into a prepared file and sync them: what the file system itself adds.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use factlog::{CommitAlign, Durability, EventType, Opaque, Options, WriteWay};

type Failure = Box<dyn std::error::Error>;

static EVENT: EventType = EventType::opaque("device", 1);
const SEGMENT: u64 = 256 << 20;
const REPEATS: usize = 5;

/// The counter of a block device.
struct Device {
    name: String,
    stat: PathBuf,
}

impl Device {
    /// The one that `directory` stands on.
    fn of(directory: &Path) -> io::Result<Self> {
        let number = fs::metadata(directory)?.dev();
        let (major, minor) = (number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00);
        let path = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        let name = fs::canonicalize(&path)?.file_name().unwrap_or_default().to_owned();
        Ok(Self { name: name.to_string_lossy().into_owned(), stat: path.join("stat") })
    }

    /// Bytes written so far.
    fn written(&self) -> io::Result<u64> {
        let text = fs::read_to_string(&self.stat)?;
        let sectors = text.split_whitespace().nth(6).and_then(|field| field.parse::<u64>().ok());
        Ok(sectors.ok_or(io::ErrorKind::InvalidData)? * 512)
    }
}

/// Everything that is dirty reaches the device, so that it is not counted later.
fn settle(directory: &Path) -> io::Result<()> {
    for _ in 0..3 {
        rustix::fs::syncfs(File::open(directory)?)?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Bytes to the device while `run` runs.
fn counted<T>(
    device: &Device,
    directory: &Path,
    run: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, u64), Failure> {
    settle(directory)?;
    let before = device.written()?;
    let done = run()?;
    Ok((done, device.written()? - before))
}

/// One log: bytes of its preparation, of its commits, and what the device wrote for them.
fn log(
    device: &Device,
    directory: &Path,
    way: WriteWay,
    events: usize,
    commits: usize,
) -> Result<(u64, u64, u64), Failure> {
    let home = tempfile::tempdir_in(directory)?;
    let options = || {
        let options = Options::new().segment_size(SEGMENT).spare_segments(1);
        let options = options.durability(Durability::Group).commit_align(CommitAlign::Page);
        options.write_way(way)
    };
    let (mut writer, prepared) = counted(device, directory, || {
        let writer = options().open(home.path().join("log"))?;
        // The one in use, the next one and the reserve.
        let third = home.path().join("log/seg/0000000003.log");
        while !third.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        settle(directory)?;
        Ok(writer)
    })?;
    let payload = [7; 64];
    let before = writer.log().visible().1.raw();
    let ((), written) = counted(device, directory, || {
        for _ in 0..commits {
            let mut transaction = writer.begin()?;
            for _ in 0..events {
                transaction.append(&Opaque::new(&EVENT, &payload))?;
            }
            transaction.commit()?;
        }
        Ok(())
    })?;
    let padded = writer.log().visible().1.raw() - before;
    writer.close()?;
    Ok((prepared, padded, written))
}

/// The same bytes by nothing but writes and syncs into a file that was written before.
fn raw(
    device: &Device,
    directory: &Path,
    commit: usize,
    commits: usize,
) -> Result<(u64, u64), Failure> {
    let home = tempfile::tempdir_in(directory)?;
    let file = File::create_new(home.path().join("raw"))?;
    let zeros = vec![0; 4 << 20];
    let total = commit * commits;
    for offset in (0..total).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset as u64)?;
    }
    file.sync_all()?;
    let bytes = vec![7; commit];
    let ((), written) = counted(device, directory, || {
        for number in 0..commits {
            file.write_all_at(&bytes, (number * commit) as u64)?;
            file.sync_data()?;
        }
        Ok(())
    })?;
    Ok((total as u64, written))
}

fn spread(mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    let last = ratios.len() - 1;
    format!("{:.3} ({:.3} to {:.3})", ratios[last / 2], ratios[0], ratios[last])
}

fn main() -> Result<(), Failure> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = given.unwrap_or_else(std::env::temp_dir);
    let device = Device::of(&directory)?;
    println!("device {}, median and spread of {REPEATS} runs", device.name);
    for (events, commits) in [(64_usize, 4_000_usize), (1_024, 1_000)] {
        let (mut raws, mut prepared) = (Vec::new(), Vec::new());
        let mut ways = [(WriteWay::Staged, Vec::new()), (WriteWay::Mapped, Vec::new())];
        let mut commit = 0;
        for _ in 0..REPEATS {
            for (way, ratios) in &mut ways {
                let (made, padded, written) = log(&device, &directory, *way, events, commits)?;
                commit = usize::try_from(padded)? / commits;
                ratios.push(written as f64 / padded as f64);
                if *way == WriteWay::Staged {
                    prepared.push(made as f64 / (3 * SEGMENT) as f64);
                }
            }
            let (padded, written) = raw(&device, &directory, commit, commits)?;
            raws.push(written as f64 / padded as f64);
        }
        println!("\n{events} events of 64 bytes a commit, {commit} bytes with padding");
        for (way, ratios) in ways {
            println!("  {way:?}: {} bytes to the device for each of them", spread(ratios));
        }
        println!("  raw loop of the same bytes: {}", spread(raws));
        println!("  preparation, staged: {} for each byte of segment", spread(prepared));
    }
    Ok(())
}
