//! `#[value]`.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::{Error, Ident, Item, LitStr, Result};

use crate::args::{self, Args};
use crate::record::Record;
use crate::variants::Variants;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::parse(args, "value", &["name"])?;
    match syn::parse2::<Item>(item)? {
        Item::Struct(item) => {
            let name = name(&args, &item.ident)?;
            Ok(Record::new(item, &args.krate())?.expand(&name))
        }
        Item::Enum(item) => {
            let name = name(&args, &item.ident)?;
            Ok(Variants::new(item, &args.krate())?.expand(&name))
        }
        other => Err(Error::new_spanned(other, "#[value] goes on a struct or an enum")),
    }
}

fn name(args: &Args, ident: &Ident) -> Result<LitStr> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => LitStr::new(&ident.unraw().to_string(), ident.span()),
    };
    args::check_name(&name.value(), name.span())?;
    Ok(name)
}
