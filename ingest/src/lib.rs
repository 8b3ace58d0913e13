//! Events from Kafka, an outbox or JSON lines into segments and splits, one commit at a time.
