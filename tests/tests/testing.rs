//! Does the test kit find what it is there to find, and say it so that it can be read?

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use factlog::testing::{Given, Laws, TestRandom};
use factlog::{Aggregate, Context, Events, State, StoredState};

#[factlog::event(name = "withdraw", version = 1)]
struct Withdraw {
    units: u64,
}

#[factlog::event(name = "withdrawn", version = 1)]
struct Withdrawn {
    units: u64,
    note: String,
}

#[factlog::event(name = "deposited", version = 1)]
struct Deposited {
    units: u64,
}

#[factlog::vocabulary]
enum AccountEvent {
    Withdrawn(Withdrawn),
    Deposited(Deposited),
}

fn withdrawn(units: u64) -> Withdrawn {
    Withdrawn { units, note: String::new() }
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Account {
    units: u64,
    withdrawals: Vec<u64>,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = String;
    type Event = AccountEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: AccountEventView<'_>) {
        match event {
            AccountEventView::Withdrawn(event) => {
                self.units -= event.units();
                self.withdrawals.push(event.units());
            }
            AccountEventView::Deposited(event) => self.units += event.units(),
        }
    }
}

impl Aggregate for Account {
    type Command = Withdraw;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Withdraw { units }: &Withdraw,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<AccountEvent>, String> {
        let left = self.units.checked_sub(units).ok_or("insufficient")?;
        context.reply(left);
        // What a bonus is depends on time and chance, as the context has them.
        let lucky = context.now() == 700 && context.random() % 2 == 0;
        let events = Events::one(withdrawn(units));
        Ok(if lucky { events.and(Deposited { units: 1 }) } else { events })
    }
}

#[test]
fn do_sentences_hold() {
    Given::<Account>::instance("ada")
        .event(Deposited { units: 100 })
        .events([Deposited { units: 5 }])
        .when(Withdraw { units: 30 })
        .then([withdrawn(30)])
        .reply(|left| assert_eq!(left, Some(&75)))
        .state(|account| assert_eq!((account.units, account.withdrawals.len()), (75, 1)));
    Given::<Account>::instance("ada")
        .when(Withdraw { units: 1 })
        .rejected(|reason| assert_eq!(reason, "insufficient"))
        .state(|account| assert_eq!(account, &Account::default()));
    // Time and chance are what the test says.
    let lucky = |seed| {
        let given = Given::<Account>::instance("ada").event(Deposited { units: 9 });
        given.at(700).seed(seed).when(Withdraw { units: 1 }).state(|_| {})
    };
    let answers: Vec<_> = (1..=20).map(|seed| format!("{:?}", lucky(seed))).collect();
    assert!(answers.iter().any(|answer| answer.contains("deposited")), "{answers:?}");
    assert!(answers.iter().any(|answer| !answer.contains("deposited")), "{answers:?}");
    assert_eq!(format!("{:?}", lucky(3)), format!("{:?}", lucky(3)));
}

/// What a test that fails says.
fn said(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it fails");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("a text")
}

#[test]
fn are_differences_shown() {
    let given = || Given::<Account>::instance("ada").event(Deposited { units: 100 });
    let text = said(|| drop(given().when(Withdraw { units: 30 }).then([withdrawn(31)])));
    for part in ["event 1 differs", "expected:", r#"-> 1. withdrawn {"units":31"#, "found:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains(r#"-> 1. withdrawn {"units":30"#), "{text}");
    let text = said(|| drop(given().when(Withdraw { units: 30 }).then_nothing()));
    assert!(text.contains("expected:\n    none"), "{text}");
    let text = said(|| drop(given().when(Withdraw { units: 300 }).then([withdrawn(1)])));
    assert_eq!(text, "the command was not accepted: rejected: insufficient");
    let text = said(|| drop(given().when(Withdraw { units: 3 }).rejected(|_| {})));
    assert!(text.contains("was accepted, not refused") && text.contains("withdrawn"), "{text}");
}

#[test]
fn does_a_good_aggregate_keep_the_laws() {
    Laws::<Account>::new(|random| {
        (["ada", "bob"][random.below(2) as usize], Withdraw { units: random.below(2) })
    })
    .check();
    Laws::<Purse<Sound>>::new(|random| (random.below(3), Spend { units: random.below(9) }))
        .runs(6, 80)
        .check();
}

#[factlog::event(name = "spend", version = 1)]
struct Spend {
    units: u64,
}

#[factlog::event(name = "spent", version = 1)]
struct Spent {
    units: u64,
    at: u64,
}

#[factlog::vocabulary]
enum PurseEvent {
    Spent(Spent),
}

/// What is wrong with a purse.
trait Flaw: Default + Send + Sync + 'static {
    fn units(&self, units: u64, spent: &HashMap<u64, u64>) -> u64;
    fn at(&self, now: u64) -> u64 {
        now
    }
    fn evolve(&mut self) {}
}

struct Purse<F> {
    spent: HashMap<u64, u64>,
    events: u64,
    flaw: F,
}

impl<F: Flaw> Default for Purse<F> {
    fn default() -> Self {
        Self { spent: HashMap::new(), events: 0, flaw: F::default() }
    }
}

impl<F: Flaw> State for Purse<F> {
    const NAME: &'static str = "purse";
    type Key = u64;
    type Event = PurseEvent;

    fn evolve(&mut self, event: PurseEventView<'_>) {
        let PurseEventView::Spent(spent) = event;
        self.flaw.evolve();
        self.events += 1;
        *self.spent.entry(spent.units()).or_default() += 1;
    }
}

impl<F: Flaw> Aggregate for Purse<F> {
    type Command = Spend;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Spend { units }: &Spend,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<PurseEvent>, String> {
        let units = self.flaw.units(units, &self.spent);
        context.reply(self.events);
        Ok(Events::one(Spent { units, at: self.flaw.at(context.now()) }))
    }
}

#[derive(Default)]
struct Sound;

impl Flaw for Sound {
    fn units(&self, units: u64, _: &HashMap<u64, u64>) -> u64 {
        units
    }
}

/// It reads a clock.
#[derive(Default)]
struct Clock;

impl Flaw for Clock {
    fn units(&self, units: u64, _: &HashMap<u64, u64>) -> u64 {
        units
    }
    fn at(&self, _: u64) -> u64 {
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
    }
}

/// It takes the first of a hash table.
#[derive(Default)]
struct HashOrder;

impl Flaw for HashOrder {
    fn units(&self, units: u64, spent: &HashMap<u64, u64>) -> u64 {
        let first = spent.keys().next().copied();
        first.filter(|_| spent.len() > 3).unwrap_or(units)
    }
}

/// It remembers what it was asked, behind its reference.
#[derive(Default)]
struct Remembers(std::sync::Mutex<Cell<u64>>);

impl Flaw for Remembers {
    fn units(&self, units: u64, _: &HashMap<u64, u64>) -> u64 {
        let asked = self.0.lock().expect("not poisoned");
        asked.set(asked.get() + 1);
        units + asked.get() / 10
    }
}

/// Folding counts in something that is not of this instance.
#[derive(Default)]
struct Elsewhere(u64);

impl Flaw for Elsewhere {
    fn units(&self, units: u64, _: &HashMap<u64, u64>) -> u64 {
        units + self.0 % 2
    }
    fn evolve(&mut self) {
        static ALL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        self.0 = ALL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn flawed<F: Flaw>() -> String {
    said(|| {
        let laws =
            Laws::<Purse<F>>::new(|random| (random.below(2), Spend { units: random.below(1_000) }));
        laws.check();
    })
}

#[test]
fn is_every_flaw_found() {
    for (name, text) in [
        ("a clock", flawed::<Clock>()),
        ("the order of a hash table", flawed::<HashOrder>()),
        ("a memory", flawed::<Remembers>()),
        ("something elsewhere", flawed::<Elsewhere>()),
    ] {
        for part in ["`purse` is not deterministic", "(seed ", "spend to", "at command", "spent {"]
        {
            assert!(text.contains(part), "{name}: {part} in {text}");
        }
    }
    // As few commands as show it: one for a clock, ten for what counts to ten.
    let commands = |text: &str| text.lines().filter(|line| line.contains("spend to")).count();
    assert_eq!(commands(&flawed::<Clock>()), 1);
    let some = commands(&flawed::<Remembers>());
    assert!((2..=20).contains(&some), "{some}");
}

/// A state that loses something where it is stored.
#[derive(Debug, Default)]
struct Forgetful {
    sum: u64,
}

impl factlog::Stored for Forgetful {
    fn store(
        &self,
        out: &mut [u8],
        scratch: &mut factlog::Scratch,
    ) -> Result<usize, factlog::EncodeError> {
        (self.sum / 10 * 10).store(out, scratch)
    }
    fn restore(bytes: &[u8]) -> Result<Self, factlog::ViewError> {
        u64::restore(bytes).map(|sum| Self { sum })
    }
    fn fingerprint() -> u64 {
        1
    }
}

impl State for Forgetful {
    const NAME: &'static str = "forgetful";
    type Key = u64;
    type Event = PurseEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: PurseEventView<'_>) {
        let PurseEventView::Spent(spent) = event;
        self.sum += spent.units();
    }
}

impl Aggregate for Forgetful {
    type Command = Spend;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Spend { units }: &Spend,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<PurseEvent>, String> {
        context.reply(self.sum);
        Ok(Events::one(Spent { units, at: 0 }))
    }
}

#[test]
fn is_a_state_that_a_snapshot_loses_found() {
    let text = said(|| {
        Laws::<Forgetful>::new(|random| (0_u64, Spend { units: random.below(100) })).check();
    });
    assert!(text.contains("`forgetful` is not deterministic, or not folded"), "{text}");
    assert!(text.contains("it was answered"), "{text}");
}

/// What is stored, without its last digit.
#[derive(Debug, Clone, PartialEq)]
struct Lossy(u64);

impl factlog::Stored for Lossy {
    fn store(
        &self,
        out: &mut [u8],
        scratch: &mut factlog::Scratch,
    ) -> Result<usize, factlog::EncodeError> {
        (self.0 / 10 * 10).store(out, scratch)
    }
    fn restore(bytes: &[u8]) -> Result<Self, factlog::ViewError> {
        u64::restore(bytes).map(Self)
    }
    fn fingerprint() -> u64 {
        2
    }
}

impl std::fmt::Display for Lossy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// It answers with what is lost where it is stored.
#[derive(Default)]
struct Answers;

impl State for Answers {
    const NAME: &'static str = "answers";
    type Key = u64;
    type Event = PurseEvent;

    fn evolve(&mut self, _: PurseEventView<'_>) {}
}

impl Aggregate for Answers {
    type Command = Spend;
    type Reply = Lossy;
    type Rejection = Lossy;

    fn decide(
        &self,
        &Spend { units }: &Spend,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<PurseEvent>, Lossy> {
        if units > 100 {
            return Err(Lossy(units));
        }
        context.reply(Lossy(units));
        Ok(Events::one(Spent { units, at: 0 }))
    }
}

#[test]
fn is_an_answer_that_loses_something_where_it_is_stored_found() {
    let when = |units| Given::<Answers>::instance(1_u64).when(Spend { units });
    when(20).then([Spent { units: 20, at: 0 }]).reply(|reply| assert_eq!(reply, Some(&Lossy(20))));
    when(110).rejected(|reason| assert_eq!(reason, &Lossy(110)));
    for (units, answers) in [(25, ["Lossy(20)", "Lossy(25)"]), (115, ["Lossy(110)", "Lossy(115)"])]
    {
        let text = said(|| drop(when(units)));
        assert!(text.contains("sent a second time"), "{text}");
        assert!(answers.iter().all(|answer| text.contains(answer)), "{text}");
    }
}

thread_local! {
    static FOLDED: Cell<u64> = const { Cell::new(0) };
}

/// Folding counts in something that is not of this instance, in this thread.
#[derive(Default)]
struct Counts(u64);

impl Flaw for Counts {
    fn units(&self, units: u64, _: &HashMap<u64, u64>) -> u64 {
        units + self.0 % 2
    }
    fn evolve(&mut self) {
        self.0 = FOLDED.get();
        FOLDED.set(self.0 + 1);
    }
}

#[test]
fn is_a_state_that_is_not_stored_and_folds_otherwise_found() {
    let when = |units| Given::<Purse<Sound>>::instance(1_u64).when(Spend { units });
    when(3).then([Spent { units: 3, at: 1_000_000_000 }]);
    let text = said(|| drop(Given::<Purse<Counts>>::instance(1_u64).when(Spend { units: 3 })));
    for part in ["another one when it is folded", r#"spent {"units":3"#, r#"spent {"units":4"#] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// When the last decision was, whoever made it.
static DECIDED: AtomicU64 = AtomicU64::new(0);

/// Events of long ago count otherwise.
#[factlog::value]
#[derive(Debug, Default)]
struct Aging {
    sum: u64,
}

impl State for Aging {
    const NAME: &'static str = "aging";
    type Key = u64;
    type Event = PurseEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: PurseEventView<'_>) {
        let PurseEventView::Spent(spent) = event;
        let old = spent.at() + 30_000_000_000 < DECIDED.load(Ordering::Relaxed);
        self.sum += if old { 1 } else { spent.units() };
    }
}

impl Aggregate for Aging {
    type Command = Spend;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Spend { units }: &Spend,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<PurseEvent>, String> {
        DECIDED.store(context.now(), Ordering::Relaxed);
        context.reply(self.sum);
        Ok(Events::one(Spent { units, at: context.now() }))
    }
}

/// It is seen only if the whole log is folded again, also after a snapshot was taken.
#[test]
fn is_the_whole_log_folded_again_though_there_are_snapshots() {
    let laws = || Laws::<Aging>::new(|random| (0_u64, Spend { units: 2 + random.below(9) }));
    let text = said(|| laws().check());
    assert!(text.contains("`aging` is not deterministic, or not folded"), "{text}");
    assert!(text.contains("it was answered"), "{text}");
}

#[test]
fn is_it_said_that_no_snapshot_can_be_taken() {
    let laws = || {
        let laws = Laws::<Account>::new(|random| ("ada", Withdraw { units: random.below(2) }));
        laws.with::<Purse<Sound>>()
    };
    let text = said(|| laws().check());
    assert!(text.starts_with("`purse` is not stored") && text.contains("`account`"), "{text}");
    laws().without_snapshots().check();
    // Where the state itself is not stored there are none anyway.
    let make = |random: &mut TestRandom| (random.below(3), Spend { units: random.below(9) });
    Laws::<Purse<Sound>>::new(make).with::<Answers>().check();
}

/// What an event belongs to, or what it corrects, depends on what it was asked before.
#[derive(Default)]
struct Beside<const CORRECTS: bool> {
    events: u64,
    asked: AtomicU64,
}

impl<const CORRECTS: bool> State for Beside<CORRECTS> {
    const NAME: &'static str = "beside";
    type Key = u64;
    type Event = PurseEvent;

    fn evolve(&mut self, _: PurseEventView<'_>) {
        self.events += 1;
    }
}

impl<const CORRECTS: bool> Aggregate for Beside<CORRECTS> {
    type Command = Spend;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Spend { units }: &Spend,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<PurseEvent>, String> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let event = Events::one(Spent { units, at: 0 });
        Ok(match CORRECTS {
            false => event.also_of::<Self>(10 + asked / 10),
            // Once, one of the first two.
            true if self.events == 20 => {
                event.invalidating(factlog::Sequence::new(if asked < 15 { 1 } else { 2 }))
            }
            true => event,
        })
    }
}

#[test]
fn are_further_instances_and_corrections_compared() {
    fn found<const CORRECTS: bool>() -> String {
        said(|| Laws::<Beside<CORRECTS>>::new(|_| (0_u64, Spend { units: 1 })).check())
    }
    let text = found::<false>();
    assert!(text.contains("also of beside/10") && text.contains("also of beside/11"), "{text}");
    let text = found::<true>();
    assert!(text.contains("corrects event 1") && text.contains("corrects event 2"), "{text}");
}

/// When it was spent, it says itself.
#[factlog::value]
#[derive(Debug, Default)]
struct Stamped {
    last: u64,
}

impl State for Stamped {
    const NAME: &'static str = "stamped";
    type Key = u64;
    type Event = PurseEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: PurseEventView<'_>) {
        let PurseEventView::Spent(spent) = event;
        self.last = spent.at();
    }
}

impl Aggregate for Stamped {
    type Command = Spend;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Spend { units }: &Spend,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<PurseEvent>, String> {
        context.reply(self.last);
        Ok(Events::one(Spent { units, at: context.now() }))
    }
}

/// A snapshot, and a start, are written too, and take no time from commands.
#[test]
fn does_what_keeps_the_time_of_its_context_keep_the_laws() {
    Laws::<Stamped>::new(|random| (random.below(3), Spend { units: 1 })).check();
}
