//! The happy path and the sad path of one aggregate, after the talk 'Designing Events-first
//! Microservices' (Jonas Bonér): a command is decided, or refused; then the process is gone, and the
//! state comes back from the events. `cargo run --example payment`

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
    type Rejection = String;

    fn decide(
        &self,
        &ApprovePayment { cents }: &ApprovePayment,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<CreditEvent>, String> {
        let left = 10_000 - self.spent;
        if cents > left {
            return Err(format!("only {left} cents are left"));
        }
        context.reply(left - cents);
        Ok(Events::one(PaymentApproved { cents }))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    // The happy path. A command with a key is done once, however often it is sent.
    let engine = Engine::open(directory.path()).aggregate::<Credit>().start()?;
    for _ in 0..2 {
        let pay = engine.command::<Credit>("ada", ApprovePayment { cents: 7_500 });
        println!("{:?}", pay.idempotency_key("order 17").call()?);
    }
    let refused = engine.call::<Credit>("ada", ApprovePayment { cents: 6_000 });
    assert!(matches!(&refused, Err(CommandError::Rejected { .. })), "{refused:?}");
    drop(engine);
    // The sad path: the process is gone. The events bring the state back; nothing is decided anew.
    let engine = Engine::open(directory.path()).aggregate::<Credit>().start()?;
    assert_eq!(engine.ask::<Credit, _>("ada", |credit| credit.spent)?, 7_500);
    let mut facts = engine.log().cursor(Start::Oldest)?;
    while let Some(fact) = facts.next_event()? {
        println!("fact {}: {:?}", fact.sequence(), fact.view::<CreditEvent>()?);
    }
    Ok(engine.close()?)
}
