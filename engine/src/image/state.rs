//! What is folded from events: a state, and which instance of it.

use std::fmt::Debug;
use std::hash::Hash;

use factlog_codec::Key;
use factlog_codec::types::Vocabulary;
use uuid::Uuid;

use super::snapshot::StoredState;

/// State that is folded from the events of one stream: one instance for each key.
///
/// A new instance is the default. `evolve` must be total, and must come to the same state from the
/// same events, on every machine, at any time: no clock, no randomness, no order of a hash table.
///
/// ```
/// #[factlog::event(name = "money-deposited", version = 1)]
/// pub struct MoneyDeposited {
///     pub cents: u64,
/// }
///
/// #[factlog::vocabulary]
/// pub enum AccountEvent {
///     Deposited(MoneyDeposited),
/// }
///
/// #[derive(Default)]
/// pub struct Account {
///     cents: u64,
/// }
///
/// impl factlog::State for Account {
///     const NAME: &'static str = "account";
///     type Key = u64;
///     type Event = AccountEvent;
///
///     fn evolve(&mut self, event: AccountEventView<'_>) {
///         match event {
///             AccountEventView::Deposited(deposited) => self.cents += deposited.cents(),
///         }
///     }
/// }
/// ```
pub trait State: Default + Send + Sync + 'static {
    /// What this kind of state is called: the category of its streams, 1 to 64 bytes.
    const NAME: &'static str;

    /// Which instance: `u64`, `Uuid`, `String` or bytes.
    type Key: InstanceKey;

    /// All events that it knows.
    type Event: Vocabulary + Send;

    /// How instances are stored in snapshots: as they are where this is
    /// [`StoredState::new`]`(1)` (and the state is under [`#[value]`](crate::value)). Not at all by
    /// default: then a program starts by folding the whole log.
    const STORED: Option<StoredState<Self>> = None;

    /// The next event. It is read in place.
    ///
    /// A panic here suspends the instance: its commands are refused, and it is left as it is.
    fn evolve(&mut self, event: <Self::Event as Vocabulary>::View<'_>);
}

/// What instances are told apart by.
pub trait InstanceKey: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// As a stream has it.
    fn to_key(&self) -> Key;

    /// From a stream; `None` if that has another kind of key.
    fn from_key(key: &Key) -> Option<Self>;
}

macro_rules! keys {
    ($($type:ty as $variant:ident: |$key:ident| $into:expr, $from:expr;)*) => {$(
        impl InstanceKey for $type {
            #[inline]
            fn to_key(&self) -> Key {
                let $key = self;
                Key::$variant($into)
            }

            fn from_key(key: &Key) -> Option<Self> {
                match key {
                    Key::$variant($key) => Some($from),
                    _ => None,
                }
            }
        }
    )*};
}

keys! {
    u64 as U64: |key| *key, *key;
    Uuid as Uuid: |key| *key, *key;
    String as Text: |key| key.as_str().into(), key.as_ref().into();
    Vec<u8> as Bytes: |key| key.as_slice().into(), key.as_ref().into();
}

/// What a key can be given as: a text for a `String`, bytes for a `Vec<u8>`.
pub trait IntoKey<K> {
    /// The key.
    fn into_key(self) -> K;
}

macro_rules! into_keys {
    ($($from:ty => $key:ty;)*) => {$(
        impl IntoKey<$key> for $from {
            #[inline]
            fn into_key(self) -> $key {
                self.into()
            }
        }
    )*};
}

into_keys! {
    u64 => u64;
    Uuid => Uuid;
    String => String;
    &str => String;
    &String => String;
    Vec<u8> => Vec<u8>;
    &[u8] => Vec<u8>;
}
