//! Canonical JSON (RFC 8785) of the normalised event: what is hashed, and what an export writes.
//!
//! Our own writer because a general one costs ten times as much; `serde_jcs` is its oracle in the tests. One deviation: a number
//! that a double cannot hold keeps its literal (RFC 8785 would round it, and nothing may be lost).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::decode::{DATA_CONTENT_TYPE, DATA_SCHEMA, SPEC_VERSION};
use crate::event::{Attachment, Event};
use crate::event_type::carries_single_attachment;
use crate::json::{Json, Object};
use crate::time::write_us;

/// Appends the normalised event as canonical JSON: a CloudEvents object that ingest reads back as the same event.
pub fn write(event: &Event<'_>, out: &mut Vec<u8>) {
    match &event.extra {
        None => write_plain(event, out),
        Some(extra) => write_overlaid(event, extra, out),
    }
}

fn write_overlaid(event: &Event<'_>, extra: &str, out: &mut Vec<u8>) {
    let mut plain = Vec::with_capacity(512 + extra.len());
    write_plain(event, &mut plain);
    let plain = String::from_utf8_lossy(&plain);
    // Both texts are ours: the writer's, and the canonical one that decoding made. One that does not parse was tampered with; then
    // the text itself is shown where the overlay would be, and its hash betrays it.
    match (Json::parse(&plain), Json::parse(extra)) {
        (Ok(base), Ok(overlay)) => print(&overlaid(base, overlay), out),
        _ => print(
            &Json::Object(vec![(
                Cow::Borrowed("extra"),
                Json::String(Cow::Borrowed(extra)),
            )]),
            out,
        ),
    }
}

/// Lays `overlay` over `base`: objects merge, `null` takes away what the base has, everything else of the overlay wins.
fn overlaid<'a>(base: Json<'a>, overlay: Json<'a>) -> Json<'a> {
    match (base, overlay) {
        (Json::Object(base), Json::Object(overlay)) => {
            Json::Object(overlaid_members(base, overlay))
        }
        (_, overlay) => overlay,
    }
}

fn overlaid_members<'a>(mut base: Object<'a>, overlay: Object<'a>) -> Object<'a> {
    // What the fields give is a dozen members at most; what the overlay adds may be very many and is never searched.
    let mut added = Object::new();
    for (name, value) in overlay {
        match base.iter().position(|(n, _)| *n == name) {
            Some(i) if value == Json::Null => drop(base.remove(i)),
            Some(i) => {
                let under = std::mem::replace(&mut base[i].1, Json::Null);
                base[i].1 = overlaid(under, value);
                // What the fields give is never empty: it was emptied by a `null` just now.
                if base[i].1.is_blank() {
                    base.remove(i);
                }
            }
            None => added.push((name, value)),
        }
    }
    base.append(&mut added);
    base.sort_by(|(a, _), (b, _)| crate::json::member_order(a, b));
    base
}

/// The event without its overlay, members in canonical order.
fn write_plain(event: &Event<'_>, out: &mut Vec<u8>) {
    let mut w = ObjectWriter::open(out);
    write_data(event, &mut w);
    w.text("datacontenttype", Some(DATA_CONTENT_TYPE));
    w.text("dataschema", Some(DATA_SCHEMA));
    w.text("id", Some(&event.id));
    w.text("origin", Some(&event.origin));
    w.text("partitionkey", event.room.id.as_deref());
    w.name("sequence");
    w.out.push(b'"');
    write_sequence(event.sequence, w.out);
    w.out.push(b'"');
    w.text("source", Some(&event.source));
    w.text("specversion", Some(SPEC_VERSION));
    w.text("subject", event.room.id.as_deref());
    w.name("time");
    w.out.push(b'"');
    write_us(event.time_us, w.out);
    w.out.push(b'"');
    w.text("type", Some(&event.event_type));
    w.close();
}

fn write_data(event: &Event<'_>, w: &mut ObjectWriter<'_>) {
    let single = carries_single_attachment(&event.event_type);
    w.object("data", |w| {
        let (actor, message, room) = (&event.actor, &event.message, &event.room);
        w.object("actor", |w| {
            w.text("email", actor.email.as_deref());
            w.text("id", actor.id.as_deref());
            if let Some(internal) = actor.internal {
                w.literal("internal", if internal { "true" } else { "false" });
            }
            w.text("kind", actor.kind.as_deref());
            w.text("name", actor.name.as_deref());
            w.text("uri", actor.uri.as_deref());
        });
        if let (true, Some(file)) = (single, event.attachments.first()) {
            w.object("attachment", |w| write_attachment(file, w));
        }
        w.object("message", |w| {
            if !single && !event.attachments.is_empty() {
                w.name("attachments");
                write_attachments(&event.attachments, w.out);
            }
            w.text("body", message.body.as_deref());
            w.text("id", message.id.as_deref());
            w.text("kind", message.kind.as_deref());
            w.text("reply_to", message.reply_to.as_deref());
            w.text("title", message.title.as_deref());
        });
        if let Some(raw) = &event.raw {
            w.text("raw", Some(&BASE64.encode(raw)));
        }
        w.object("room", |w| {
            w.text("category", room.category.as_deref());
            w.text("id", room.id.as_deref());
            w.text("name", room.name.as_deref());
        });
        if let Some(room_seq) = event.room_seq {
            w.literal("room_seq", itoa::Buffer::new().format(room_seq));
        }
    });
}

fn write_attachments(files: &[Attachment<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, file) in files.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let mut w = ObjectWriter::open(out);
        write_attachment(file, &mut w);
        w.close();
    }
    out.push(b']');
}

fn write_attachment(file: &Attachment<'_>, w: &mut ObjectWriter<'_>) {
    w.text("id", file.id.as_deref());
    w.text("media_type", file.media_type.as_deref());
    w.text("name", file.name.as_deref());
    w.text("sha256", file.sha256.as_deref());
    if let Some(size) = file.size {
        w.literal("size", itoa::Buffer::new().format(size));
    }
}

/// Writes members as the caller orders them; an absent one and an object that stays empty leave no trace.
struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> ObjectWriter<'o> {
    fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        self.out
            .extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.name(name);
            write_string(text, self.out);
        }
    }

    fn literal(&mut self, name: &str, literal: &str) {
        self.name(name);
        self.out.extend_from_slice(literal.as_bytes());
    }

    fn object(&mut self, name: &str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        let (before, was_first) = (self.out.len(), self.first);
        self.name(name);
        let mut inner = ObjectWriter::open(self.out);
        members(&mut inner);
        if inner.first {
            self.out.truncate(before);
            self.first = was_first;
        } else {
            inner.close();
        }
    }
}

/// Appends the 20 digits of a sequence.
fn write_sequence(sequence: u64, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(sequence).as_bytes();
    out.extend_from_slice(&b"00000000000000000000"[digits.len()..]);
    out.extend_from_slice(digits);
}

/// Appends a value whose members are already in canonical order, as parsing and normalisation leave them.
pub(crate) fn print(json: &Json<'_>, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(n) => out.extend_from_slice(n.as_bytes()),
        Json::String(s) => write_string(s, out),
        Json::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                print(element, out);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                print(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Appends a JSON string, escaped as RFC 8785 section 3.2.2.2 says.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (clean, from) = rest.split_at(clean_len(rest));
        out.extend_from_slice(clean);
        let Some((byte, after)) = from.split_first() else {
            break;
        };
        write_escaped(*byte, out);
        rest = after;
    }
    out.push(b'"');
}

/// Bytes before the first one that has to be escaped. Nearly all text has none, so blocks are looked at as wholes, for which
/// the compiler uses vector instructions.
fn clean_len(bytes: &[u8]) -> usize {
    let has = |block: &[u8; BLOCK]| block.iter().fold(false, |has, b| has | is_escaped(*b));
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let clean = blocks.iter().take_while(|block| !has(block)).count() * BLOCK;
    let within = bytes[clean..].iter().position(|b| is_escaped(*b));
    within.map_or(bytes.len(), |within| clean + within)
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => out.extend_from_slice(&[
            b'\\',
            b'u',
            b'0',
            b'0',
            HEX[usize::from(byte >> 4)],
            HEX[usize::from(byte & 15)],
        ]),
    }
}
