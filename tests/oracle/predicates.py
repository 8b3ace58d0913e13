"""The event, and predicates over it: what the parts of the query language mean, one function each."""
import re
from bisect import bisect_left

from analysis import Field, Terms, fold, normalise


class Event:
    """What queries look at."""

    def __init__(self, envelope):
        data = envelope.get("data") or {}
        room, actor, message = (data.get(name) or {} for name in ("room", "actor", "message"))
        files = list(message.get("attachments") or []) + ([data["attachment"]] if data.get("attachment") else [])
        self.id = envelope["id"]
        self.type = envelope["type"]
        self.origin = envelope.get("origin")
        self.time = envelope["time"].rstrip("Z")
        if not envelope["time"].endswith("Z"):
            raise ValueError(f"event {self.id}: this oracle compares times as text and needs them in UTC")
        self.room_id, self.room_name, self.category = room.get("id"), room.get("name"), room.get("category")
        self.actor_id, self.actor_uri, self.actor_email = actor.get("id"), actor.get("uri"), actor.get("email")
        self.actor_name = Field(actor.get("name") or "")
        self.message_id, self.kind = message.get("id"), message.get("kind")
        self.title = Field(message.get("title") or "")
        self.body = Field(message.get("body") or "")
        self.files = [Field(file.get("name") or "") for file in files]

    @property
    def texts(self):
        """Where a word without a property is looked for."""
        return [self.title, self.body, *self.files]


class P:
    """A predicate over an event, with &, | and ~."""

    def __init__(self, judge):
        self.judge = judge

    def __and__(self, other):
        return P(lambda event: self.judge(event) and other.judge(event))

    def __or__(self, other):
        return P(lambda event: self.judge(event) or other.judge(event))

    def __invert__(self):
        return P(lambda event: not self.judge(event))


class Find(P):
    """Occurrences in a field: `spans(field)` yields (first term, last term); as a predicate, one in any text."""

    def __init__(self, spans):
        self.spans = spans
        super().__init__(lambda event: any(self.within(field) for field in event.texts))

    def within(self, field):
        return next(iter(self.spans(field)), None) is not None


def matching(needle, accepts):
    """Single terms that `accepts` takes; each of them contains `needle`, which is tried first for speed."""

    def spans(field):
        if needle in field.text:
            for at, term in enumerate(field.terms.texts):
                if accepts(term):
                    yield at, at

    return Find(spans)


def sequence(*words):
    """The terms of the words one after the other; the characters of one unspaced word without a gap.

    An emoji is found in every skin tone and joined form that begins with it.
    """
    wanted, glued, emoji = [], [], []
    for word_ in words:
        terms = Terms(normalise(word_))
        wanted += terms.texts
        emoji += terms.emoji
        glued += [at > 0 and terms.starts[at] == terms.ends[at - 1] for at in range(len(terms.texts))]
    if not wanted:
        raise ValueError("a query needs a term")

    def spans(field):
        if not all(term in field.text for term in wanted):
            return
        terms, length = field.terms, len(wanted)
        for at in range(len(terms.texts) - length + 1):
            if all(
                (terms.texts[at + i] == wanted[i] or (emoji[i] and terms.texts[at + i].startswith(wanted[i])))
                and not (glued[i] and terms.starts[at + i] != terms.ends[at + i - 1])
                for i in range(length)
            ):
                yield at, at + length - 1

    return Find(spans)


word = sequence
phrase = sequence


def spelled(literal):
    """A word with separators: its spelling, between the borders of its first and last terms."""
    literal = normalise(literal)
    own = Terms(literal)
    open_left, open_right = own.starts[0] > 0, own.ends[-1] < len(literal)

    def spans(field):
        at = field.text.find(literal)
        while at >= 0:
            terms = field.terms
            first = bisect_left(terms.starts, at + own.starts[0])
            last = bisect_left(terms.ends, at + own.ends[-1])
            if (
                first < len(terms.starts)
                and last < len(terms.ends)
                and terms.starts[first] == at + own.starts[0]
                and terms.ends[last] == at + own.ends[-1]
            ):
                yield first, last
            at = field.text.find(literal, at + 1)

    if not (open_left or open_right or len(own.texts) > 1):
        raise ValueError(f"{literal} holds no separator")
    return Find(spans)


def prefix(start):
    """`start*`; in unspaced scripts any occurrence of the characters."""
    start = normalise(start)
    if Terms(start).unspaced[0]:
        return sequence(start)
    return matching(start, lambda term: term.startswith(start))


def infix(middle):
    """`*middle*`, three characters at least."""
    middle = normalise(middle)
    if Terms(middle).unspaced[0]:
        return sequence(middle)
    return matching(middle, lambda term: middle in term)


def pattern(text):
    """`wo?d`: each ? stands for exactly one character."""
    text = normalise(text)
    whole = re.compile("".join("." if c == "?" else re.escape(c) for c in text), re.DOTALL)
    return matching(max(text.split("?"), key=len), lambda term: whole.fullmatch(term) is not None)


def exact(word_):
    """A word of one term, under --exact-diacritics."""
    wanted = fold(word_)
    return Find(lambda field: ((at, at) for at, term in enumerate(field.exact.terms.texts) if term == wanted))


def ordered(left, right, n):
    """`left ONEAR(n) right`, within one field, the two apart from each other."""

    def spans(field):
        rights = None
        for first in left.spans(field):
            rights = list(right.spans(field)) if rights is None else rights
            for second in rights:
                if 0 <= second[0] - first[1] - 1 <= n:
                    yield first[0], second[1]

    return Find(spans)


def near(left, right, n=8):
    """`left NEAR(n) right`."""
    forth, back = ordered(left, right, n), ordered(right, left, n)

    def spans(field):
        yield from forth.spans(field)
        yield from back.spans(field)

    return Find(spans)


def either(a, b):
    """Occurrences of the one or the other, for NEAR over a group."""

    def spans(field):
        yield from a.spans(field)
        yield from b.spans(field)

    return Find(spans)


def same(value, wanted):
    return value is not None and fold(value) == fold(wanted)


def whole(name, wanted):
    """A property of ids and names: the whole value, ignoring case; `wanted` may end in `*`."""
    if wanted.endswith("*"):
        start = fold(wanted[:-1])
        return P(lambda event: (getattr(event, name) or "") and fold(getattr(event, name)).startswith(start))
    return P(lambda event: same(getattr(event, name), wanted))


def sender(wanted, name=None):
    """from: whole id, uri or email, or the terms of the name (`name` when the spelling needs another finder)."""
    finder = name or sequence(wanted)
    return P(
        lambda event: same(event.actor_id, wanted)
        or same(event.actor_uri, wanted)
        or same(event.actor_email, wanted)
        or finder.within(event.actor_name)
    )


def room(wanted):
    return whole("room_id", wanted) | whole("room_name", wanted)


def in_body(finder):
    return P(lambda event: finder.within(event.body))


def in_title(finder):
    return P(lambda event: finder.within(event.title))


def body_is(wanted):
    """body=value."""
    return P(lambda event: same(event.body.raw, wanted))


def since(time):
    """From this UTC time on (a day begins at midnight); times compare as text of one shape."""
    return P(lambda event: event.time >= time)


def before(time):
    return P(lambda event: event.time < time)


def day(first, following):
    """The days from `first` up to, not including, `following`."""
    return since(first) & before(following)


def on(name, wanted):
    return P(lambda event: same(getattr(event, name), wanted))
