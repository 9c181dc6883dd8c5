//! From any bytes to nodes.

use core::fmt;

use crate::bytes::Reader;

use super::shape::{Field, Node, NodeId, Scalar, Shape, Variant};
use super::write::tag;
use super::{Description, FORM, MAX_DESCRIPTION, MAX_NODES, check};

/// Why bytes are no description. Nodes are given by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DescriptionError {
    /// It is longer than [`MAX_DESCRIPTION`].
    TooLong,
    /// It has a form that this program does not know.
    Form(u8),
    /// It has no node, or more than [`MAX_NODES`].
    NodeCount(u16),
    /// It ends inside a node, or before the first one.
    Short,
    /// There are bytes after the last node.
    Trailing,
    /// A node has an unknown tag.
    Tag(u16),
    /// A name is no UTF-8.
    Name(u16),
    /// A node's size or alignment is impossible, or a part of it lies outside, or overlaps another.
    Layout(u16),
    /// A node refers to one that does not exist.
    Reference(u16),
    /// An enum has no variants, or two with one discriminant.
    Discriminant(u16),
    /// The elements of a list, an array or an option have no size.
    EmptyElement(u16),
    /// A node's number is not the one in which it is first met, or it is not met at all.
    Order(u16),
    /// A value would contain itself without a pointer, or more than 64 others inside one another.
    Nesting,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a type's description is damaged: ")?;
        match self {
            Self::TooLong => write!(f, "it has more than {MAX_DESCRIPTION} bytes"),
            Self::Form(form) => write!(f, "its form {form} is unknown"),
            Self::NodeCount(count) => write!(f, "it claims {count} nodes"),
            Self::Short => write!(f, "it ends too early"),
            Self::Trailing => write!(f, "there are bytes after its last node"),
            Self::Tag(node) => write!(f, "node {node} is of an unknown kind"),
            Self::Name(node) => write!(f, "a name in node {node} is no UTF-8"),
            Self::Layout(node) => write!(f, "the layout of node {node} is impossible"),
            Self::Reference(node) => write!(f, "node {node} refers to a node that is not there"),
            Self::Discriminant(node) => {
                write!(f, "the variants of node {node} cannot be told apart")
            }
            Self::EmptyElement(node) => write!(f, "the elements of node {node} have no size"),
            Self::Order(node) => write!(f, "node {node} is out of order"),
            Self::Nesting => write!(f, "its values are nested without end"),
        }
    }
}

impl core::error::Error for DescriptionError {}

impl Description {
    /// Reads a description from any bytes, and checks all of it.
    ///
    /// # Errors
    ///
    /// The bytes are no description in canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DescriptionError> {
        if bytes.len() > MAX_DESCRIPTION {
            return Err(DescriptionError::TooLong);
        }
        let mut input = Input { reader: Reader::new(bytes), node: 0 };
        let form = input.u8()?;
        if form != FORM {
            return Err(DescriptionError::Form(form));
        }
        let count = input.u16()?;
        if !(1..=MAX_NODES).contains(&count) {
            return Err(DescriptionError::NodeCount(count));
        }
        let mut nodes = Vec::new();
        for number in 0..count {
            input.node = number;
            nodes.push(input.node()?);
        }
        if !input.reader.rest().is_empty() {
            return Err(DescriptionError::Trailing);
        }
        check::nodes(&nodes)?;
        Ok(Self { bytes: bytes.into(), nodes: nodes.into() })
    }
}

/// The bytes that are left, and the node that they belong to.
struct Input<'a> {
    reader: Reader<'a>,
    node: u16,
}

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DescriptionError> {
        let bytes = self.reader.take(N).ok_or(DescriptionError::Short)?;
        bytes.try_into().map_err(|_| DescriptionError::Short)
    }

    fn u8(&mut self) -> Result<u8, DescriptionError> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, DescriptionError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, DescriptionError> {
        self.take().map(u32::from_le_bytes)
    }

    fn id(&mut self) -> Result<NodeId, DescriptionError> {
        self.u16().map(NodeId::new)
    }

    fn text(&mut self) -> Result<Box<str>, DescriptionError> {
        let len = usize::from(self.u8()?);
        let bytes = self.reader.take(len).ok_or(DescriptionError::Short)?;
        let text = core::str::from_utf8(bytes).map_err(|_| DescriptionError::Name(self.node))?;
        Ok(text.into())
    }

    fn node(&mut self) -> Result<Node, DescriptionError> {
        let tag = self.u8()?;
        let size = self.u32()?;
        let align = self.u8()?;
        let shape = match tag {
            tag::OPTION => Shape::Option { value: self.id()?, offset: self.u32()? },
            tag::ARRAY => Shape::Array { element: self.id()?, count: self.u32()? },
            tag::LIST => Shape::List { element: self.id()? },
            tag::BOX => Shape::Box { target: self.id()? },
            tag::STRUCT => Shape::Struct { name: self.text()?, fields: self.fields()? },
            tag::ENUM => Shape::Enum { name: self.text()?, variants: self.variants()? },
            tag::OPAQUE => Shape::Opaque { name: self.text()? },
            other => {
                let scalar = Scalar::from_tag(other).ok_or(DescriptionError::Tag(self.node))?;
                Shape::Scalar(scalar)
            }
        };
        Ok(Node { size, align, shape })
    }

    fn fields(&mut self) -> Result<Box<[Field]>, DescriptionError> {
        (0..self.u16()?)
            .map(|_| Ok(Field { name: self.text()?, offset: self.u32()?, node: self.id()? }))
            .collect()
    }

    fn variants(&mut self) -> Result<Box<[Variant]>, DescriptionError> {
        (0..self.u16()?)
            .map(|_| {
                let name = self.text()?;
                Ok(Variant { name, discriminant: self.u8()?, fields: self.fields()? })
            })
            .collect()
    }
}
