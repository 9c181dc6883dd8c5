//! Tests of aggregates, as sentences: given these events, when this command comes, then these events,
//! or that refusal. And laws that every aggregate has to keep.
//!
//! Each test runs the real engine over a log of its own in a temporary directory: what is given is
//! appended, the command is decided by the production code, and then the log is opened again, so
//! that what was folded live is held against what is folded when it is read.
//!
//! ```
//! use factlog::testing::Given;
//! # use factlog::{Aggregate, Context, Events, State};
//! # #[factlog::event(name = "withdraw", version = 1)]
//! # pub struct Withdraw { pub cents: u64 }
//! # #[factlog::event(name = "withdrawn", version = 1)]
//! # pub struct Withdrawn { pub cents: u64 }
//! # #[factlog::event(name = "deposited", version = 1)]
//! # pub struct Deposited { pub cents: u64 }
//! # #[factlog::vocabulary]
//! # pub enum AccountEvent { Withdrawn(Withdrawn), Deposited(Deposited) }
//! # #[derive(Default)]
//! # pub struct Account { cents: u64 }
//! # impl State for Account {
//! #     const NAME: &'static str = "account";
//! #     type Key = u64;
//! #     type Event = AccountEvent;
//! #     fn evolve(&mut self, event: AccountEventView<'_>) {
//! #         match event {
//! #             AccountEventView::Withdrawn(event) => self.cents -= event.cents(),
//! #             AccountEventView::Deposited(event) => self.cents += event.cents(),
//! #         }
//! #     }
//! # }
//! # impl Aggregate for Account {
//! #     type Command = Withdraw;
//! #     type Reply = u64;
//! #     type Rejection = String;
//! #     fn decide(
//! #         &self,
//! #         withdraw: &Withdraw,
//! #         cx: &mut Context<'_, Self>,
//! #     ) -> Result<Events<AccountEvent>, String> {
//! #         let left = self.cents.checked_sub(withdraw.cents).ok_or("there is not so much")?;
//! #         cx.reply(left);
//! #         Ok(Events::one(Withdrawn { cents: withdraw.cents }))
//! #     }
//! # }
//!
//! Given::<Account>::instance(7_u64)
//!     .event(Deposited { cents: 100 })
//!     .when(Withdraw { cents: 30 })
//!     .then([Withdrawn { cents: 30 }])
//!     .reply(|left| assert_eq!(left, Some(&70)))
//!     .state(|account| assert_eq!(account.cents, 70));
//!
//! Given::<Account>::instance(7_u64)
//!     .when(Withdraw { cents: 30 })
//!     .rejected(|reason| assert_eq!(reason, "there is not so much"));
//! ```
//!
//! - `given`: the sentences
//! - `golden`: states that events lead to, pinned
//! - `laws`: random commands against two engines, of which one is opened anew again and again
//! - `same`: a state that was folded live, and from the log
//! - `show`: events, side by side
//! - `place`: a log of a test's own, and its clock

mod given;
mod golden;
mod laws;
mod place;
mod same;
mod show;

pub use given::{Given, Then};
pub use golden::GoldenState;
pub use laws::{Laws, TestRandom};
