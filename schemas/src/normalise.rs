//! The thorough way from JSON to the normalised event: known members to fields, everything else to `extra`.
//!
//! `extra` is an object laid over the event that the fields rebuild (see [`crate::canonical`]): its members win, objects merge, and a
//! `null` takes away a member that the fields would give. So whatever a field cannot say is kept where it was.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::canonical;
use crate::decode::{DATA_CONTENT_TYPE, DATA_SCHEMA, SPEC_VERSION, is_uuid, is_uuid_v7, sequence};
use crate::event::{Actor, Attachment, Event, Message, Room};
use crate::event_type::{self, QUARANTINED};
use crate::json::{DecodeError, Json, Object, join, member_order};
use crate::time::parse_rfc3339;

/// Attribute that keeps the producer's spelling of `time` when UTC microseconds say less.
pub(crate) const ORIGINAL_TIME: &str = "originaltime";

type Result<T> = std::result::Result<T, DecodeError>;

pub(crate) fn event<'a>(json: Json<'a>) -> Result<Event<'a>> {
    let Json::Object(members) = json else {
        return Err(DecodeError::new(
            "",
            format!("expected an object, found {}", json.kind()),
        ));
    };
    let mut envelope = Members {
        members,
        place: String::new(),
        strict: true,
    };
    let event_type = envelope.required("type")?;
    let known = event_type::known(&event_type);
    check_spec_version(&mut envelope)?;
    let mut event = Event {
        id: id(envelope.required("id")?, &event_type)?,
        source: envelope.required("source")?,
        origin: envelope.required("origin")?,
        sequence: read_sequence(&envelope.required("sequence")?)?,
        ..Event::default()
    };
    let mut extra = Extra::default();
    event.time_us = time(&mut envelope, &mut extra)?;
    let subject = envelope.text("subject")?;
    if known.is_some_and(|t| t.room_bound) && subject.is_none() {
        return Err(DecodeError::new(
            "subject",
            format!("required for {event_type}: the room's id"),
        ));
    }
    let mut data_extra = data(&mut envelope, &event_type, known.is_some(), &mut event)?;
    if event.room.id.is_none() && known.is_some_and(|t| t.room_bound) {
        // The subject names the room; the overlay says that `data.room.id` was not there.
        event.room.id.clone_from(&subject);
        data_extra.overlay_room_id_absent();
    }
    let room_id = event.room.id.clone();
    extra.unless("subject", subject, room_id.as_deref());
    extra.unless(
        "partitionkey",
        envelope.text("partitionkey")?,
        room_id.as_deref(),
    );
    extra.unless(
        "datacontenttype",
        envelope.text("datacontenttype")?,
        Some(DATA_CONTENT_TYPE),
    );
    extra.unless(
        "dataschema",
        envelope.text("dataschema")?,
        Some(DATA_SCHEMA),
    );
    extra.rest(envelope.members)?;
    extra.data(data_extra);
    event.event_type = event_type;
    event.extra = extra.print();
    Ok(event)
}

fn check_spec_version(envelope: &mut Members<'_>) -> Result<()> {
    let version = envelope.required("specversion")?;
    if version == SPEC_VERSION {
        return Ok(());
    }
    Err(DecodeError::new(
        "specversion",
        format!("expected \"{SPEC_VERSION}\", found \"{version}\""),
    ))
}

fn id<'a>(id: Cow<'a, str>, event_type: &str) -> Result<Cow<'a, str>> {
    let id = if id.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(id.to_ascii_lowercase())
    } else {
        id
    };
    // Ingest's own rows carry a UUIDv8 derived from their position; they come back in when an export is read again.
    if is_uuid_v7(&id) || (event_type == QUARANTINED && is_uuid(&id, b'8')) {
        return Ok(id);
    }
    Err(DecodeError::new(
        "id",
        "expected a UUIDv7 such as 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001",
    ))
}

fn read_sequence(text: &str) -> Result<u64> {
    sequence(text).ok_or_else(|| {
        DecodeError::new(
            "sequence",
            "expected 20 digits, zero-padded, from 00000000000000000001",
        )
    })
}

fn time<'a>(envelope: &mut Members<'a>, extra: &mut Extra<'a>) -> Result<i64> {
    let text = envelope.required("time")?;
    let time = parse_rfc3339(&text).map_err(|e| DecodeError::new("time", e.to_string()))?;
    if time.lossy {
        if envelope
            .members
            .iter()
            .any(|(name, _)| name == ORIGINAL_TIME)
        {
            return Err(DecodeError::new(
                ORIGINAL_TIME,
                "this attribute keeps the spelling of a time that UTC microseconds cannot hold",
            ));
        }
        extra
            .0
            .push((Cow::Borrowed(ORIGINAL_TIME), Json::String(text)));
    }
    Ok(time.us)
}

/// Reads `data` into the event's fields and returns what is left of it.
fn data<'a>(
    envelope: &mut Members<'a>,
    event_type: &str,
    known: bool,
    event: &mut Event<'a>,
) -> Result<DataExtra<'a>> {
    let members = match envelope.take("data") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Object(members)) => members,
        Some(other) if known => return Err(wrong("data", "an object", &other)),
        Some(other) => return Ok(DataExtra::Foreign(other)),
    };
    let mut data = Members {
        members,
        place: "data".to_owned(),
        strict: known,
    };
    let mut rest = Extra::default();
    if let Some(mut room) = data.object("room")? {
        event.room = Room {
            id: room.text("id")?,
            name: room.text("name")?,
            category: room.text("category")?,
        };
        rest.object("room", room.members);
    }
    if let Some(mut actor) = data.object("actor")? {
        event.actor = Actor {
            id: actor.text("id")?,
            uri: actor.text("uri")?,
            name: actor.text("name")?,
            email: actor.text("email")?,
            internal: actor.boolean("internal")?,
            kind: actor.text("kind")?,
        };
        rest.object("actor", actor.members);
    }
    event.room_seq = data.integer("room_seq")?;
    if let Some(mut message) = data.object("message")? {
        event.message = Message {
            id: message.text("id")?,
            kind: message.text("kind")?,
            title: message.text("title")?,
            body: message.text("body")?,
            reply_to: message.text("reply_to")?,
        };
        if !event_type::carries_single_attachment(event_type) {
            event.attachments = message.attachments()?;
        }
        rest.object("message", message.members);
    }
    if event_type::carries_single_attachment(event_type)
        && let Some(file) = data.object("attachment")?
    {
        let (attachment, left) = attachment(file)?;
        event.attachments = vec![attachment];
        rest.object("attachment", left);
    }
    if event_type == QUARANTINED {
        event.raw = raw(&mut data)?;
    }
    rest.0.extend(data.members);
    Ok(DataExtra::Members(rest))
}

fn raw<'a>(data: &mut Members<'a>) -> Result<Option<Cow<'a, [u8]>>> {
    let Some(text) = data.text("raw")? else {
        return Ok(None);
    };
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|e| DecodeError::new("data.raw", format!("not base64: {e}")))?;
    Ok(Some(Cow::Owned(bytes)))
}

/// One file, and the members that no column holds.
fn attachment<'a>(mut file: Members<'a>) -> Result<(Attachment<'a>, Object<'a>)> {
    let attachment = Attachment {
        id: file.text("id")?,
        name: file.text("name")?,
        media_type: file.text("media_type")?,
        size: file.integer("size")?,
        sha256: file.text("sha256")?,
    };
    Ok((attachment, file.members))
}

fn wrong(place: &str, expected: &str, found: &Json<'_>) -> DecodeError {
    DecodeError::new(
        place,
        format!("expected {expected}, found {}", found.kind()),
    )
}

/// The members of one object, taken out one by one; what stays is what no field holds.
struct Members<'a> {
    members: Object<'a>,
    place: String,
    /// Known types must have the contract's shape; a foreign type's members are left alone when they have another.
    strict: bool,
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let index = self.members.iter().position(|(n, _)| n == name)?;
        Some(self.members.remove(index).1)
    }

    /// Takes the member if `read` makes something of it; leaves it if the type is foreign; else complains. Blank is absent.
    fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Json<'a>) -> std::result::Result<T, Json<'a>>,
    ) -> Result<Option<T>> {
        let Some(value) = self.take(name).filter(|v| !v.is_blank()) else {
            return Ok(None);
        };
        match read(value) {
            Ok(value) => Ok(Some(value)),
            Err(other) if self.strict => Err(wrong(&join(&self.place, name), expected, &other)),
            Err(other) => {
                self.members.push((Cow::Owned(name.to_owned()), other));
                Ok(None)
            }
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>> {
        self.read(name, "a string", |v| {
            if let Json::String(s) = v {
                Ok(s)
            } else {
                Err(v)
            }
        })
    }

    fn required(&mut self, name: &str) -> Result<Cow<'a, str>> {
        self.text(name)?
            .ok_or_else(|| DecodeError::new(&join(&self.place, name), "required"))
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        self.read(name, "a boolean", |v| {
            if let Json::Bool(b) = v { Ok(b) } else { Err(v) }
        })
    }

    fn integer(&mut self, name: &str) -> Result<Option<i64>> {
        self.read(name, "an integer of 64 bits", |v| match &v {
            Json::Number(n) => n.parse().map_err(|_| v),
            _ => Err(v),
        })
    }

    fn object(&mut self, name: &str) -> Result<Option<Members<'a>>> {
        let (place, strict) = (join(&self.place, name), self.strict);
        self.read(name, "an object", |v| {
            if let Json::Object(members) = v {
                Ok(Members {
                    members,
                    place,
                    strict,
                })
            } else {
                Err(v)
            }
        })
    }

    /// `attachments`: a list of files. If any has a member that no column holds, the whole list stays as well, and wins.
    fn attachments(&mut self) -> Result<Vec<Attachment<'a>>> {
        let (place, strict) = (join(&self.place, "attachments"), self.strict);
        let Some(list) = self.read("attachments", "an array", |v| {
            if let Json::Array(a) = v {
                Ok(a)
            } else {
                Err(v)
            }
        })?
        else {
            return Ok(Vec::new());
        };
        let (mut files, mut whole) = (Vec::with_capacity(list.len()), true);
        for (i, element) in list.iter().enumerate() {
            let place = format!("{place}[{i}]");
            match element {
                Json::Object(members) => {
                    let (file, left) = attachment(Members {
                        members: members.clone(),
                        place,
                        strict,
                    })?;
                    whole &= left.is_empty();
                    files.push(file);
                }
                other if strict => return Err(wrong(&place, "an object", other)),
                _ => whole = false,
            }
        }
        if !whole {
            self.members
                .push((Cow::Borrowed("attachments"), Json::Array(list)));
        }
        Ok(files)
    }
}

/// What is left of `data`.
enum DataExtra<'a> {
    Members(Extra<'a>),
    /// A foreign type's `data` that is no object.
    Foreign(Json<'a>),
}

impl DataExtra<'_> {
    fn overlay_room_id_absent(&mut self) {
        let DataExtra::Members(Extra(members)) = self else {
            return;
        };
        let absent = (Cow::Borrowed("id"), Json::Null);
        match members.iter_mut().find(|(name, _)| name == "room") {
            Some((_, Json::Object(room))) => room.push(absent),
            _ => members.push((Cow::Borrowed("room"), Json::Object(vec![absent]))),
        }
    }
}

/// The overlay while it is gathered.
#[derive(Default)]
struct Extra<'a>(Object<'a>);

impl<'a> Extra<'a> {
    /// Notes a member whose value is not the one that the fields rebuild.
    fn unless(&mut self, name: &'static str, value: Option<Cow<'a, str>>, rebuilt: Option<&str>) {
        if value.as_deref() != rebuilt {
            self.0
                .push((Cow::Borrowed(name), value.map_or(Json::Null, Json::String)));
        }
    }

    fn object(&mut self, name: &'static str, left: Object<'a>) {
        if !left.is_empty() {
            self.0.push((Cow::Borrowed(name), Json::Object(left)));
        }
    }

    /// Attributes that the contract does not know.
    fn rest(&mut self, members: Object<'a>) -> Result<()> {
        self.0.extend(members);
        Ok(())
    }

    fn data(&mut self, data: DataExtra<'a>) {
        match data {
            DataExtra::Members(Extra(left)) => self.object("data", left),
            DataExtra::Foreign(value) => self.0.push((Cow::Borrowed("data"), value)),
        }
    }

    fn print(self) -> Option<Cow<'a, str>> {
        if self.0.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        canonical::print(&sorted(Json::Object(self.0)), &mut out);
        Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
    }
}

/// Objects were added to out of order while they were gathered.
fn sorted(json: Json<'_>) -> Json<'_> {
    match json {
        Json::Object(members) => {
            let mut members: Object<'_> =
                members.into_iter().map(|(n, v)| (n, sorted(v))).collect();
            members.sort_by(|(a, _), (b, _)| member_order(a, b));
            Json::Object(members)
        }
        Json::Array(elements) => Json::Array(elements.into_iter().map(sorted).collect()),
        other => other,
    }
}
