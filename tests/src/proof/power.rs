//! G2 and G3 on the simulated disk: see [`power_cut`](crate::power_cut).
//!
//! Both are tried by the same images, which are drawn once: G2 counts those at which something had
//! been acknowledged as durable, all of which was there; G3 those of which every event was compared
//! with what had been appended. A breach of one ends its life, not the row of the other.

use std::sync::Mutex;

use super::{Request, Row};
use crate::power_cut::{Asked, Breach, Lives, Report, many};

/// Images that must have shown each kind of image at least once.
const MANY: u64 = 10_000;

/// What was drawn last, for the other of the two rows.
static LAST: Mutex<Option<(Request, Lives)>> = Mutex::new(None);

/// G2: after a power cut, every event that was acknowledged as durable is there.
pub fn durable(request: &Request) -> Row {
    let lives = lives(request, against_durable);
    let report = &lives.report;
    let counts = vec![
        format!("{} images of a simulated disk in {} lives", report.images, lives.lived),
        format!("{} events that had been acknowledged, all there", report.held),
        format!("{} while opening", report.opening),
        format!("{} operations made to fail", report.faults),
        format!("{} rollovers", report.rollovers),
        format!("verdicts: {} closed, {} clean, {} torn", report.closed, report.clean, report.torn),
    ];
    row(&lives, report.acknowledged, counts, against_durable)
}

/// G3: recovery invents, reorders, doubles and alters nothing.
pub fn nothing_altered(request: &Request) -> Row {
    let lives = lives(request, against_unaltered);
    let report = &lives.report;
    let counts = vec![
        format!("{} events compared, in order, byte for byte", report.read),
        format!("{} images had more than was acknowledged", report.beyond),
        format!("{} were gone on with", report.adopted),
        format!("{} had a bit flipped, each found", report.damaged),
    ];
    row(&lives, report.compared, counts, against_unaltered)
}

fn against_durable(breach: &Breach) -> bool {
    !matches!(breach, Breach::Altered(_))
}

fn against_unaltered(breach: &Breach) -> bool {
    !matches!(breach, Breach::Lost(_))
}

/// The lives that `request` asks for; those of the other row will do, if nothing ended them before.
fn lives(request: &Request, fatal: fn(&Breach) -> bool) -> Lives {
    let mut last = LAST.lock().expect("no panic");
    if let Some((of, lives)) = &*last
        && of == request
        && lives.breaches.is_empty()
    {
        return lives.clone();
    }
    let wanted = request.times(20_000, 1_000_000);
    let enough = |report: &Report| report.acknowledged >= wanted;
    let most = Lives::needed_for(wanted);
    let asked = Asked { first: request.seed, lives: most, enough: &enough, fatal: &fatal };
    let lives = many(asked, &|lives| eprintln!("power cuts: {} images", lives.report.images));
    *last = Some((*request, lives.clone()));
    lives
}

fn row(lives: &Lives, tried: u64, counts: Vec<String>, against: fn(&Breach) -> bool) -> Row {
    let breach =
        lives.breaches.iter().find(|breach| against(breach)).map(|breach| {
            format!("{breach}; the life with this seed once more: --seed N --count 1")
        });
    let missing = lives.report.missing();
    let flatters = lives.report.images >= MANY && !missing.is_empty();
    let failure = breach.or_else(|| {
        flatters.then(|| format!("the counts flatter: nothing was {}", missing.join(", ")))
    });
    let elsewhere = lives.breaches.iter().filter(|breach| !against(breach)).count();
    let skipped = (elsewhere > 0)
        .then(|| format!("what was left of {elsewhere} lives, ended by a breach of the other"));
    Row { holds: failure.is_none(), tried, counts, failure, skipped, ..Row::default() }
}
