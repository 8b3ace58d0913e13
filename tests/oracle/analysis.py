"""Text analysis of the oracle: normalised text and its terms, by the standard library's Unicode tables."""
import re
import sys
import unicodedata

# Scripts written without blanks (Unicode Scripts.txt and ScriptExtensions.txt), alphanumerics and marks only.
UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303c\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U00020000-\U000323af"
    "\u3031-\u3035\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001aff0-\U0001b16f"  # Kana
    "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7fb"  # Hangul
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e81-\u0edf"  # Thai, Lao
    "\u1780-\u17d3\u17d7\u17dc-\u17e9\u1000-\u1049\u1050-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f"  # Khmer, Burmese
)
# Extended_Pictographic, near enough; the standard library has no emoji property.
PICTOGRAPH = (
    "\u2049\u203c\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf\u23e9-\u23f3\u23f8-\u23fa\u25aa\u25ab\u25b6"
    "\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2714\u2716\u271d\u2721"
    "\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767\u2795-\u2797\u27a1\u27b0\u27bf\u2934"
    "\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f12f"
    "\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f19a\U0001f1ad-\U0001f1ff"
    "\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f249-\U0001f3fa\U0001f400-\U0001f53d"
    "\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f774-\U0001f77f\U0001f7d5-\U0001f7ff\U0001f80c-\U0001f80f"
    "\U0001f848-\U0001f84f\U0001f85a-\U0001f85f\U0001f888-\U0001f88f\U0001f8ae-\U0001f8ff\U0001f90c-\U0001f93a"
    "\U0001f93c-\U0001f945\U0001f947-\U0001faff\U0001fc00-\U0001fffd"
)


def character_class(wanted):
    """A regular expression's class (without its brackets) of the characters that `wanted` accepts."""
    ranges = []
    for code in range(sys.maxunicode + 1):
        if wanted(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


MARKS = character_class(lambda c: unicodedata.category(c)[0] == "M")
ASCII_TERM = re.compile(r"[a-z0-9_]+")
TERM = re.compile(
    rf"(?P<unspaced>[{UNSPACED}])"
    rf"|(?P<emoji>[{PICTOGRAPH}][\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]*"
    rf"(?:\u200d[{PICTOGRAPH}][\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]*)*)"
    rf"|(?![{UNSPACED}{PICTOGRAPH}])\w(?:(?![{UNSPACED}{PICTOGRAPH}])[\w{MARKS}])*"
)
DROPPED = re.compile("[\u0300-\u036f]+")


def fold(text):
    """NFKC, full case folding, NFKC: what ignoring case means. Diacritics stay."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def normalise(text):
    """`fold`, and diacritics dropped."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", DROPPED.sub("", unicodedata.normalize("NFD", fold(text))))


class Terms:
    """The terms of a normalised text: their texts, and where each begins and ends (characters)."""

    __slots__ = ("texts", "starts", "ends", "unspaced", "emoji")

    def __init__(self, text):
        self.texts, self.starts, self.ends, self.unspaced, self.emoji = [], [], [], [], []
        for found in (ASCII_TERM if text.isascii() else TERM).finditer(text):
            self.texts.append(found.group())
            self.starts.append(found.start())
            self.ends.append(found.end())
            self.unspaced.append(found.lastgroup == "unspaced")
            self.emoji.append(found.lastgroup == "emoji")


class Field:
    """One text of an event: title, body, a file's name or a person's name."""

    __slots__ = ("raw", "_text", "_terms", "_exact")

    def __init__(self, raw):
        self.raw, self._text, self._terms, self._exact = raw, None, None, None

    @property
    def text(self):
        if self._text is None:
            self._text = normalise(self.raw)
        return self._text

    @property
    def terms(self):
        if self._terms is None:
            self._terms = Terms(self.text)
        return self._terms

    @property
    def exact(self):
        """The field with its diacritics kept, for --exact-diacritics."""
        if self._exact is None:
            self._exact = Field.__new__(Field)
            self._exact.raw, self._exact._text, self._exact._terms = self.raw, fold(self.raw), None
        return self._exact
