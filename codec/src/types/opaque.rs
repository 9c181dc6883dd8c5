//! Fields of foreign types: archived, viewed in place, not described.

use core::convert::Infallible;

use rkyv::rancor::Strategy;
use rkyv::{Archive, Deserialize};

/// An archived foreign value that turns back into itself, whatever it holds.
///
/// rkyv's `Deserialize` may fail. With an error type that has no values it cannot, and archived
/// forms have that unless they hold boxes, lists or maps. For those the field names a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no way back to the type of its opaque field that cannot fail",
    note = "name a function from its archived form to the type: \
            `#[fact(opaque = \"name@1\", owned = path::to::function)]`"
)]
pub trait OpaqueOwned<T> {
    /// The value.
    fn owned(&self) -> T;
}

#[diagnostic::do_not_recommend]
impl<T, A> OpaqueOwned<T> for A
where
    T: Archive<Archived = A>,
    A: Deserialize<T, Strategy<(), Infallible>>,
{
    #[inline]
    fn owned(&self) -> T {
        match rkyv::api::deserialize_using::<T, (), Infallible>(self, &mut ()) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }
}
