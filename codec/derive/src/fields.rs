//! Fields: their getters, their descriptions, their owned form.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Error, Field, Fields, LitStr, Member, Path, Result, Type, Visibility};

use crate::refuse;

/// A field of a struct or a variant.
pub(crate) struct Part {
    pub(crate) vis: Visibility,
    pub(crate) member: Member,
    /// The name in descriptions: "0", "1" and so on where there is none.
    pub(crate) name: String,
    pub(crate) ty: Type,
    docs: Vec<Attribute>,
    /// The name of a foreign type.
    opaque: Option<LitStr>,
}

/// Takes the fields apart, and `#[fact(...)]` out of them.
pub(crate) fn parts(fields: &mut Fields) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (index, field) in fields.iter_mut().enumerate() {
        refuse::attributes(&field.attrs)?;
        let opaque = take_opaque(field)?;
        let member = match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::from(index),
        };
        let name = match &member {
            Member::Named(ident) => ident.to_string().trim_start_matches("r#").to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        if name.len() > 255 {
            return Err(Error::new_spanned(field, "a name has at most 255 bytes"));
        }
        parts.push(Part {
            vis: field.vis.clone(),
            docs: field.attrs.iter().filter(|one| one.path().is_ident("doc")).cloned().collect(),
            member,
            name,
            ty: field.ty.clone(),
            opaque,
        });
    }
    refuse::types(parts.iter().filter(|part| part.opaque.is_none()).map(|part| &part.ty))?;
    Ok(parts)
}

fn take_opaque(field: &mut Field) -> Result<Option<LitStr>> {
    let mut opaque = None;
    for attribute in field.attrs.iter().filter(|one| one.path().is_ident("fact")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("opaque") {
                return Err(meta.error("there is only `opaque = \"name@version\"`"));
            }
            let name: LitStr = meta.value()?.parse()?;
            if !name.value().contains('@') || name.value().len() > 255 {
                return Err(meta.error("an opaque type is called `name@version`"));
            }
            opaque = Some(name);
            Ok(())
        })?;
    }
    field.attrs.retain(|one| !one.path().is_ident("fact"));
    Ok(opaque)
}

impl Part {
    /// Whether its archived form points to nothing outside itself.
    fn inline(&self, private: &Path) -> TokenStream {
        let ty = &self.ty;
        match self.opaque {
            Some(_) => quote!(false),
            None => quote!(<#ty as #private::Value>::INLINE),
        }
    }

    /// Its native view's type.
    pub(crate) fn view_type(&self, private: &Path, lifetime: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        match self.opaque {
            Some(_) => quote!(&#lifetime <#ty as #private::rkyv::Archive>::Archived),
            // As people know them, for the documentation.
            None if is_plain(ty) => quote!(#ty),
            None if is_string(ty) => quote!(&#lifetime str),
            None => quote!(<#ty as #private::Value>::View<#lifetime>),
        }
    }

    /// Its native view, from a reference to the archived form.
    pub(crate) fn view(&self, private: &Path, archived: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        match self.opaque {
            Some(_) => archived.clone(),
            None => quote!(<#ty as #private::Value>::view(#archived)),
        }
    }

    /// Its owned form, from a reference to the archived form.
    pub(crate) fn owned(&self, private: &Path, archived: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        match self.opaque {
            Some(_) => quote!(#private::foreign::<#ty, _>(#archived)),
            None => quote!(<#ty as #private::Value>::owned(#archived)),
        }
    }

    /// Its entry in the description of `container`.
    pub(crate) fn describe(
        &self,
        private: &Path,
        container: &TokenStream,
        field: &TokenStream,
    ) -> TokenStream {
        let (name, ty) = (&self.name, &self.ty);
        let node = match &self.opaque {
            Some(opaque) => quote! {
                builder.opaque::<<#ty as #private::rkyv::Archive>::Archived>(#opaque)
            },
            None => quote!(builder.node::<#ty>()),
        };
        quote! {
            {
                let node = #node;
                #private::Field::new(#name, #private::offset_of!(#container, #field), node)
            }
        }
    }
}

fn is_string(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("String"))
}

fn is_plain(ty: &Type) -> bool {
    const PLAIN: [&str; 14] = [
        "bool", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "u128", "i128", "f32", "f64",
        "char",
    ];
    matches!(ty, Type::Path(path) if PLAIN.iter().any(|name| path.path.is_ident(name)))
}

/// Whether all parts are inline.
pub(crate) fn all_inline(parts: &[Part], private: &Path) -> TokenStream {
    let inline = parts.iter().map(|part| part.inline(private));
    quote!(true #(&& #inline)*)
}

/// Whether a `Debug` of the archived form can be derived.
pub(crate) fn has_opaque(parts: &[Part]) -> bool {
    parts.iter().any(|part| part.opaque.is_some())
}

/// The methods of a struct's borrowed form.
pub(crate) fn getters(parts: &[Part], private: &Path) -> TokenStream {
    let getters = parts.iter().map(|part| {
        let method = match &part.member {
            Member::Named(ident) => ident.clone(),
            Member::Unnamed(index) => format_ident!("field_{}", index.index),
        };
        let (vis, docs, member) = (&part.vis, &part.docs, &part.member);
        let default = format!("The field `{}`.", part.name);
        let docs = if docs.is_empty() { quote!(#[doc = #default]) } else { quote!(#(#docs)*) };
        let ty = part.view_type(private, &quote!('_));
        let view = part.view(private, &quote!(&self.#member));
        quote! {
            #docs
            #[inline]
            #vis fn #method(&self) -> #ty {
                #view
            }
        }
    });
    quote!(#(#getters)*)
}

/// The expression that makes an owned `path` of `archived`.
pub(crate) fn owned_struct(
    parts: &[Part],
    private: &Path,
    path: &TokenStream,
    archived: &TokenStream,
) -> TokenStream {
    let fields = parts.iter().map(|part| {
        let member = &part.member;
        let owned = part.owned(private, &quote!(&#archived.#member));
        quote!(#member: #owned)
    });
    quote!(#path { #(#fields),* })
}
