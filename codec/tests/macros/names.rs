//! Names that the macros, and rkyv behind them, have uses of their own for.

use factlog_codec::types::Event;
use factlog_codec::{event, value, versions, vocabulary};

use super::with_payload;

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tag {
    A,
    B,
}

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Layout1(u8);

/// It has no parameters: it is not that of `std`.
#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Arc(u16);

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Fields(Vec<Tag>);

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Discriminant(Tag);

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Name(Tag);

/// As rkyv would call what it makes of [`Name`].
#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct NameResolver(Name);

#[value(crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    None,
    One(Layout1, self::Tag),
    Two { fields: Fields, arc: Arc, all: Vec<self::Discriminant> },
}

#[event(name = "names", version = 1, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq)]
struct Names {
    tag: Tag,
    fields: Fields,
    discriminant: Discriminant,
    resolver: NameResolver,
    kinds: Vec<Kind>,
    r#type: u8,
}

#[vocabulary(crate = factlog_codec)]
#[derive(Debug)]
enum Any {
    Names(Names),
}

#[versions(Any { Names })]
trait Typed {
    fn r#type(&self) -> u8;
}

#[test]
fn does_a_type_of_any_name_come_back() {
    let event = Names {
        tag: Tag::A,
        fields: Fields(vec![Tag::B, Tag::A]),
        discriminant: Discriminant(Tag::B),
        resolver: NameResolver(Name(Tag::A)),
        kinds: vec![
            Kind::None,
            Kind::One(Layout1(5), Tag::B),
            Kind::Two { fields: Fields(vec![]), arc: Arc(6), all: vec![Discriminant(Tag::A)] },
        ],
        r#type: 7,
    };
    with_payload(&event, |payload| {
        let view = Names::view(payload).expect("just written");
        assert_eq!(view.to_owned(), event);
        assert_eq!(AnyView::Names(view).r#type(), 7);
    });
}
