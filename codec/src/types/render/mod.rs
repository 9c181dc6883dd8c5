//! A payload as JSON, from its description alone.
//!
//! For tools: a log can be read without the program that wrote it. Payload and limits are not
//! trusted. All reads are checked, pointers lead only so deep, and output stops at its limit; each
//! visited value writes at least one byte, so that the limit bounds the time as well.
//!
//! | archived | shown as |
//! |---|---|
//! | numbers up to 64 bits, `bool` | number, `true` or `false` |
//! | `u128`, `i128` | string |
//! | floats that are not finite | `"NaN"`, `"inf"`, `"-inf"` |
//! | `char`, strings | string |
//! | uuid | string with hyphens |
//! | duration | `{"secs":1,"nanos":0}` |
//! | `()`, nothing of an option | `null` |
//! | arrays, lists | array |
//! | structs, tuples | object; the fields of tuples are `"0"`, `"1"`, ... |
//! | variants | `"Name"` without fields, `{"Name":{..}}` with them |
//! | opaque bytes | hexadecimal string |

mod bytes;
mod json;
mod walk;

use core::fmt;

use super::description::Description;

/// Why a payload cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RenderReason {
    /// A value lies outside the payload.
    Outside,
    /// A byte that is no `bool`.
    Bool,
    /// A number that is no `char`.
    Char,
    /// A string that is no UTF-8, or says of itself that it is shorter than it may be.
    Text,
    /// A duration with a billion nanoseconds or more.
    Duration,
    /// An option that is neither nothing nor a value.
    Option,
    /// No variant of the enum.
    Variant,
    /// More values inside one another than are followed.
    TooDeep,
    /// The output would be longer than its limit.
    TooLong,
}

/// A payload that cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RenderError {
    /// Where in the payload, in bytes from its start.
    pub offset: usize,
    /// Why.
    pub reason: RenderReason,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            RenderReason::Outside => "a value lies outside the payload",
            RenderReason::Bool => "a byte is no bool",
            RenderReason::Char => "a number is no char",
            RenderReason::Text => "a string is damaged",
            RenderReason::Duration => "a duration is impossible",
            RenderReason::Option => "an option is neither nothing nor a value",
            RenderReason::Variant => "an enum has no such variant",
            RenderReason::TooDeep => "values are nested too deeply",
            RenderReason::TooLong => "the output is longer than its limit",
        };
        write!(f, "{what}, at byte {} of the payload", self.offset)
    }
}

impl core::error::Error for RenderError {}

/// Appends `payload` to `out` as JSON of at most `limit` bytes.
///
/// # Errors
///
/// The payload is not as described, or the output is too long. `out` is then as it was.
pub fn render(
    description: &Description,
    payload: &[u8],
    out: &mut String,
    limit: usize,
) -> Result<(), RenderError> {
    let start = out.len();
    let result = walk::root(description, payload, out, start.saturating_add(limit));
    if result.is_err() {
        out.truncate(start);
    }
    result
}
