//! `#[vocabulary]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Attribute, Error, Fields, Ident, Item, Path, Result, Type, parse_quote};

use crate::args::Args;
use crate::refuse;

struct Word {
    ident: Ident,
    event: Type,
    docs: Vec<Attribute>,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::parse(args, "vocabulary", &["earlier"])?;
    let item = match syn::parse2::<Item>(item)? {
        Item::Enum(item) => item,
        other => {
            return Err(Error::new_spanned(other, "#[vocabulary] goes on an enum of events"));
        }
    };
    refuse::generics(&item.generics)?;
    refuse::attributes(&item.attrs)?;
    if item.variants.is_empty() {
        return Err(Error::new_spanned(&item.ident, "a vocabulary has at least one event"));
    }
    let words = item.variants.iter().map(word).collect::<Result<Vec<_>>>()?;
    let krate = args.krate();
    let private: Path = parse_quote!(#krate::__private);
    let (name, vis) = (&item.ident, &item.vis);
    let view = format_ident!("{}View", name.unraw(), span = name.span());
    let idents: Vec<_> = words.iter().map(|word| &word.ident).collect();
    let events: Vec<_> = words.iter().map(|word| &word.event).collect();
    let declared = words.iter().map(|Word { ident, event, docs }| {
        let docs = if docs.is_empty() {
            let doc = format!("The event `{}`.", ident.unraw());
            quote!(#[doc = #doc])
        } else {
            quote!(#(#docs)*)
        };
        quote!(#docs #ident(&'a <#event as #private::Event>::View))
    });
    let earlier = &args.earlier;
    let upcast = (!earlier.is_empty()).then(|| {
        quote! {
            fn upcast(
                key: #private::TypeKey,
                payload: &[u8],
                upcasts: &mut #private::Upcasts,
                see: &mut dyn ::core::ops::FnMut(#view<'_>),
            ) -> ::core::result::Result<::core::option::Option<u32>, #private::UpcastError> {
                #(
                    if <#earlier as #private::Event>::static_type()
                        .matches(key)
                        .map_err(#private::ViewError::Drift)?
                    {
                        let old = <#earlier as #private::Event>::view(payload)?;
                        let mut newer = #private::Newer::<Self>::new(upcasts, see);
                        <#earlier as #private::Upcast<Self>>::upcast(old, &mut newer);
                        return newer.finish().map(::core::option::Option::Some);
                    }
                )*
                ::core::result::Result::Ok(::core::option::Option::None)
            }
        }
    });
    let doc = format!("One of [`{}`], in place.", name.unraw());
    Ok(quote! {
        #item

        #[doc = #doc]
        #[allow(dead_code, reason = "a program need not look at every variant")]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis enum #view<'a> {
            #(#declared,)*
        }

        #[allow(dead_code, reason = "a program need not use it")]
        impl #view<'_> {
            /// The event itself.
            #vis fn to_owned(self) -> #name {
                match self {
                    #(Self::#idents(view) => #name::#idents(<#events as #private::Event>::owned(view)),)*
                }
            }
        }

        #(
            impl ::core::convert::From<#events> for #name {
                fn from(event: #events) -> Self {
                    Self::#idents(event)
                }
            }
        )*

        const _: () = ::core::assert!(
            #private::distinct(&[
                #((<#events as #private::Event>::NAME, <#events as #private::Event>::VERSION),)*
                #((<#earlier as #private::Event>::NAME, <#earlier as #private::Event>::VERSION),)*
            ]),
            "a vocabulary has each version of an event once: as a variant, or among the earlier ones"
        );

        impl #private::Encode for #name {
            #[inline]
            fn event_type(&self) -> &'static #private::EventType {
                match self {
                    #(Self::#idents(_) => <#events as #private::Event>::static_type(),)*
                }
            }
            #[inline]
            fn fixed_size(&self) -> ::core::option::Option<usize> {
                match self {
                    #(Self::#idents(event) => #private::Encode::fixed_size(event),)*
                }
            }
            #[inline]
            fn encode(
                &self,
                out: &mut [u8],
                scratch: &mut #private::Scratch,
            ) -> ::core::result::Result<usize, #private::EncodeError> {
                match self {
                    #(Self::#idents(event) => #private::Encode::encode(event, out, scratch),)*
                }
            }
        }

        impl #private::Decode for #name {
            fn decode(
                key: #private::TypeKey,
                payload: &[u8],
                upcasts: &mut #private::Upcasts,
                see: &mut dyn ::core::ops::FnMut(Self),
            ) -> ::core::result::Result<::core::option::Option<u32>, #private::UpcastError> {
                match <Self as #private::Vocabulary>::view(key, payload)? {
                    ::core::option::Option::Some(view) => {
                        see(view.to_owned());
                        ::core::result::Result::Ok(::core::option::Option::Some(1))
                    }
                    ::core::option::Option::None => <Self as #private::Vocabulary>::upcast(
                        key,
                        payload,
                        upcasts,
                        &mut |view| see(view.to_owned()),
                    ),
                }
            }
        }

        impl #private::Vocabulary for #name {
            type View<'a> = #view<'a>;

            fn types() -> #private::Types {
                ::std::vec![
                    #(<#events as #private::Event>::static_type(),)*
                    #(<#earlier as #private::Event>::static_type(),)*
                ]
            }
            #upcast
            #[inline]
            fn view(
                key: #private::TypeKey,
                payload: &[u8],
            ) -> ::core::result::Result<::core::option::Option<#view<'_>>, #private::ViewError> {
                #(
                    if <#events as #private::Event>::static_type().matches(key)? {
                        let view = <#events as #private::Event>::view(payload)?;
                        return ::core::result::Result::Ok(
                            ::core::option::Option::Some(#view::#idents(view)),
                        );
                    }
                )*
                ::core::result::Result::Ok(::core::option::Option::None)
            }
        }
    })
}

fn word(variant: &syn::Variant) -> Result<Word> {
    let wrong = |what: &dyn quote::ToTokens| {
        Err(Error::new_spanned(
            what,
            "a variant of a vocabulary holds one event: `Departed(FlightDeparted)`",
        ))
    };
    refuse::conditional(&variant.attrs)?;
    if let Some((_, value)) = &variant.discriminant {
        return wrong(value);
    }
    let fields = match &variant.fields {
        Fields::Unnamed(fields) => &fields.unnamed,
        Fields::Named(_) | Fields::Unit => return wrong(variant),
    };
    let Some(field) = fields.first().filter(|_| fields.len() == 1) else { return wrong(variant) };
    Ok(Word {
        ident: variant.ident.clone(),
        event: field.ty.clone(),
        docs: variant.attrs.iter().filter(|a| a.path().is_ident("doc")).cloned().collect(),
    })
}
