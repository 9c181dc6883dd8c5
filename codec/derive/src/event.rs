//! `#[event]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Fields, Item, Result};

use crate::args::Args;
use crate::record::Record;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::parse(args, "event", &["name", "version"])?;
    let item = match syn::parse2::<Item>(item)? {
        Item::Struct(item) => item,
        Item::Enum(item) => {
            return Err(Error::new_spanned(
                item.ident,
                "an event is a struct: an archived enum changes its layout with each variant. \
                 Write one struct for each event, and an enum of them under #[vocabulary]",
            ));
        }
        other => return Err(Error::new_spanned(other, "#[event] goes on a struct")),
    };
    let (name, version) = args.event()?;
    if let Fields::Unnamed(fields) = &item.fields {
        return Err(Error::new_spanned(
            fields,
            "the fields of an event have names: they are what its readers see",
        ));
    }
    let record = Record::new(item, &args.krate())?;
    let common = record.expand(&name);
    let Record { item, view, private, .. } = &record;
    let ident = &item.ident;
    Ok(quote! {
        #common

        impl #private::Encode for #ident {
            #[inline]
            fn event_type(&self) -> &'static #private::EventType {
                <Self as #private::Event>::static_type()
            }
            #[inline]
            fn fixed_size(&self) -> ::core::option::Option<usize> {
                if <Self as #private::Value>::INLINE {
                    ::core::option::Option::Some(::core::mem::size_of::<#view>())
                } else {
                    ::core::option::Option::None
                }
            }
            #[inline]
            fn encode(
                &self,
                out: &mut [u8],
                scratch: &mut #private::Scratch,
            ) -> ::core::result::Result<usize, #private::EncodeError> {
                #private::encode::<Self>(self, out, scratch)
            }
        }

        impl #private::Decode for #ident {
            fn decode(
                key: #private::TypeKey,
                payload: &[u8],
                _: &mut #private::Upcasts,
                see: &mut dyn ::core::ops::FnMut(Self),
            ) -> ::core::result::Result<::core::option::Option<u32>, #private::UpcastError> {
                let of = <Self as #private::Event>::static_type();
                if !of.matches(key).map_err(#private::ViewError::Drift)? {
                    return ::core::result::Result::Ok(::core::option::Option::None);
                }
                let view = <Self as #private::Event>::view(payload)?;
                see(<Self as #private::Event>::owned(view));
                ::core::result::Result::Ok(::core::option::Option::Some(1))
            }
        }

        impl #private::Event for #ident {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
            type View = #view;

            #[inline]
            fn static_type() -> &'static #private::EventType {
                static TYPE: #private::EventType = #private::EventType::new(
                    #name,
                    #version,
                    #private::Description::of::<#ident>,
                );
                &TYPE
            }
            #[inline]
            fn view(payload: &[u8]) -> ::core::result::Result<&#view, #private::ViewError> {
                #private::view::<#view>(payload)
            }
            #[inline]
            fn owned(view: &#view) -> Self {
                #view::to_owned(view)
            }
        }
    })
}
