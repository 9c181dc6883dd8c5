//! A field: of a struct, or of a variant.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, Field, Fields, GenericArgument, Ident, LitStr, Member, Path,
    PathArguments, Result, Type, Visibility,
};

use crate::refuse::Scope;
use crate::{args, refuse};

/// What `#[fact(...)]` says of a field.
pub(crate) struct Opaque {
    pub(crate) name: LitStr,
    pub(crate) owned: Option<Path>,
}

/// A field as the macros see it.
pub(crate) struct Part {
    pub(crate) member: Member,
    /// Its name in the description.
    pub(crate) name: String,
    /// A variable for it in a pattern.
    pub(crate) binding: Ident,
    pub(crate) vis: Visibility,
    pub(crate) ty: Type,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) opaque: Option<Opaque>,
}

/// Reads fields, and refuses those that cannot be stored. `#[fact]` is taken off them, and what
/// rkyv has to know is put on.
pub(crate) fn parts(fields: &mut Fields, scope: &Scope<'_>) -> Result<Vec<Part>> {
    let members: Vec<Member> = fields.members().collect();
    fields.iter_mut().zip(members).map(|(field, member)| part(field, member, scope)).collect()
}

fn part(field: &mut Field, member: Member, scope: &Scope<'_>) -> Result<Part> {
    refuse::attributes(&field.attrs)?;
    refuse::conditional(&field.attrs)?;
    scope.check(&field.ty)?;
    let opaque = opaque(&field.attrs)?;
    field.attrs.retain(|attribute| !attribute.path().is_ident("fact"));
    if opaque.is_none() {
        refuse::types(&field.ty)?;
        // Bounds on fields would be circular in types that contain themselves. The bounds that
        // supported types need are on the type instead.
        field.attrs.push(syn::parse_quote!(#[rkyv(omit_bounds)]));
    }
    let (name, binding) = match &member {
        Member::Named(ident) => {
            let name = ident.unraw().to_string();
            let binding = format_ident!("field_{name}");
            (name, binding)
        }
        Member::Unnamed(index) => (index.index.to_string(), format_ident!("field_{}", index.index)),
    };
    args::check_name(&name, field.span())?;
    let docs = field.attrs.iter().filter(|a| a.path().is_ident("doc")).cloned().collect();
    let (vis, ty) = (field.vis.clone(), field.ty.clone());
    Ok(Part { member, name, binding, vis, ty, docs, opaque })
}

fn opaque(attributes: &[Attribute]) -> Result<Option<Opaque>> {
    let mut name: Option<LitStr> = None;
    let mut owned = None;
    let mut given = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("fact")) {
        given = Some(attribute);
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("opaque") && name.is_none() {
                name = Some(meta.value()?.parse()?);
                Ok(())
            } else if meta.path.is_ident("owned") && owned.is_none() {
                owned = Some(meta.value()?.parse::<Path>()?);
                Ok(())
            } else {
                Err(meta.error("#[fact] takes `opaque = \"name@1\"` and `owned = path`, once each"))
            }
        })?;
    }
    match (name, given) {
        (Some(name), _) => {
            let text = name.value();
            let version =
                text.rsplit_once('@').and_then(|(_, version)| version.parse::<u16>().ok());
            if version.is_none() || text.starts_with('@') {
                return Err(Error::new(
                    name.span(),
                    "an opaque field has a name and a version of its layout: \"name@1\"",
                ));
            }
            args::check_name(&text, name.span())?;
            Ok(Some(Opaque { name, owned }))
        }
        (None, Some(attribute)) => {
            Err(Error::new_spanned(attribute, "#[fact] needs `opaque = \"name@1\"`"))
        }
        (None, None) => Ok(None),
    }
}

impl Part {
    /// The type of its view, borrowed for `life`.
    pub(crate) fn view_type(&self, private: &Path, life: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        if self.opaque.is_some() {
            quote!(&#life <#ty as #private::rkyv::Archive>::Archived)
        } else {
            native(ty, private, life)
                .unwrap_or_else(|| quote!(<#ty as #private::Value>::View<#life>))
        }
    }

    /// The view of the archived field that `place` refers to.
    pub(crate) fn view(&self, private: &Path, place: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        if self.opaque.is_some() {
            place.clone()
        } else {
            quote!(<#ty as #private::Value>::view(#place))
        }
    }

    /// The field itself, from its view.
    pub(crate) fn owned(&self, private: &Path, view: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        match &self.opaque {
            None => quote!(<#ty as #private::Value>::owned(#view)),
            Some(Opaque { owned: Some(path), .. }) => quote!(#path(#view)),
            Some(_) => quote! {
                <<#ty as #private::rkyv::Archive>::Archived as #private::OpaqueOwned<#ty>>::owned(#view)
            },
        }
    }

    /// What a `Debug` output shows for it.
    pub(crate) fn shown(&self, private: &Path, view: &TokenStream) -> TokenStream {
        match &self.opaque {
            None => quote!(&#view),
            Some(Opaque { name, .. }) => quote!(&#private::Unshown(#name)),
        }
    }

    /// The function that describes its type.
    pub(crate) fn describe(&self, private: &Path) -> TokenStream {
        let ty = &self.ty;
        match &self.opaque {
            None => quote!(<#ty as #private::Value>::describe),
            Some(Opaque { name, .. }) => quote!(|builder| builder.opaque::<#ty>(#name)),
        }
    }

    /// Whether all of it is in the archived form itself.
    pub(crate) fn inline(&self, private: &Path) -> TokenStream {
        let ty = &self.ty;
        if self.opaque.is_some() { quote!(false) } else { quote!(<#ty as #private::Value>::INLINE) }
    }

    /// Whether the field that `place` refers to has at most `levels` pointers in a row.
    pub(crate) fn within(&self, private: &Path, place: &TokenStream) -> TokenStream {
        let ty = &self.ty;
        if self.opaque.is_some() {
            quote!(#private::Depth::Unknown)
        } else {
            quote!(<#ty as #private::Value>::within(#place, levels))
        }
    }
}

/// Checks of the types of `parts` that are made at compile time. They are to come before what else
/// is generated, so that their errors do, which name the way out.
pub(crate) fn checks<'a>(
    parts: impl Iterator<Item = &'a Part> + Clone,
    private: &Path,
) -> TokenStream {
    let described = parts.filter(|part| part.opaque.is_none()).map(|part| &part.ty);
    let wrapped = described.clone().map(|ty| {
        // All of it is to point at the field, the path of the crate too.
        let mut private = private.clone();
        private.segments.iter_mut().for_each(|segment| segment.ident.set_span(ty.span()));
        quote_spanned!(ty.span()=> #private::Checked<#ty>)
    });
    let sized = described.map(|ty| {
        quote_spanned! {ty.span()=>
            const _: () = ::core::assert!(
                <#ty as #private::Value>::SIZED_ELEMENTS,
                "an element of a Vec, array or Option must have a size: store a number or a bool"
            );
        }
    });
    quote! {
        const _: () = {
            #[allow(dead_code, reason = "only its layout is asked for")]
            struct __Fields(#(#wrapped),*);
        };
        #(#sized)*
    }
}

/// The view of well-known types as one would write it: signatures read better so.
fn native(ty: &Type, private: &Path, life: &TokenStream) -> Option<TokenStream> {
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            let segment = path.path.segments.last().filter(|_| path.path.segments.len() == 1)?;
            let name = segment.ident.to_string();
            match (name.as_str(), &segment.arguments) {
                (
                    "bool" | "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" | "u128"
                    | "i128" | "f32" | "f64" | "char",
                    PathArguments::None,
                ) => Some(quote!(#ty)),
                ("String", PathArguments::None) => Some(quote!(&#life str)),
                ("Option", PathArguments::AngleBracketed(arguments)) => {
                    let inner = match arguments.args.first()? {
                        GenericArgument::Type(ty) => native(ty, private, life)?,
                        _ => return None,
                    };
                    Some(quote!(::core::option::Option<#inner>))
                }
                ("Vec", PathArguments::AngleBracketed(arguments)) => {
                    match arguments.args.first()? {
                        GenericArgument::Type(ty) => Some(quote!(#private::List<#life, #ty>)),
                        _ => None,
                    }
                }
                _ => None,
            }
        }
        Type::Array(array) => {
            let Expr::Lit(_) = &array.len else { return None };
            let (element, len) = (native(&array.elem, private, life)?, &array.len);
            Some(quote!([#element; #len]))
        }
        Type::Group(group) => native(&group.elem, private, life),
        _ => None,
    }
}

/// Whether a native view of `ty` borrows, as far as its source tells.
pub(crate) fn is_plain(part: &Part, private: &Path) -> bool {
    part.opaque.is_none()
        && native(&part.ty, private, &quote!('a))
            .is_some_and(|view| !view.to_string().contains("'a"))
}
