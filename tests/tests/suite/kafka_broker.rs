//! The broker of the tests is a real one: what is produced can be consumed, in order, and topics come and go.

use std::time::{Duration, Instant};

use holdfast_tests::kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};

#[tokio::test]
async fn records_produced_are_consumed_in_order_also_large_ones() {
    let broker = Broker::shared();
    let topic = broker.topic(1).await;
    let producer = topic.producer();
    let large = vec![b'x'; 3 * 1024 * 1024];
    for payload in [b"1".as_slice(), &large, b"3"] {
        producer.send(Some(0), "key", payload);
    }
    producer.flush();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "broker-test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&topic.name]).unwrap();
    let mut lengths = Vec::new();
    let begin = Instant::now();
    while lengths.len() < 3 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "only {lengths:?} within a minute"
        );
        // Nothing may come of a poll: the consumer's own events end it too.
        if let Some(record) = consumer.poll(Duration::from_secs(1)) {
            lengths.push(record.unwrap().payload().map_or(0, <[u8]>::len));
        }
    }
    assert_eq!(lengths, [1, large.len(), 1]);
    consumer.unsubscribe();
}
