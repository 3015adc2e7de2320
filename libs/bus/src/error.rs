//! Errors of the bus, and faults of handlers.

use tonic::Code;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A topic is unknown, listed twice or owned by another service; or its content is not what it should be.
    #[error("{0}")]
    Topic(String),
    /// A setting is invalid; the text starts with its key.
    #[error("{0}")]
    Config(String),
    /// Kafka failed or is unreachable.
    #[error("Kafka: {0}")]
    Kafka(String),
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl From<rdkafka::error::KafkaError> for Error {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        Error::Kafka(error.to_string())
    }
}

/// Why a handler did not apply an event. Its transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A dependency is temporarily unavailable: retried without limit.
    #[error("{0}")]
    Transient(String),
    /// Retried up to [`Retry::attempts`](crate::Retry::attempts) times; then the event becomes a dead letter.
    #[error("{0}")]
    Retry(String),
    /// The event becomes a dead letter without retries.
    #[error("{0}")]
    Permanent(String),
    /// The content is not what the type requires. The event becomes a dead letter without retries, which does not block
    /// its key: such a message does not come from the producer of the topic.
    #[error("{0}")]
    Undecodable(String),
}

impl Fault {
    /// A [`Fault::Retry`] with the text of `cause`.
    pub fn retry(cause: impl std::fmt::Display) -> Self {
        Fault::Retry(cause.to_string())
    }

    /// A [`Fault::Permanent`] with the text of `cause`.
    pub fn permanent(cause: impl std::fmt::Display) -> Self {
        Fault::Permanent(cause.to_string())
    }

    /// A [`Fault::Undecodable`] with the text of `cause`.
    pub fn undecodable(cause: impl std::fmt::Display) -> Self {
        Fault::Undecodable(cause.to_string())
    }

    /// Whether retrying cannot help.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Fault::Permanent(_) | Fault::Undecodable(_))
    }

    /// Whether the dead letter holds back the later events of its key.
    pub(crate) fn blocks_key(&self) -> bool {
        !matches!(self, Fault::Undecodable(_))
    }
}

impl From<db::Error> for Fault {
    fn from(error: db::Error) -> Self {
        match error.is_transient() {
            true => Fault::Transient(error.to_string()),
            false => Fault::Retry(error.to_string()),
        }
    }
}

/// For handlers that call another service.
impl From<tonic::Status> for Fault {
    fn from(status: tonic::Status) -> Self {
        let text = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted => Fault::Transient(text),
            _ => Fault::Retry(text),
        }
    }
}
