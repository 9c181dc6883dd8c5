//! From any bytes to nodes.

use crate::bytes::Reader;

use super::error::DescriptionError;
use super::shape::{Field, Node, NodeId, Scalar, Shape, Variant};
use super::write::tag;
use super::{Description, FORM, MAX_DESCRIPTION, MAX_NODES, check};

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
