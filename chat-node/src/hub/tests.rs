//! CH-2 in one room: whatever order entries are brought in, and however often, each subscriber gets each once, in order.

use std::sync::Arc;

use futures::FutureExt;
use proptest::prelude::*;

use super::{Arrival, Farewell, Hub, Listener, Outlet, Published};
use crate::limits::FRAMES_QUEUED_MAX;
use crate::model::{Caller, Person};
use crate::rules::Principal;
use crate::wire::SharedFrame;

/// Without a wire, what is sent stays queued until the connection's task takes it.
type Queue = Arc<Outlet>;

fn listener(connection: u64, user: &str) -> (Listener, Queue) {
    let caller = Caller {
        person: Person::unknown(user),
        principal: Principal::default(),
        administrator: false,
        expires_us: 0,
    };
    let outlet = Outlet::new(None);
    let queue = Arc::clone(&outlet);
    (
        Listener {
            connection,
            outlet,
            caller: Arc::new(caller),
            session: format!("s-{connection}").into(),
            endpoint: None,
        },
        queue,
    )
}

fn frame(seq: i64) -> SharedFrame {
    SharedFrame::from(seq.to_string().as_str())
}

fn received(queue: &Queue) -> Vec<i64> {
    std::iter::from_fn(|| queue.take())
        .map(|frame| frame.text().parse().unwrap())
        .collect()
}

/// What a repair does, with `through` as SQL's truth.
fn repair(hub: &Hub, through: i64) {
    loop {
        let state = hub.repair_state("r").unwrap();
        hub.judged("r", 1_000);
        hub.deliver_repaired(
            "r",
            (state.last_seq + 1..=through)
                .map(|seq| (seq, frame(seq)))
                .collect(),
        );
        if hub.end_repair("r", through) {
            return;
        }
    }
}

#[test]
fn ch2_the_next_is_delivered_a_repeat_ignored_a_gap_repaired() {
    let hub = Hub::default();
    assert_eq!(
        hub.publish("r", 1, 1, || frame(1)),
        Published::NobodyListens
    );
    let (one, queue) = listener(1, "u-1");
    assert_eq!(
        hub.join("r", 4, 1, one),
        Arrival {
            first_here: true,
            new_participant: true,
            participants: 1
        }
    );
    assert_eq!(hub.publish("r", 5, 1, || frame(5)), Published::Done);
    assert!(
        received(&queue).is_empty(),
        "not live yet: it reads from SQL"
    );
    assert!(
        !hub.go_live("r", 1, 4),
        "entry 5 was delivered meanwhile: read on"
    );
    assert!(hub.go_live("r", 1, 5));
    assert_eq!(hub.publish("r", 5, 1, || frame(5)), Published::Done);
    assert_eq!(hub.publish("r", 6, 1, || frame(6)), Published::Done);
    assert_eq!(hub.publish("r", 9, 1, || frame(9)), Published::Repair);
    assert_eq!(
        hub.publish("r", 10, 1, || frame(10)),
        Published::Done,
        "the repair that runs brings it"
    );
    assert_eq!(received(&queue), [6]);
    repair(&hub, 10);
    assert_eq!(received(&queue), [7, 8, 9, 10]);
    assert_eq!(hub.publish("r", 11, 1, || frame(11)), Published::Done);
    assert_eq!(received(&queue), [11]);
}

#[test]
fn nothing_is_delivered_under_a_newer_epoch_before_listeners_are_judged() {
    let hub = Hub::default();
    let (one, one_queue) = listener(1, "u-1");
    let (two, two_queue) = listener(2, "u-2");
    hub.join("r", 0, 1, one);
    hub.join("r", 0, 1, two);
    assert!(hub.go_live("r", 1, 0) && hub.go_live("r", 2, 0));
    assert_eq!(hub.publish("r", 1, 2, || frame(1)), Published::Repair);
    assert_eq!(hub.repair_state("r").unwrap().judged_epoch, 1);
    assert!(!hub.end_repair("r", 0), "not before they are judged");
    let left = hub.leave("r", 2).unwrap();
    assert!(left.participant_gone && !left.last_here);
    hub.judged("r", 2);
    hub.deliver_repaired("r", vec![(1, frame(1))]);
    assert!(hub.end_repair("r", 1));
    assert_eq!(
        (received(&one_queue), received(&two_queue)),
        (vec![1], vec![])
    );
    assert!(hub.leave("r", 1).unwrap().last_here);
    assert!(hub.leave("r", 1).is_none());
}

#[test]
fn whoever_is_dismissed_hears_nothing_and_is_taken_out_once() {
    let hub = Hub::default();
    let (one, one_queue) = listener(1, "u-1");
    let (two, two_queue) = listener(2, "u-2");
    hub.join("r", 0, 1, one);
    hub.join("r", 0, 1, two);
    assert!(hub.arrived("r", 1) && hub.arrived("r", 2));
    assert!(hub.go_live("r", 1, 0) && hub.go_live("r", 2, 0));
    assert_eq!(&*hub.dismiss("r", 2).unwrap().session, "s-2");
    assert!(hub.dismiss("r", 2).is_none(), "somebody does it already");
    assert!(
        hub.leave("r", 2).is_none(),
        "and it is not its own any more"
    );
    assert!(hub.holds("r", 2) && !hub.listens("r", 2) && !hub.go_live("r", 2, 5));
    assert_eq!(hub.publish("r", 1, 1, || frame(1)), Published::Done);
    hub.tell("r", None, &frame(7));
    assert_eq!(
        (received(&one_queue), received(&two_queue)),
        (vec![1, 7], vec![])
    );
    assert_eq!(hub.repair_state("r").unwrap().listeners.len(), 1);
    let left = hub.leave_dismissed("r", 2).unwrap();
    assert!(left.participant_gone && left.participants == 1);
    assert!(!hub.holds("r", 2) && hub.leave_dismissed("r", 2).is_none());
    // Whoever leaves by itself cannot be dismissed.
    assert!(hub.leave_dismissed("r", 1).is_none());
    assert!(hub.leave("r", 1).unwrap().last_here);
    assert!(hub.dismiss("r", 1).is_none());
}

#[test]
fn whoever_is_dismissed_while_arriving_leaves_by_itself() {
    let hub = Hub::default();
    let (one, _queue) = listener(1, "u-1");
    hub.join("r", 0, 1, one);
    assert!(hub.dismiss("r", 1).is_none(), "its join is not written");
    assert!(!hub.listens("r", 1) && !hub.arrived("r", 1));
    assert!(hub.leave_dismissed("r", 1).is_none());
    assert!(hub.leave("r", 1).unwrap().last_here);
}

#[test]
fn a_full_queue_ends_its_connection_and_no_other() {
    let hub = Hub::default();
    // Nobody takes anything out of the first one's queue.
    let (slow, _queue) = listener(1, "u-1");
    let (quick, quick_queue) = listener(2, "u-2");
    let (slow_outlet, quick_outlet) = (Arc::clone(&slow.outlet), Arc::clone(&quick.outlet));
    hub.join("r", 0, 1, slow);
    hub.join("r", 0, 1, quick);
    assert!(hub.go_live("r", 1, 0) && hub.go_live("r", 2, 0));
    for seq in 1..=i64::try_from(FRAMES_QUEUED_MAX).unwrap() + 1 {
        hub.publish("r", seq, 1, || frame(seq));
        assert_eq!(received(&quick_queue), [seq]);
    }
    assert_eq!(slow_outlet.farewell(), Some(Farewell::Slow));
    assert!(slow_outlet.is_ended() && slow_outlet.ended().now_or_never().is_some());
    assert!(!quick_outlet.is_ended() && quick_outlet.ended().now_or_never().is_none());
}

proptest! {
    #[test]
    fn ch2_holds_for_any_order_of_deliveries(order in proptest::collection::vec(1..=40_i64, 1..200), joins_at in 0..200_usize) {
        let hub = Hub::default();
        let (first, queue) = listener(1, "u-1");
        hub.join("r", 0, 1, first);
        prop_assert!(hub.go_live("r", 1, 0));
        let (mut committed, mut seen, mut late) = (0, Vec::new(), None);
        let mut late_seen = Vec::new();
        for (step, seq) in order.iter().enumerate() {
            committed = committed.max(*seq);
            if hub.publish("r", *seq, 1, || frame(*seq)) == Published::Repair {
                repair(&hub, committed);
            }
            seen.extend(received(&queue));
            if step == joins_at {
                // Joins, reads what SQL holds, becomes live.
                let (listener, late_queue) = listener(2, "u-2");
                hub.join("r", committed, 1, listener);
                late_seen.extend(1..=committed);
                prop_assert!(hub.go_live("r", 2, committed));
                late_seen.extend(received(&late_queue));
                late = Some(late_queue);
            }
            if let Some(queue) = &late {
                late_seen.extend(received(queue));
            }
        }
        prop_assert_eq!(seen, (1..=committed).collect::<Vec<i64>>());
        if late.is_some() {
            prop_assert_eq!(late_seen, (1..=committed).collect::<Vec<i64>>());
        }
    }
}
