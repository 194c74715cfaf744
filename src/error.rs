//! The one error of the public surface: its kind says what the caller can do next.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request names or says something that does not exist or does not fit: change it.
    Invalid,
    /// The request is sound, but this build cannot do it: ask for something else.
    Unsupported,
    /// Not there now: try again later.
    Unavailable,
    /// A bound of [`crate::limits`] was reached: ask for less, or later.
    Overloaded,
    /// The data cannot be computed with: mend the record or rate the message names.
    Data,
    /// A defect of this engine: report it.
    Internal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    /// A stable word for machines, such as `UNKNOWN_FIELD`; the protocol's reject codes are among them.
    pub code: &'static str,
    pub message: String,
}

impl Error {
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Error { kind, code, message: message.into() }
    }

    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, code, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Error::new(Kind::Unsupported, "BAD_SPEC", message)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Error::new(Kind::Data, "DATA", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, "INTERNAL", message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<datafusion::error::DataFusionError> for Error {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Error::internal(error.strip_backtrace())
    }
}
