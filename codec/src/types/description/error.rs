//! Why bytes are no description.

use core::fmt;

use super::MAX_DESCRIPTION;

/// Why bytes are no description. Nodes are given by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DescriptionError {
    /// It is longer than [`MAX_DESCRIPTION`].
    TooLong,
    /// It has a form that this program does not know.
    Form(u8),
    /// It has no node, or more than [`MAX_NODES`](super::MAX_NODES).
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
