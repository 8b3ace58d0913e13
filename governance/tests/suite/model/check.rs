//! What must hold whenever everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use holdfast_archive::Segment;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_governance::disposition::kept::Out;
use holdfast_governance::ledger::State;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::event_type as t;
use holdfast_schemas::hash::event_hash;

use super::events::{DAY_US, Made};
use super::world::Process;

/// An acknowledged hold of the model.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) name: String,
    pub(crate) of: Of,
    pub(crate) released: bool,
    /// What it covered for good while it was there ([`lasts`]).
    pub(crate) must_keep: BTreeSet<u64>,
    /// What was purged before it was acknowledged.
    pub(crate) acknowledged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Room(u64),
    User(u64),
    Word,
    /// Not a hold: a policy that keeps what happened in a room for a thousand days.
    Kept(u64),
}

/// For how long the policies of rooms keep.
pub(crate) const KEPT_DAYS: i64 = 1000;

/// What was found at the last rest.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rest {
    pub(crate) live: BTreeSet<u64>,
    pub(crate) out: BTreeSet<u64>,
}

/// Sequences of the rows of a segment, in their order; every row is what was made.
async fn sequences(
    process: &Process,
    segment: &Segment,
    made: &BTreeMap<u64, Made>,
) -> Vec<(u64, i64)> {
    let reader = SegmentReader::open(&process.archive, segment)
        .await
        .unwrap();
    let options = ReadOptions {
        with_row_versions: true,
        ..ReadOptions::default()
    };
    let batches: Vec<_> = reader.read(&options).unwrap().try_collect().await.unwrap();
    let mut found = Vec::new();
    let mut scratch = Vec::new();
    for batch in &batches {
        let rows = Rows::new(batch).unwrap();
        let ids = batch.column_by_name("_row_id").unwrap();
        let ids = ids
            .as_any()
            .downcast_ref::<arrow::array::Int64Array>()
            .unwrap();
        for place in 0..rows.len() {
            let event = rows.event(place);
            let expected = made[&event.sequence].row();
            assert_eq!(
                event_hash(&event, &mut scratch),
                event_hash(&expected.event, &mut scratch),
                "event {} was changed",
                event.sequence
            );
            found.push((event.sequence, ids.value(place)));
        }
    }
    found
}

pub(crate) async fn rest(process: &Process, made: &BTreeMap<u64, Made>) -> Rest {
    let snapshot = process.archive.snapshot().await.unwrap();
    let mut rest = Rest::default();
    for segment in snapshot.segments().await.unwrap().iter() {
        for (seq, _) in sequences(process, segment, made).await {
            assert!(rest.live.insert(seq), "event {seq} is there twice");
        }
    }
    for (_, out) in Out::all(&process.archive, &snapshot).await.unwrap() {
        for segment in &out.segments {
            for (seq, id) in sequences(process, &segment.segment(), made).await {
                if out.rows.contains(id.unsigned_abs()) {
                    assert!(rest.out.insert(seq), "event {seq} is out twice");
                    assert!(!rest.live.contains(&seq), "event {seq} is out and there");
                }
            }
        }
    }
    rest
}

/// Sessions of a user: room, from, to.
fn sessions(user: u64, known: &BTreeSet<u64>, made: &BTreeMap<u64, Made>) -> Vec<(u64, i64, i64)> {
    let of = |event_type: &str| {
        let events = known
            .iter()
            .map(|seq| &made[seq])
            .filter(move |event| event.user == user);
        let events = events.filter(move |event| event.event_type == event_type);
        events
            .map(|event| (event.session, (event.room, event.time_us)))
            .collect::<BTreeMap<_, _>>()
    };
    let (joined, left) = (of(t::ROOM_JOINED), of(t::ROOM_LEFT));
    let all: BTreeSet<u64> = joined.keys().chain(left.keys()).copied().collect();
    all.into_iter()
        .map(|session| {
            let room = joined
                .get(&session)
                .or_else(|| left.get(&session))
                .unwrap()
                .0;
            let from = joined.get(&session).map_or(i64::MIN, |(_, time)| *time);
            (
                room,
                from,
                left.get(&session).map_or(i64::MAX, |(_, time)| *time),
            )
        })
        .collect()
}

/// Whether a hold covers an event, as the words say it.
fn covers(of: Of, event: &Made, sessions: &[(u64, i64, i64)], now_us: i64) -> bool {
    match of {
        Of::Room(room) => event.room == room,
        // A day less: a period ends with its last day.
        Of::Kept(room) => {
            event.room == room
                && event.is_content()
                && event.time_us > now_us - (KEPT_DAYS - 1) * DAY_US
        }
        Of::Word => event.is_content() && event.body.starts_with("keepme"),
        Of::User(user) => {
            event.user == user
                || sessions.iter().any(|(room, from, to)| {
                    event.room == *room && (*from..=*to).contains(&event.time_us)
                })
        }
    }
}

/// Whether an event stays covered whatever is archived later. What a custodian could see of a room that they are not known
/// to have left, or to have joined, is so only once a disposition has written it down: the other record may come yet.
fn lasts(hold: &Hold, event: &Made, sessions: &[(u64, i64, i64)], state: &State) -> bool {
    let Of::User(user) = hold.of else {
        return true;
    };
    let known = sessions.iter().any(|(room, from, to)| {
        let whole = *from != i64::MIN && *to != i64::MAX;
        whole && event.room == *room && (*from..=*to).contains(&event.time_us)
    });
    let room = format!("r-{}", event.room);
    let has = |(from, to): &(Option<i64>, Option<i64>)| {
        (from.unwrap_or(i64::MIN)..=to.unwrap_or(i64::MAX)).contains(&event.time_us)
    };
    let expansions = state.holds.get(&hold.name).map(|held| &held.expansions);
    let mut seen = expansions.into_iter().flatten().flat_map(|one| &one.seen);
    event.user == user
        || known
        || seen.any(|seen| seen.room == room && seen.spans_us.iter().any(has))
}

/// All promises, after everything has come to rest. `evaluated`: the last thing that happened was a run, which saw
/// everything that is there.
pub(crate) async fn all(
    process: &Process,
    made: &BTreeMap<u64, Made>,
    before: &Rest,
    holds: &mut [Hold],
    evaluated: bool,
    now_us: i64,
) -> Rest {
    let rest = rest(process, made).await;
    let state = process.ledger.refresh().await.unwrap();
    assert!(
        state.open_intents().is_empty(),
        "an intent without an end: {:?}",
        state.open_intents()
    );
    accounted(process, &rest, &state).await;
    families(made, before, &rest, now_us);
    records(made, before, &rest);
    let known: BTreeSet<u64> = rest.live.union(&rest.out).copied().collect();
    // What was purged since then explained what went with it.
    let once: BTreeSet<u64> = before.live.union(&before.out).copied().collect();
    let once: BTreeSet<u64> = once.union(&known).copied().collect();
    for hold in holds.iter_mut().filter(|hold| !hold.released) {
        let of_user = match hold.of {
            Of::User(user) => sessions(user, &once, made),
            Of::Room(_) | Of::Word | Of::Kept(_) => Vec::new(),
        };
        let covered: BTreeSet<u64> = known
            .iter()
            .filter(|seq| covers(hold.of, &made[*seq], &of_user, now_us))
            .copied()
            .collect();
        if hold.acknowledged {
            let gone = before.live.difference(&rest.live);
            let gone: Vec<_> = gone
                .filter(|seq| covers(hold.of, &made[*seq], &of_user, now_us))
                .collect();
            assert!(
                gone.is_empty(),
                "HO-1: hold {} ({:?}) covers {gone:?}, which went",
                hold.name,
                hold.of
            );
        } else {
            hold.acknowledged = true;
            let out: Vec<_> = covered.intersection(&rest.out).collect();
            // A policy keeps what is there; only a hold brings back what is out.
            assert!(
                out.is_empty() || matches!(hold.of, Of::Kept(_)),
                "hold {} was acknowledged while {out:?} were out",
                hold.name
            );
        }
        let there = covered.intersection(&rest.live).copied();
        let (lasting, passing): (Vec<u64>, Vec<u64>) =
            there.partition(|seq| lasts(hold, &made[seq], &of_user, &state));
        assert!(
            !evaluated || passing.is_empty(),
            "hold {} ({:?}) covers {passing:?}, which a run did not write down",
            hold.name,
            hold.of
        );
        hold.must_keep.extend(lasting);
        let missing: Vec<_> = hold.must_keep.difference(&rest.live).collect();
        assert!(
            missing.is_empty(),
            "HO-1: hold {} ({:?}) misses {missing:?}",
            hold.name,
            hold.of
        );
    }
    rest
}

/// Nothing left without an entry and its certificate.
async fn accounted(process: &Process, rest: &Rest, state: &State) {
    let snapshot = process.archive.snapshot().await.unwrap();
    let account =
        holdfast_governance::disposition::account::account(&process.archive, &snapshot, state);
    let account = account.await.unwrap();
    assert!(account.problems.is_empty(), "LE-1: {:?}", account.problems);
    let removed = account.removed.get(super::events::ORIGIN);
    let listed: BTreeSet<u64> = removed
        .into_iter()
        .flatten()
        .map(|one| one.sequence)
        .collect();
    let there: Vec<_> = listed.intersection(&rest.live).collect();
    assert!(
        there.is_empty(),
        "{there:?} are there and certified as gone"
    );
    let set = snapshot.origin_set(super::events::ORIGIN).await.unwrap();
    for seq in set.iter().filter(|seq| !rest.live.contains(seq)) {
        assert!(listed.contains(&seq), "event {seq} is gone and in no list");
    }
}

/// A family leaves whole, and only when its newest content is due.
fn families(made: &BTreeMap<u64, Made>, before: &Rest, rest: &Rest, now_us: i64) {
    let mut families: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for seq in &before.live {
        if let Some(message) = made[seq].message {
            families.entry(message).or_default().push(*seq);
        }
    }
    for (message, parts) in families {
        let left: Vec<_> = parts
            .iter()
            .filter(|seq| !rest.live.contains(seq))
            .collect();
        assert!(
            left.is_empty() || left.len() == parts.len(),
            "family {message} was torn: {left:?} of {parts:?}"
        );
        let young = parts
            .iter()
            .map(|seq| &made[seq])
            .any(|event| event.is_content() && event.time_us > now_us - 365 * DAY_US);
        assert!(
            left.is_empty() || !young,
            "RE-1: family {message} went although its newest content is young"
        );
    }
}

/// A record of who was where outlives what happened meanwhile.
fn records(made: &BTreeMap<u64, Made>, before: &Rest, rest: &Rest) {
    for seq in before.live.difference(&rest.live) {
        let record = &made[seq];
        if !matches!(record.event_type, t::ROOM_JOINED | t::ROOM_LEFT) {
            continue;
        }
        for (room, from, to) in sessions(record.user, &before.live, made) {
            let is_it = from == record.time_us || to == record.time_us;
            let explained = rest
                .live
                .iter()
                .filter(|seq| before.live.contains(seq))
                .map(|seq| &made[seq]);
            let explained = explained.filter(|event| {
                event.message.is_some()
                    && event.room == room
                    && (from..=to).contains(&event.time_us)
            });
            let explained: Vec<u64> = explained.map(|event| event.seq).collect();
            assert!(
                !is_it || explained.is_empty(),
                "record {seq} went before what it explains: {explained:?}"
            );
        }
    }
}
