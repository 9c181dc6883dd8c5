//! What the macros refuse, each with the reason and a way out.

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, GenericArgument, Generics, Ident, Meta, Path, PathArguments, Result, Token,
    Type, TypePath,
};

/// A stored type has one shape: no parameters.
pub(crate) fn generics(generics: &Generics) -> Result<()> {
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return Ok(());
    }
    Err(Error::new_spanned(
        generics,
        "a stored type has one shape: it cannot have type, const or lifetime parameters. \
         Write a struct for each case, and own what you would borrow",
    ))
}

/// rkyv's attributes and derives are added by the macros; others would change what is stored.
pub(crate) fn attributes(attributes: &[Attribute]) -> Result<()> {
    for attribute in attributes {
        let path = attribute.path();
        if path.is_ident("rkyv") || path.is_ident("bytecheck") {
            return Err(Error::new_spanned(
                attribute,
                "the macro adds what rkyv needs: its attributes would change what is stored \
                 without the description saying so. Convert the field to a type that is \
                 supported, or mark it `#[fact(opaque = \"name@1\")]`",
            ));
        }
        if path.is_ident("repr") && !attribute_is_integer_repr(attribute) {
            return Err(Error::new_spanned(attribute, "the layout of what is stored is fixed"));
        }
        if path.is_ident("derive") {
            derive(attribute)?;
        }
    }
    Ok(())
}

fn attribute_is_integer_repr(attribute: &Attribute) -> bool {
    attribute.parse_args::<Ident>().is_ok_and(|repr| repr != "C" && repr != "transparent")
}

fn derive(attribute: &Attribute) -> Result<()> {
    let paths = attribute
        .parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated)
        .unwrap_or_default();
    for path in paths {
        let rkyv = path.segments.iter().any(|segment| segment.ident == "rkyv");
        let archive = path.segments.last().is_some_and(|segment| segment.ident == "Archive");
        if rkyv || archive {
            return Err(Error::new_spanned(path, "the macro adds the derives of rkyv itself"));
        }
    }
    Ok(())
}

/// Fields that come and go with the build would change the shape without a new version.
pub(crate) fn conditional(attributes: &[Attribute]) -> Result<()> {
    for attribute in attributes {
        if matches!(attribute.meta, Meta::List(_))
            && (attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr"))
        {
            return Err(Error::new_spanned(
                attribute,
                "what is stored cannot depend on how the program was built",
            ));
        }
    }
    Ok(())
}

/// What the names in field types mean: they stand in other places, too.
pub(crate) struct Scope<'a> {
    /// The type that has the fields.
    pub(crate) own: &'a Ident,
    /// Names that mean something else there.
    pub(crate) taken: Vec<String>,
}

impl Scope<'_> {
    /// Refuses names that would mean another type.
    pub(crate) fn check(&self, ty: &Type) -> Result<()> {
        let mut names = Names { scope: self, error: None };
        names.visit_type(ty);
        names.error.map_or(Ok(()), Err)
    }
}

struct Names<'a> {
    scope: &'a Scope<'a>,
    error: Option<Error>,
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        if let Some(first) = path.segments.first().filter(|first| first.ident == "Self") {
            let message = format!("a field type names its own type: write `{}`", self.scope.own);
            self.error.get_or_insert(Error::new_spanned(first, message));
        }
        visit::visit_path(self, path);
    }

    fn visit_type_path(&mut self, ty: &'ast TypePath) {
        if let Some(name) = ty.path.get_ident()
            && ty.qself.is_none()
            && self.scope.taken.iter().any(|taken| name == taken)
        {
            let message = format!(
                "rkyv has a `{name}` of its own in what it derives for an enum: write its path, \
                 `self::{name}`"
            );
            self.error.get_or_insert(Error::new_spanned(ty, message));
        }
        visit::visit_type_path(self, ty);
    }
}

/// Field types that can be named in the source and have no good archived form.
pub(crate) fn types(ty: &Type) -> Result<()> {
    match ty {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Ok(()) };
            let generic = !last.arguments.is_none();
            if let Some(reason) = named(&last.ident, generic) {
                return Err(Error::new_spanned(ty, reason));
            }
            if let PathArguments::AngleBracketed(arguments) = &last.arguments {
                for argument in &arguments.args {
                    if let GenericArgument::Type(ty) = argument {
                        types(ty)?;
                    }
                }
            }
            Ok(())
        }
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(types),
        Type::Array(array) => types(&array.elem),
        Type::Slice(slice) => types(&slice.elem),
        Type::Paren(inner) => types(&inner.elem),
        Type::Group(inner) => types(&inner.elem),
        Type::Reference(_) => Err(Error::new_spanned(
            ty,
            "an event owns its fields: use String for &str, Vec for a slice",
        )),
        Type::Ptr(_) | Type::BareFn(_) | Type::TraitObject(_) | Type::ImplTrait(_) => {
            Err(Error::new_spanned(ty, "this has no meaning outside the running program"))
        }
        _ => Ok(()),
    }
}

/// What has parameters and one of these names is taken for the type of `std`; a program may have
/// types of its own that are called so.
fn named(ident: &Ident, generic: bool) -> Option<&'static str> {
    match ident.to_string().as_str() {
        "usize" | "isize" => Some("its size differs between machines: use u32 or u64, i32 or i64"),
        _ if !generic => None,
        "HashMap" | "HashSet" => Some(
            "its order differs between runs, so that equal events would have different bytes: \
             use a Vec of pairs, sorted if order has no meaning",
        ),
        "BTreeMap" | "BTreeSet" => Some("not supported as a field: store a Vec of pairs"),
        "Rc" | "Arc" | "Weak" => Some("sharing is not stored: use Box, or the value itself"),
        "Cow" => Some("an event owns its fields: use String or Vec"),
        _ => None,
    }
}
