//! The arguments of the attributes.

use proc_macro2::{Span, TokenStream};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, LitInt, LitStr, Path, Result, Token, Type, parse_quote};

/// Most bytes in the name of an event; the format has the same number.
const MAX_EVENT_NAME: usize = 128;

/// Most bytes in any name of a description.
pub(crate) const MAX_NAME: usize = 255;

/// What stands in the parentheses of an attribute.
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    krate: Option<Path>,
    /// Earlier versions of the events of a vocabulary.
    pub(crate) earlier: Vec<Type>,
    /// It is one of the engine's own: its name begins with `$`.
    engine: bool,
}

impl Args {
    /// Reads `tokens`; `allowed` are the arguments of this macro besides `crate`.
    pub(crate) fn parse(tokens: TokenStream, macro_name: &str, allowed: &[&str]) -> Result<Self> {
        let mut args =
            Self { name: None, version: None, krate: None, earlier: Vec::new(), engine: false };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                return set(&mut args.krate, &meta, "crate");
            }
            // Not documented: for the engine's own events.
            if meta.path.is_ident("engine") && allowed.contains(&"version") {
                args.engine = true;
                return Ok(());
            }
            if !allowed.iter().any(|name| meta.path.is_ident(name)) {
                let list = allowed.iter().map(|name| format!("`{name}`, ")).collect::<String>();
                return Err(meta.error(format!("#[{macro_name}] takes {list}`crate`")));
            }
            if meta.path.is_ident("earlier") {
                let content;
                syn::parenthesized!(content in meta.input);
                let types = Punctuated::<Type, Token![,]>::parse_terminated(&content)?;
                args.earlier.extend(types);
                return Ok(());
            }
            if meta.path.is_ident("name") {
                set(&mut args.name, &meta, "name")
            } else {
                set(&mut args.version, &meta, "version")
            }
        });
        parser.parse2(tokens)?;
        Ok(args)
    }

    /// The path of the crate that has the hidden module.
    pub(crate) fn krate(&self) -> Path {
        self.krate.clone().unwrap_or_else(|| parse_quote!(::factlog))
    }

    /// Name and version of an event.
    pub(crate) fn event(&self) -> Result<(LitStr, u16)> {
        let missing = |what| Error::new(Span::call_site(), what);
        let name = self.name.clone().ok_or_else(|| {
            missing("an event needs a name: #[event(name = \"flight-departed\", version = 1)]")
        })?;
        check_event_name(&name, self.engine)?;
        let version = self.version.as_ref().ok_or_else(|| {
            missing("an event needs a version: #[event(name = \"...\", version = 1)]")
        })?;
        let number = version.base10_parse::<u16>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| Error::new(version.span(), "a version is 1 to 65535"))?;
        Ok((name, number))
    }
}

fn set<T: syn::parse::Parse>(
    place: &mut Option<T>,
    meta: &ParseNestedMeta<'_>,
    name: &str,
) -> Result<()> {
    if place.is_some() {
        return Err(meta.error(format!("`{name}` is given twice")));
    }
    *place = Some(meta.value()?.parse()?);
    Ok(())
}

fn check_event_name(name: &LitStr, engine: bool) -> Result<()> {
    let text = name.value();
    let text = if engine { text.trim_start_matches('$') } else { &text };
    let fail = |what: &str| Err(Error::new(name.span(), what));
    if text.starts_with('$') {
        return fail("names that begin with `$` are the engine's");
    }
    if !(1..=MAX_EVENT_NAME).contains(&text.len()) {
        return fail("the name of an event has 1 to 128 bytes");
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    if !text.bytes().all(allowed) {
        return fail("the name of an event is made of a-z, 0-9, `.` and `-`");
    }
    Ok(())
}

/// Checks a name that descriptions hold.
pub(crate) fn check_name(name: &str, span: Span) -> Result<()> {
    if (1..=MAX_NAME).contains(&name.len()) {
        Ok(())
    } else {
        Err(Error::new(span, "a name has 1 to 255 bytes"))
    }
}
