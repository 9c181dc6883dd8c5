//! Structs: shared by events and values.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{Error, Fields, Ident, ItemStruct, LitStr, Member, Path, Result, parse_quote};

use crate::field::{self, Part};
use crate::refuse::{self, Scope};

/// A struct, its parts, and the names that its output needs.
pub(crate) struct Record {
    pub(crate) item: ItemStruct,
    pub(crate) view: Ident,
    pub(crate) private: Path,
    parts: Vec<Part>,
}

/// The bounds that take the place of those on fields, for a type and its parts.
pub(crate) fn rkyv_attribute(private: &Path, own: &Ident, archived: &Ident) -> syn::Attribute {
    // A program may well have a `NameResolver` beside its `Name`.
    let resolver = format_ident!("__{}Resolver", own.unraw(), span = own.span());
    parse_quote! {
        #[rkyv(
            crate = #private::rkyv,
            archived = #archived,
            resolver = #resolver,
            serialize_bounds(
                __S: #private::rkyv::ser::Writer + #private::rkyv::ser::Allocator,
                <__S as #private::rkyv::rancor::Fallible>::Error: #private::rkyv::rancor::Source,
            ),
            bytecheck(bounds(
                __C: #private::rkyv::validation::ArchiveContext,
                <__C as #private::rkyv::rancor::Fallible>::Error: #private::rkyv::rancor::Source,
            )),
        )]
    }
}

impl Record {
    pub(crate) fn new(mut item: ItemStruct, krate: &Path) -> Result<Self> {
        refuse::generics(&item.generics)?;
        refuse::attributes(&item.attrs)?;
        let private: Path = parse_quote!(#krate::__private);
        let view = format_ident!("{}View", item.ident.unraw(), span = item.ident.span());
        let scope = Scope { own: &item.ident, taken: Vec::new() };
        let parts = field::parts(&mut item.fields, &scope)?;
        if let Some(part) = parts.iter().find(|part| part.name == "to_owned") {
            let message = "the view has a method `to_owned`: name the field otherwise";
            return Err(Error::new_spanned(&part.member, message));
        }
        for field in &mut item.fields {
            // Readers shall use the getters: the fields have archived types.
            field.attrs.push(parse_quote!(#[rkyv(attr(doc(hidden)))]));
        }
        item.attrs.push(parse_quote! {
            #[derive(#private::rkyv::Archive, #private::rkyv::Serialize)]
        });
        item.attrs.push(rkyv_attribute(&private, &item.ident, &view));
        Ok(Self { item, view, private, parts })
    }

    /// The struct, its view, and its `Value`. `name` is what descriptions call it.
    pub(crate) fn expand(&self, name: &LitStr) -> TokenStream {
        let item = &self.item;
        let view = self.view_impl();
        let debug = self.debug_impl();
        let value = self.value_impl(name);
        let checks = field::checks(self.parts.iter(), &self.private);
        let align = align_check(&self.private, &self.view.to_token_stream());
        quote! {
            #checks
            #item
            #view
            #debug
            #value
            #align
        }
    }

    fn getter(&self, part: &Part) -> Ident {
        match &part.member {
            Member::Named(ident) => ident.clone(),
            Member::Unnamed(_) if self.parts.len() == 1 => format_ident!("get"),
            Member::Unnamed(index) => format_ident!("get_{}", index.index),
        }
    }

    fn view_impl(&self) -> TokenStream {
        let Self { item, view, private, parts } = self;
        let (name, vis) = (&item.ident, &item.vis);
        let getters = parts.iter().map(|part| {
            let Part { member, vis, docs, .. } = part;
            let getter = self.getter(part);
            let ty = part.view_type(private, &quote!('_));
            let body = part.view(private, &quote!(&self.#member));
            let docs = if docs.is_empty() {
                let doc = format!("The field `{}`.", part.name);
                quote!(#[doc = #doc])
            } else {
                quote!(#(#docs)*)
            };
            quote! {
                #docs
                #[inline]
                #vis fn #getter(&self) -> #ty {
                    #body
                }
            }
        });
        let owned = parts.iter().map(|part| {
            let member = &part.member;
            let owned = part.owned(private, &part.view(private, &quote!(&self.#member)));
            quote!(#member: #owned)
        });
        quote! {
            #[allow(dead_code, reason = "a program need not use every getter")]
            impl #view {
                #(#getters)*

                /// The value itself.
                #vis fn to_owned(&self) -> #name {
                    #name { #(#owned,)* }
                }
            }
        }
    }

    fn debug_impl(&self) -> TokenStream {
        let Self { item, view, private, parts } = self;
        let name = item.ident.unraw().to_string();
        let fields = parts.iter().map(|part| {
            let member = &part.member;
            let shown = part.shown(private, &part.view(private, &quote!(&self.#member)));
            if matches!(part.member, Member::Named(_)) {
                let name = &part.name;
                quote!(.field(#name, #shown))
            } else {
                quote!(.field(#shown))
            }
        });
        let builder = match item.fields {
            Fields::Unnamed(_) => quote!(debug_tuple),
            Fields::Named(_) | Fields::Unit => quote!(debug_struct),
        };
        quote! {
            impl ::core::fmt::Debug for #view {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.#builder(#name) #(#fields)* .finish()
                }
            }
        }
    }

    fn value_impl(&self, described: &LitStr) -> TokenStream {
        let Self { item, view, private, parts } = self;
        let name = &item.ident;
        let inline = parts.iter().map(|part| part.inline(private));
        let fields = parts.iter().map(|part| {
            let Part { member, name, .. } = part;
            let describe = part.describe(private);
            quote! {
                #private::FieldDraft {
                    name: #name,
                    offset: ::core::mem::offset_of!(#view, #member),
                    describe: #describe,
                }
            }
        });
        let within = parts.iter().map(|part| {
            let member = &part.member;
            part.within(private, &quote!(&self.#member))
        });
        quote! {
            impl #private::Value for #name {
                const INLINE: bool = true #(&& #inline)*;
                type View<'a> = &'a #view;

                fn describe(builder: &mut #private::DescriptionBuilder) -> #private::NodeId {
                    builder.structure::<Self>(#described, &[#(#fields),*])
                }
                #[inline]
                fn view(archived: &#view) -> &#view {
                    archived
                }
                #[inline]
                fn owned(view: &#view) -> Self {
                    #view::to_owned(view)
                }
                #[inline]
                fn within(&self, levels: u32) -> #private::Depth {
                    let _ = levels;
                    #private::Depth::Within #(.and(|| #within))*
                }
            }
        }
    }
}

/// Ends compilation if `archived` needs more alignment than payloads have.
pub(crate) fn align_check(private: &Path, archived: &TokenStream) -> TokenStream {
    quote! {
        const _: () = ::core::assert!(
            ::core::mem::align_of::<#archived>() <= #private::MAX_ALIGN,
            "payloads are aligned to 16 bytes: no field may need more"
        );
    }
}
