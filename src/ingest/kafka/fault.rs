//! Which of Kafka's errors pass by themselves, and what to do about those that do not.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{Error, Kind};

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::invalid("KAFKA", message)
}

pub(super) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(Kind::Unavailable, "KAFKA", message)
}

/// A partition that cannot be read on; `None` of what librdkafka retries until it goes.
pub(super) fn lasting(error: &KafkaError, partition: &str, next: i64) -> Option<Error> {
    let (code, fatal) = match error {
        KafkaError::MessageConsumption(code) => (*code, false),
        KafkaError::MessageConsumptionFatal(code) => (*code, true),
        _ => return None,
    };
    Some(match code {
        Code::OffsetOutOfRange | Code::AutoOffsetReset => invalid(format!(
            "{partition} has no record at offset {next} any more, or not yet: it was cut off by retention, or \
             the topic was made anew. Start without saved offsets, which loads what there is"
        )),
        Code::LogTruncation => invalid(format!(
            "{partition} was truncated below offset {next}, whose records were already applied: an unclean \
             election lost them. Start without saved offsets, which loads what there is"
        )),
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::UnknownTopicId => invalid(format!(
            "{partition} is not in the cluster any more: the topic was deleted or made anew. Start anew, \
                 which loads what there is"
        )),
        Code::TopicAuthorizationFailed => unavailable(format!(
            "{partition} may not be read: give this client's principal the operations READ and DESCRIBE on it"
        )),
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => unavailable(format!(
            "{partition} has a damaged record at offset {next} or behind it: its checksum or compression is \
             wrong. Restore the broker's log, or delete the records up to it"
        )),
        Code::MessageSizeTooLarge => invalid(format!(
            "{partition} has a record at offset {next} that is larger than may be received: set \
             receive.message.max.bytes higher"
        )),
        other if fatal => unavailable(format!("{partition} cannot be read on from offset {next}: {other}")),
        _ => return None,
    })
}
