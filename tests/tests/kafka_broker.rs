//! The broker of the tests is a real one: what is produced can be consumed, in order, and topics come and go.

use std::time::Duration;

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
    for expected in [1, large.len(), 1] {
        let record = consumer
            .poll(Duration::from_secs(30))
            .expect("a record within 30 s")
            .unwrap();
        assert_eq!(record.payload().map(<[u8]>::len), Some(expected));
    }
    consumer.unsubscribe();
}
