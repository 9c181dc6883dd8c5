//! The happy path and the sad path of one aggregate, after the talk 'Designing Events-first
//! Microservices' (Jonas Boner): `ApprovePayment` becomes `PaymentApproved`, or is refused; then
//! the process is gone, and the state comes back from the events.
//!
//! cargo run --example payment

use factlog::{Aggregate, CommandError, Context, Engine, Events, Start, State};

/// A command: what somebody wants. It may be refused.
#[factlog::event(name = "approve-payment", version = 1)]
pub(crate) struct ApprovePayment {
    cents: u64,
}

/// An event: what has happened. Nobody can refuse it any more.
#[factlog::event(name = "payment-approved", version = 1)]
pub(crate) struct PaymentApproved {
    cents: u64,
}

/// All that can happen to a customer's credit.
#[factlog::vocabulary]
pub(crate) enum CreditEvent {
    Approved(PaymentApproved),
}

/// Why a payment is not approved.
#[factlog::value]
#[derive(Debug, Clone)]
struct OverLimit {
    left: u64,
}

impl std::fmt::Display for OverLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "only {} cents are left", self.left)
    }
}

/// What a customer has spent of a limit of 100 euros.
#[derive(Default)]
struct Credit {
    spent: u64,
}

impl State for Credit {
    const NAME: &'static str = "credit";
    type Key = String;
    type Event = CreditEvent;

    fn evolve(&mut self, event: CreditEventView<'_>) {
        let CreditEventView::Approved(approved) = event;
        self.spent += approved.cents();
    }
}

impl Aggregate for Credit {
    type Command = ApprovePayment;
    type Reply = u64;
    type Rejection = OverLimit;

    fn decide(
        &self,
        &ApprovePayment { cents }: &ApprovePayment,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<CreditEvent>, OverLimit> {
        let left = 10_000 - self.spent;
        if cents > left {
            return Err(OverLimit { left });
        }
        context.reply(left - cents);
        Ok(Events::one(PaymentApproved { cents }))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;

    // The happy path: the command is decided, the event appended, the state updated, the answer given.
    let engine = Engine::open(directory.path()).aggregate::<Credit>().start()?;
    let receipt = engine.call::<Credit>("ada", ApprovePayment { cents: 6_000 })?;
    println!("approved as event {}, {:?} cents are left", receipt.first, receipt.reply);

    // A command with a key is done once, however often it is sent.
    for _ in 0..2 {
        let pay = engine.command::<Credit>("ada", ApprovePayment { cents: 1_500 });
        let receipt = pay.idempotency_key("order 17").call()?;
        println!("order 17 is event {}, sent before: {}", receipt.first, receipt.duplicate);
    }
    match engine.call::<Credit>("ada", ApprovePayment { cents: 6_000 }) {
        Err(CommandError::Rejected { reason, .. }) => println!("refused: {reason}"),
        other => panic!("more than the limit: {other:?}"),
    }
    drop(engine);

    // The sad path: the process is gone. The events bring the state back; nothing is decided anew.
    let engine = Engine::open(directory.path()).aggregate::<Credit>().start()?;
    let spent = engine.ask::<Credit, _>("ada", |credit| credit.spent)?;
    println!("after a restart {spent} cents are spent");
    let mut facts = engine.log().cursor(Start::Oldest)?;
    while let Some(fact) = facts.next_event()? {
        println!("  fact {}: {:?}", fact.sequence(), fact.view::<CreditEvent>()?);
    }
    assert_eq!(spent, 7_500);
    engine.close()?;
    Ok(())
}
