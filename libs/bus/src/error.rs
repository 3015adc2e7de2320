//! What can go wrong.

use tonic::Code;

/// Why the bus could not be set up or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A topic that is unknown, given twice or of another service.
    #[error("{0}")]
    Topic(String),
    /// A setting that makes no sense.
    #[error("{0}")]
    Config(String),
    /// Kafka failed, or cannot be reached.
    #[error("Kafka: {0}")]
    Kafka(String),
    /// The database failed.
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
    /// Something that the event needs is away for a while: tried again for as long as it takes.
    #[error("{0}")]
    Transient(String),
    /// It did not work; it is tried again a few times, then parked.
    #[error("{0}")]
    Retry(String),
    /// It will never work: parked at once.
    #[error("{0}")]
    Park(String),
}

impl Fault {
    /// A fault that trying again may mend.
    pub fn retry(cause: impl std::fmt::Display) -> Self {
        Fault::Retry(cause.to_string())
    }

    /// A fault that trying again cannot mend.
    pub fn park(cause: impl std::fmt::Display) -> Self {
        Fault::Park(cause.to_string())
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
