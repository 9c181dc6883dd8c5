//! The attribute macros of factlog. Use them through the crate `factlog`.
//!
//! | macro | on | makes it |
//! |---|---|---|
//! | [`macro@event`] | a struct | an event: what is stored |
//! | [`macro@value`] | a struct or an enum | a field of events |
//! | [`macro@vocabulary`] | an enum of events | what an aggregate or a reader knows |
//! | [`macro@versions`] | a trait of getters | what versions have in common, read in place |
//!
//! Their output refers to one hidden module of `factlog` only. All of them take `crate = path`, for
//! programs that know factlog by another name.

use proc_macro::TokenStream;

mod args;
mod event;
mod field;
mod record;
mod refuse;
mod value;
mod variants;
mod versions;
mod vocabulary;

/// Makes a struct an event.
///
/// ```ignore
/// #[factlog::event(name = "flight-departed", version = 1)]
/// #[derive(Debug, Clone, PartialEq)]
/// pub struct FlightDeparted {
///     pub flight: u32,
///     pub destination: String,
/// }
/// ```
///
/// The struct stays as it is. A view `FlightDepartedView` comes with it: the event as it lies in
/// the log, with a getter of native type for each field, and `to_owned()`.
///
/// - `name`: 1 to 128 of `a-z`, `0-9`, `.` and `-`. It is what identifies the event for ever; the
///   struct may be renamed.
/// - `version`: 1 to 65,535. A struct whose shape changes needs a new one.
/// - `crate`: the path of factlog, if it is not `::factlog`.
///
/// The struct has named fields or none, and no generics. A field is a number, `bool`, `char`,
/// `String`, `Box<str>`, `Uuid`, `Duration`, a tuple, array, `Vec`, `Option` or `Box` of these, or a
/// type under `#[value]`. A field of a foreign type that has rkyv's traits is marked
/// `#[fact(opaque = "name@1")]`; tools show its bytes. If its archived form holds pointers, name the
/// way back: `#[fact(opaque = "name@1", owned = path)]`, a function from a reference to its
/// archived form to the type.
///
/// `String`, `Vec`, `Option` and the names of numbers, without a path, are those of the standard
/// library. A field whose type is one of your own that is called so names its path:
/// `self::Option`.
#[proc_macro_attribute]
pub fn event(args: TokenStream, item: TokenStream) -> TokenStream {
    finish(event::expand(args.into(), item.into()))
}

/// Makes a struct or an enum a field of events.
///
/// ```ignore
/// #[factlog::value]
/// #[derive(Debug, Clone, PartialEq)]
/// pub enum Payment {
///     Cash,
///     Card { last_digits: u16 },
/// }
/// ```
///
/// The view of a struct is a reference to `<Name>View`, with a getter for each field: of its name;
/// for a tuple of one field `get`; of several `get_0`, `get_1`, ... The view of an enum with data
/// is an enum `<Name>View` of the same variants with native fields; the view of an enum without
/// data is the enum itself, which needs `#[derive(Debug, Clone, Copy)]`.
///
/// A type may contain itself in a `Vec` or a `Box`, up to 128 levels. It is written by its name, not
/// as `Self`. In an enum, fields whose types have names that rkyv uses around it (`Tag`,
/// `Discriminant`, `Variant` and the name of a variant) name their path: `self::Tag`.
///
/// - `name`: what descriptions call it; the type's identifier if not given.
/// - `crate`: the path of factlog, if it is not `::factlog`.
#[proc_macro_attribute]
pub fn value(args: TokenStream, item: TokenStream) -> TokenStream {
    finish(value::expand(args.into(), item.into()))
}

/// Makes an enum of events a vocabulary.
///
/// ```ignore
/// #[factlog::vocabulary]
/// pub enum FlightEvent {
///     Departed(FlightDeparted),
///     Landed(FlightLanded),
/// }
/// ```
///
/// Each variant holds one event type. The enum is never stored: its events are, each as its own
/// type. A view `FlightEventView<'a>` comes with it: the same variants, each with a reference to
/// the event's view, and `to_owned()`.
///
/// - `earlier(PriceSetV1, PriceSetV2)`: earlier versions of its events, each of which says by an `Upcast`
///   what it becomes. They are no variants: nobody sees or writes them.
/// - `crate`: the path of factlog, if it is not `::factlog`.
#[proc_macro_attribute]
pub fn vocabulary(args: TokenStream, item: TokenStream) -> TokenStream {
    finish(vocabulary::expand(args.into(), item.into()))
}

/// Makes a trait of getters what several versions of an event have in common: each is read where it
/// stands in the log, and nothing is copied or allocated.
///
/// ```ignore
/// #[factlog::vocabulary]
/// pub enum AnyPrice {
///     One(PriceSetV1),
///     Two(PriceSet),
/// }
///
/// #[factlog::versions(AnyPrice {
///     One(old) => { cents: old.cents().into(), currency: "USD" },
///     Two,
/// })]
/// pub trait Price {
///     fn cents(&self) -> u64;
///     fn currency(&self) -> &str;
/// }
/// ```
///
/// The view of the vocabulary, `AnyPriceView`, has the trait then. For each variant a getter is
/// what stands behind its name in the braces, in which the view has the name in the parentheses;
/// or else the view's own getter. It does not compile where a version has neither, and where a
/// version of the vocabulary is left out. A method with a body is made of the others and is the same
/// for all versions.
///
/// A trait with a lifetime, `trait Price<'log>`, may give what borrows from the log and not from
/// the view: `fn currency(&self) -> &'log str`.
#[proc_macro_attribute]
pub fn versions(args: TokenStream, item: TokenStream) -> TokenStream {
    finish(versions::expand(args.into(), item.into()))
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.into_compile_error()).into()
}
