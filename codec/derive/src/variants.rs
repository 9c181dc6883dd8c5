//! Enums as values.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, Error, Expr, Fields, Ident, ItemEnum, LitStr, Member, Path, Result, parse_quote,
};

use crate::field::{self, Part};
use crate::record::{align_check, rkyv_attribute};
use crate::refuse::Scope;
use crate::{args, refuse};

struct Variant {
    ident: Ident,
    name: String,
    docs: Vec<Attribute>,
    discriminant: Option<Expr>,
    fields: Fields,
    parts: Vec<Part>,
}

/// An enum, its variants, and the names that its output needs.
pub(crate) struct Variants {
    item: ItemEnum,
    archived: Ident,
    view: Ident,
    private: Path,
    variants: Vec<Variant>,
}

impl Variants {
    pub(crate) fn new(mut item: ItemEnum, krate: &Path) -> Result<Self> {
        refuse::generics(&item.generics)?;
        refuse::attributes(&item.attrs)?;
        if item.variants.is_empty() {
            return Err(Error::new_spanned(&item.ident, "an enum without variants has no values"));
        }
        if item.variants.len() > 256 {
            return Err(Error::new_spanned(&item.ident, "an enum has at most 256 variants"));
        }
        let private: Path = parse_quote!(#krate::__private);
        let span = item.ident.span();
        // rkyv's derive has local types that begin with `Archived`.
        let archived = format_ident!("__Archived{}", item.ident.unraw(), span = span);
        let view = format_ident!("{}View", item.ident.unraw(), span = span);
        let scope = Scope { own: &item.ident, taken: taken(&item) };
        let variants = item
            .variants
            .iter_mut()
            .map(|variant| Self::variant(variant, &scope))
            .collect::<Result<_>>()?;
        item.attrs.push(parse_quote! {
            #[derive(#private::rkyv::Archive, #private::rkyv::Serialize)]
        });
        item.attrs.push(rkyv_attribute(&private, &item.ident, &archived));
        item.attrs.push(parse_quote!(#[rkyv(attr(doc(hidden)))]));
        Ok(Self { item, archived, view, private, variants })
    }

    fn variant(variant: &mut syn::Variant, scope: &Scope<'_>) -> Result<Variant> {
        refuse::attributes(&variant.attrs)?;
        refuse::conditional(&variant.attrs)?;
        let name = variant.ident.unraw().to_string();
        args::check_name(&name, variant.ident.span())?;
        Ok(Variant {
            ident: variant.ident.clone(),
            name,
            docs: variant.attrs.iter().filter(|a| a.path().is_ident("doc")).cloned().collect(),
            discriminant: variant.discriminant.as_ref().map(|(_, value)| value.clone()),
            parts: field::parts(&mut variant.fields, scope)?,
            fields: variant.fields.clone(),
        })
    }

    fn has_data(&self) -> bool {
        self.variants.iter().any(|variant| !variant.parts.is_empty())
    }

    /// The enum, its view, and its `Value`. `name` is what descriptions call it.
    pub(crate) fn expand(&self, name: &LitStr) -> TokenStream {
        let Self { item, archived, private, .. } = self;
        let view = if self.has_data() { self.view_enum() } else { TokenStream::new() };
        let value = self.value_impl(name);
        let parts = self.variants.iter().flat_map(|variant| &variant.parts);
        let checks = field::checks(parts, private);
        let align = align_check(private, &archived.to_token_stream());
        quote! {
            #checks
            #item
            #view
            #value
            #align
        }
    }

    fn view_enum(&self) -> TokenStream {
        let Self { item, view, private, .. } = self;
        let (name, vis) = (&item.ident, &item.vis);
        let title = name.unraw().to_string();
        // The lifetime must be used: where all views are plain numbers, through the trait.
        let parts = || self.variants.iter().flat_map(|variant| &variant.parts);
        let plain = parts().all(|part| field::is_plain(part, private));
        let life = quote!('a);
        let declared = self.variants.iter().map(|variant| {
            let Variant { ident, docs, .. } = variant;
            let docs = documented(docs, &format!("The variant `{}`.", variant.name));
            let fields = variant.parts.iter().map(|part| {
                let ty = &part.ty;
                let ty = if plain {
                    quote!(<#ty as #private::Value>::View<'a>)
                } else {
                    part.view_type(private, &life)
                };
                let docs = documented(&part.docs, &format!("The field `{}`.", part.name));
                match &part.member {
                    Member::Named(name) => quote!(#docs #name: #ty),
                    Member::Unnamed(_) => quote!(#docs #ty),
                }
            });
            let fields = surrounded(&variant.fields, fields);
            quote!(#docs #ident #fields)
        });
        let owned = self.variants.iter().map(|variant| {
            let pattern = self.pattern(view, variant);
            let owned = self.constructor(name, variant, |part| {
                let binding = &part.binding;
                part.owned(private, &quote!(#binding))
            });
            quote!(#pattern => #owned)
        });
        let shown = self.variants.iter().map(|variant| {
            let pattern = self.pattern(view, variant);
            let title = &variant.name;
            let fields = variant.parts.iter().map(|part| {
                let binding = &part.binding;
                // The pattern binds views; those that are not shown are still bound.
                let shown = part.shown(private, &quote!(#binding));
                match &part.member {
                    Member::Named(_) => {
                        let name = &part.name;
                        quote!(.field(#name, { let _ = &#binding; #shown }))
                    }
                    Member::Unnamed(_) => quote!(.field({ let _ = &#binding; #shown })),
                }
            });
            let builder = match variant.fields {
                Fields::Unnamed(_) => quote!(debug_tuple),
                Fields::Named(_) | Fields::Unit => quote!(debug_struct),
            };
            quote!(#pattern => f.#builder(#title) #(#fields)* .finish())
        });
        let doc = format!("A [`{title}`] in place.");
        quote! {
            #[doc = #doc]
            #[allow(dead_code, reason = "a program need not look at every variant")]
            #[derive(::core::clone::Clone, ::core::marker::Copy)]
            #vis enum #view<'a> {
                #(#declared,)*
            }

            #[allow(dead_code, reason = "a program need not use it")]
            impl #view<'_> {
                /// The value itself.
                #vis fn to_owned(self) -> #name {
                    match self {
                        #(#owned,)*
                    }
                }
            }

            impl ::core::fmt::Debug for #view<'_> {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match *self {
                        #(#shown,)*
                    }
                }
            }
        }
    }

    fn value_impl(&self, described: &LitStr) -> TokenStream {
        let Self { item, archived, view, private, .. } = self;
        let name = &item.ident;
        let inline = self.variants.iter().flat_map(|variant| &variant.parts);
        let inline = inline.map(|part| part.inline(private));
        let (view_type, view_name, owned) = if self.has_data() {
            (quote!(#view<'a>), view, quote!(view.to_owned()))
        } else {
            (quote!(#name), name, quote!(view))
        };
        let views = self.variants.iter().map(|variant| {
            let pattern = self.pattern(archived, variant);
            let value = self.constructor(view_name, variant, |part| {
                let binding = &part.binding;
                part.view(private, &quote!(#binding))
            });
            quote!(#pattern => #value)
        });
        let within = self.variants.iter().map(|variant| {
            let pattern = self.pattern(name, variant);
            let parts = variant.parts.iter().map(|part| {
                let binding = &part.binding;
                let within = part.within(private, &quote!(#binding));
                quote!({ let _ = #binding; #within })
            });
            quote!(#pattern => #private::Depth::Within #(.and(|| #parts))*)
        });
        let tags = self.variants.iter().map(|variant| {
            let ident = &variant.ident;
            match &variant.discriminant {
                Some(value) => quote!(#ident = #value),
                None => quote!(#ident),
            }
        });
        let layouts = self.variants.iter().enumerate().map(|(number, variant)| {
            let layout = format_ident!("__Layout{number}");
            let fields = variant.parts.iter().map(|part| {
                let Part { binding, ty, .. } = part;
                quote!(#binding: <#ty as #private::rkyv::Archive>::Archived)
            });
            quote! {
                #[repr(C)]
                struct #layout {
                    tag: u8,
                    #(#fields,)*
                }
            }
        });
        let drafts = self.variants.iter().enumerate().map(|(number, variant)| {
            let Variant { ident, name, parts, .. } = variant;
            let layout = format_ident!("__Layout{number}");
            let fields = parts.iter().map(|part| {
                let Part { name, binding, .. } = part;
                let describe = part.describe(private);
                quote! {
                    #private::FieldDraft {
                        name: #name,
                        offset: ::core::mem::offset_of!(#layout, #binding),
                        describe: #describe,
                    }
                }
            });
            quote! {
                #private::VariantDraft {
                    name: #name,
                    discriminant: __Tag::#ident as u8,
                    fields: &[#(#fields),*],
                }
            }
        });
        quote! {
            impl #private::Value for #name {
                const INLINE: bool = true #(&& #inline)*;
                type View<'a> = #view_type;

                fn describe(builder: &mut #private::DescriptionBuilder) -> #private::NodeId {
                    // An enum that is `repr(u8)` lies in memory as a union of such structs.
                    #[allow(dead_code, reason = "only its layout is asked for")]
                    #[repr(u8)]
                    enum __Tag { #(#tags,)* }
                    #(
                        #[allow(dead_code, reason = "only its layout is asked for")]
                        #layouts
                    )*
                    builder.variants::<Self>(#described, &[#(#drafts),*])
                }
                #[inline]
                fn view(archived: &#archived) -> Self::View<'_> {
                    match archived {
                        #(#views,)*
                    }
                }
                #[inline]
                fn owned(view: Self::View<'_>) -> Self {
                    #owned
                }
                #[inline]
                fn within(&self, levels: u32) -> #private::Depth {
                    let _ = levels;
                    match self {
                        #(#within,)*
                    }
                }
            }
        }
    }

    /// A pattern that binds all fields of a variant of `name`.
    fn pattern(&self, name: &Ident, variant: &Variant) -> TokenStream {
        self.constructor(name, variant, |part| part.binding.to_token_stream())
    }

    /// A variant of `name` with these fields.
    fn constructor(
        &self,
        name: &Ident,
        variant: &Variant,
        field: impl Fn(&Part) -> TokenStream,
    ) -> TokenStream {
        let ident = &variant.ident;
        let fields = variant.parts.iter().map(|part| {
            let (member, value) = (&part.member, field(part));
            quote!(#member: #value)
        });
        quote!(#name::#ident { #(#fields),* })
    }
}

/// Names of the types that the derives of rkyv declare around the fields of an enum.
fn taken(item: &ItemEnum) -> Vec<String> {
    let fixed = ["Tag", "Discriminant", "ArchivedTag"].map(str::to_owned);
    let variants = item.variants.iter().filter(|variant| !variant.fields.is_empty());
    let of_variants = variants.flat_map(|variant| {
        let name = variant.ident.unraw();
        [format!("Variant{name}"), format!("ArchivedVariant{name}")]
    });
    fixed.into_iter().chain(of_variants).collect()
}

fn surrounded(fields: &Fields, parts: impl Iterator<Item = TokenStream>) -> TokenStream {
    match fields {
        Fields::Named(_) => quote!({ #(#parts),* }),
        Fields::Unnamed(_) => quote!((#(#parts),*)),
        Fields::Unit => TokenStream::new(),
    }
}

fn documented(docs: &[Attribute], otherwise: &str) -> TokenStream {
    if docs.is_empty() { quote!(#[doc = #otherwise]) } else { quote!(#(#docs)*) }
}
