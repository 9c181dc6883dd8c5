//! `#[versions]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, FnArg, GenericParam, Ident, ItemTrait, Pat, Path, Result, Signature,
    Token, TraitItem, braced, parenthesized,
};

/// A vocabulary, and what each of its variants does not have by itself.
struct Declared {
    vocabulary: Path,
    versions: Vec<Version>,
}

/// A variant, and the getters that it is given.
struct Version {
    variant: Ident,
    /// What the given ones call the view.
    old: Option<Pat>,
    given: Vec<(Ident, Expr)>,
}

impl Parse for Declared {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let vocabulary = input.parse()?;
        let content;
        braced!(content in input);
        let versions = Punctuated::<Version, Token![,]>::parse_terminated(&content)?;
        Ok(Self { vocabulary, versions: versions.into_iter().collect() })
    }
}

impl Parse for Version {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let variant = input.parse()?;
        let mut version = Self { variant, old: None, given: Vec::new() };
        if input.peek(syn::token::Paren) {
            let content;
            parenthesized!(content in input);
            version.old = Some(Pat::parse_single(&content)?);
        }
        if version.old.is_some() || input.peek(Token![=>]) {
            input.parse::<Token![=>]>()?;
            let content;
            braced!(content in input);
            while !content.is_empty() {
                let getter = content.parse()?;
                content.parse::<Token![:]>()?;
                version.given.push((getter, content.parse()?));
                if !content.is_empty() {
                    content.parse::<Token![,]>()?;
                }
            }
        }
        Ok(version)
    }
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let declared = syn::parse2::<Declared>(args).map_err(|error| {
        let what = "write #[versions(AnyPrice { One(old) => { currency: \"USD\" }, Two })]: a \
                    vocabulary, and each of its variants with what that version lacks";
        Error::new(error.span(), format!("{error}; {what}"))
    })?;
    let item = syn::parse2::<ItemTrait>(item)
        .map_err(|error| Error::new(error.span(), "#[versions] goes on a trait of getters"))?;
    let lifetime = lifetime(&item)?;
    let getters = getters(&item)?;
    known(&declared, &getters)?;

    let mut view = declared.vocabulary.clone();
    if let Some(last) = view.segments.last_mut() {
        last.ident = format_ident!("{}View", last.ident.unraw(), span = last.ident.span());
    }
    let bodies = getters.iter().map(|(signature, attributes)| {
        let arms = declared.versions.iter().map(|version| version.arm(&view, &signature.ident));
        quote! {
            #(#attributes)*
            #[inline]
            #signature {
                match *self {
                    #(#arms)*
                }
            }
        }
    });
    let name = &item.ident;
    let (of, viewed) = match lifetime {
        Some(lifetime) => (quote!(<#lifetime>), quote!(<#lifetime>)),
        None => (TokenStream::new(), quote!(<'_>)),
    };
    Ok(quote! {
        #item

        #[allow(unused_variables, reason = "what is given need not look at the view")]
        impl #of #name #of for #view #viewed {
            #(#bodies)*
        }
    })
}

impl Version {
    /// What the getter gives for this version.
    fn arm(&self, view: &Path, getter: &Ident) -> TokenStream {
        let Self { variant, old, given } = self;
        match given.iter().find(|(name, _)| name == getter) {
            Some((_, value)) => {
                let old = old.as_ref().map_or_else(|| quote!(_), |old| quote!(#old));
                quote!(#view::#variant(#old) => #value,)
            }
            None => {
                // The trait is not there for the views of events: what is found is a field. It is
                // missed where the version is declared.
                let mut call = getter.clone();
                call.set_span(variant.span());
                let view_of = quote_spanned!(variant.span()=> view);
                let call = quote_spanned!(variant.span()=> #view_of.#call());
                quote!(#view::#variant(#view_of) => #call,)
            }
        }
    }
}

/// The trait's lifetime, if it has one: then what getters give may borrow from the log.
fn lifetime(item: &ItemTrait) -> Result<Option<syn::Lifetime>> {
    let wrong = || {
        let message = "a trait of getters has no parameters, but for one lifetime: that of the log";
        Err(Error::new_spanned(&item.generics, message))
    };
    if item.generics.where_clause.is_some() || item.generics.params.len() > 1 {
        return wrong();
    }
    match item.generics.params.first() {
        None => Ok(None),
        Some(GenericParam::Lifetime(param)) => Ok(Some(param.lifetime.clone())),
        Some(_) => wrong(),
    }
}

/// What has to be given for each version: methods without a body.
fn getters(item: &ItemTrait) -> Result<Vec<(&Signature, Vec<&Attribute>)>> {
    let mut getters = Vec::new();
    for part in &item.items {
        let TraitItem::Fn(method) = part else {
            return Err(Error::new_spanned(part, "a trait of getters has methods only"));
        };
        if method.default.is_some() {
            // It is made of the others, in the same way for all versions.
            continue;
        }
        let signature = &method.sig;
        let plain = signature.generics.params.is_empty()
            && signature.asyncness.is_none()
            && signature.unsafety.is_none()
            && signature.inputs.len() == 1
            && matches!(signature.inputs.first(), Some(FnArg::Receiver(receiver))
                if receiver.reference.is_some() && receiver.mutability.is_none());
        if !plain {
            let message = "a getter is `fn name(&self) -> T`; what takes more has a body, made of \
                           getters";
            return Err(Error::new_spanned(signature, message));
        }
        // A getter that comes and goes does so in both places.
        let attributes = method.attrs.iter().filter(|one| one.path().is_ident("cfg")).collect();
        getters.push((signature, attributes));
    }
    if getters.is_empty() {
        return Err(Error::new_spanned(&item.ident, "there is no getter in this trait"));
    }
    Ok(getters)
}

/// What is given must be asked for, and once.
fn known(declared: &Declared, getters: &[(&Signature, Vec<&Attribute>)]) -> Result<()> {
    for (at, version) in declared.versions.iter().enumerate() {
        let before = declared.versions.iter().take(at);
        if before.into_iter().any(|other| other.variant == version.variant) {
            let message = "this version stands there twice";
            return Err(Error::new(version.variant.span(), message));
        }
        for (at, (name, _)) in version.given.iter().enumerate() {
            if version.given.iter().take(at).any(|(other, _)| other == name) {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            if !getters.iter().any(|(signature, _)| signature.ident == *name) {
                let message = format!("the trait has no getter `{name}` without a body");
                return Err(Error::new(name.span(), message));
            }
        }
    }
    Ok(())
}
