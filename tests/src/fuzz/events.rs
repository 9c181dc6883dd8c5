//! Events as the macros make them: of each kind of field that there is.

use std::time::Duration;

use uuid::Uuid;

/// An event without pointers.
#[factlog::event(name = "fuzzed-flat", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct Flat {
    /// A number.
    pub number: u64,
    /// Another.
    pub ratio: f64,
    /// A letter.
    pub letter: char,
    /// A flag.
    pub flag: Option<bool>,
}

/// A value with pointers.
#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// From where.
    pub from: String,
    /// By whom.
    pub crew: Vec<String>,
}

/// An event with pointers.
#[factlog::event(name = "fuzzed-deep", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct Deep {
    /// A text.
    pub text: String,
    /// Values with pointers.
    pub legs: Vec<Leg>,
    /// Perhaps another.
    pub perhaps: Option<Box<Leg>>,
}

/// Names without more.
#[factlog::value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Class {
    /// Not from zero on.
    Economy = 3,
    /// The next.
    Business,
}

/// Variants of each kind.
#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
pub enum Payment {
    /// With nothing.
    Cash,
    /// With places.
    Card(u16, String),
    /// With names.
    Voucher {
        /// Perhaps a number.
        number: Option<u64>,
    },
}

/// Contains itself.
#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// The end.
    Always,
    /// One more.
    Not(Box<Rule>),
    /// Several.
    All(Vec<Rule>),
}

/// Every supported kind of field.
#[factlog::event(name = "fuzzed-everything", version = 2)]
#[derive(Debug, Clone, PartialEq)]
pub struct Everything {
    /// Unsigned numbers.
    pub unsigned: (u8, u16, u32, u64, u128),
    /// Signed ones.
    pub signed: (i8, i16, i32, i64, i128),
    /// A flag.
    pub flag: bool,
    /// A letter.
    pub letter: char,
    /// A text behind a pointer.
    pub text: Box<str>,
    /// Bytes.
    pub bytes: Vec<u8>,
    /// Numbers behind a pointer.
    pub slice: Box<[u32]>,
    /// Some in place.
    pub array: [u16; 3],
    /// Perhaps a text.
    pub maybe: Option<String>,
    /// Nothing.
    pub unit: (),
    /// Random bytes.
    pub id: Uuid,
    /// Seconds, and nanoseconds below a billion.
    pub wait: Duration,
    /// A name.
    pub class: Class,
    /// Variants.
    pub payments: Vec<Payment>,
    /// What contains itself.
    pub rule: Rule,
}

impl Flat {
    /// Some.
    pub fn some(number: u64) -> Self {
        Self { number, ratio: 0.5, letter: 'é', flag: Some(true) }
    }
}

impl Deep {
    /// Some.
    pub fn some() -> Self {
        let leg =
            Leg { from: "somewhere far away".into(), crew: vec!["A".into(), "Beatrice B.".into()] };
        let legs = vec![leg.clone(), leg.clone()];
        Self { text: "text".into(), legs, perhaps: Some(Box::new(leg)) }
    }
}

impl Everything {
    /// Some.
    pub fn some() -> Self {
        let rules = vec![Rule::Not(Box::new(Rule::Always)), Rule::All(Vec::new())];
        Self {
            unsigned: (1, 2, 3, 4, 5),
            signed: (-1, -2, -3, -4, -5),
            flag: true,
            letter: 'x',
            text: "a text that stands behind a pointer".into(),
            bytes: vec![7; 20],
            slice: vec![1, 2, 3].into(),
            array: [4, 5, 6],
            maybe: Some("maybe".into()),
            unit: (),
            id: Uuid::from_u128(77),
            wait: Duration::new(5, 999_999_999),
            class: Class::Business,
            payments: vec![
                Payment::Cash,
                Payment::Card(1234, "somebody with a long name".into()),
                Payment::Voucher { number: Some(9) },
            ],
            rule: Rule::Not(Box::new(Rule::All(rules))),
        }
    }
}
