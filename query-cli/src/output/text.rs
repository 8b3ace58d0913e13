//! Text of strangers on a terminal: escaped, measured, cut and wrapped.
//!
//! A message body may hold anything a producer sent. Printed as it is, an escape sequence could recolour, move or retitle the
//! reader's terminal, and a right-to-left override could make a line read as something it is not. So whatever drives a
//! terminal or reorders a line is shown as its escape; letters of right-to-left scripts stay.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use super::Paint;

/// How a stretch of text is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As the terminal draws text.
    Plain,
    /// Hit by the query.
    Hit,
    /// Standing back.
    Dim,
    /// A heading.
    Bold,
}

/// A stretch of text, already escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The escaped text.
    pub text: String,
    /// How it is drawn.
    pub look: Look,
}

/// One line of spans.
pub type Line = Vec<Span>;

/// Whether a character must not reach a terminal as it is: C0, DEL and C1 controls, marks that set the direction of a line,
/// line and paragraph separators, and the byte order mark.
pub(super) fn is_hostile(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push('⏎'),
        '\t' => out.push(' '),
        '\r' => out.push_str("\\r"),
        c if u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
    }
}

/// One line of harmless text: `\x1b` for an escape character, `⏎` for a line end, a blank for a tab.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) {
            push_escaped(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// As [`escape`], with line ends kept.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && is_hostile(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c != '\n' && is_hostile(c) {
            push_escaped(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Columns that escaped text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns of one character. Measured by character, not by cluster: a joined emoji is counted wider than it may be drawn,
/// so a line is cut early rather than run over.
fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Escaped text of at most `columns`, ending in `…` when something was cut off.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    let escaped = escape(text);
    if width(&escaped) <= columns {
        return escaped.into_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in escaped.chars() {
        if used + char_width(c) + 1 > columns {
            break;
        }
        used += char_width(c);
        out.push(c);
    }
    out.push('…');
    out
}

/// Escaped spans of a text with the byte ranges in `hits` (ascending, possibly touching) drawn as hits.
#[must_use]
pub fn mark(text: &str, hits: &[std::ops::Range<usize>], base: Look) -> Line {
    let mut spans = Vec::new();
    let mut at = 0;
    let mut push = |from: usize, to: usize, look: Look| {
        if let Some(part) = text.get(from..to).filter(|p| !p.is_empty()) {
            spans.push(Span {
                text: escape(part).into_owned(),
                look,
            });
        }
    };
    for hit in hits {
        let start = hit.start.max(at);
        if hit.end <= start {
            continue;
        }
        push(at, start, base);
        push(start, hit.end, Look::Hit);
        at = hit.end;
    }
    push(at, text.len(), base);
    spans
}

/// Breaks spans into lines of at most `columns`, at blanks where there are any. At least one line.
#[must_use]
pub fn wrap(spans: &[Span], columns: usize) -> Vec<Line> {
    let columns = columns.max(8);
    let chars: Vec<(char, Look)> = spans
        .iter()
        .flat_map(|s| s.text.chars().map(move |c| (c, s.look)))
        .collect();
    let mut lines = Vec::new();
    let mut start = 0;
    while start < chars.len() {
        let (end, next) = break_at(&chars, start, columns);
        lines.push(line_of(&chars[start..end]));
        start = next;
    }
    if lines.is_empty() {
        lines.push(Vec::new());
    }
    lines
}

/// Where the line that starts at `start` ends, and where the next one starts.
fn break_at(chars: &[(char, Look)], start: usize, columns: usize) -> (usize, usize) {
    let mut used = 0;
    let mut blank = None;
    for (i, (c, _)) in chars.iter().enumerate().skip(start) {
        used += char_width(*c);
        if *c == ' ' {
            blank = Some(i);
        }
        if used > columns {
            return match blank {
                Some(b) if b > start => (b, b + 1),
                // At least one character a line, or a wide character in a narrow column would never end.
                _ => (i.max(start + 1), i.max(start + 1)),
            };
        }
    }
    (chars.len(), chars.len())
}

fn line_of(chars: &[(char, Look)]) -> Line {
    let mut line: Line = Vec::new();
    for (c, look) in chars {
        match line.last_mut() {
            Some(span) if span.look == *look => span.text.push(*c),
            _ => line.push(Span {
                text: c.to_string(),
                look: *look,
            }),
        }
    }
    line
}

/// Columns of a line.
#[must_use]
pub fn line_width(line: &[Span]) -> usize {
    line.iter().map(|s| width(&s.text)).sum()
}

/// The line as it is written.
#[must_use]
pub fn paint(line: &[Span], paint: Paint) -> String {
    line.iter()
        .map(|span| match span.look {
            Look::Plain => span.text.clone(),
            Look::Hit => paint.hit(&span.text),
            Look::Dim => paint.dim(&span.text),
            Look::Bold => paint.bold(&span.text),
        })
        .collect()
}

/// A number with its thousands apart, as people read it: `854,097`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 event`, `2,000 events`.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", grouped(number))
}

/// Bytes in the unit people read: `1.5 MiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_are_shown_as_escapes() {
        assert_eq!(
            escape("a\x1b[31mred\x07\u{9b}0m"),
            "a\\x1b[31mred\\x07\\x9b0m"
        );
        assert_eq!(
            escape("pay \u{202e}001\u{202c} now\u{200f}"),
            "pay \\u{202e}001\\u{202c} now\\u{200f}"
        );
        assert_eq!(escape("one\r\ntwo\tthree"), "one\\r⏎two three");
        assert_eq!(escape("שלום مرحبا 👩‍🚀 ü"), "שלום مرحبا 👩‍🚀 ü");
        assert_eq!(escape_lines("one\n\x1btwo"), "one\n\\x1btwo");
    }

    #[test]
    fn text_is_cut_by_columns_not_by_bytes() {
        assert_eq!(cut("日本語テキスト", 7), "日本語…");
        assert_eq!(cut("short", 7), "short");
        assert_eq!(width(&cut("a very long line", 7)), 7);
    }

    #[test]
    fn hits_stay_marked_across_wrapped_lines() {
        let line = mark(
            "keep this until Friday",
            std::slice::from_ref(&(5..15)),
            Look::Plain,
        );
        let lines = wrap(&line, 10);
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0].last().map(|s| (s.text.as_str(), s.look)),
            Some(("this", Look::Hit))
        );
        assert_eq!(
            lines[1][0],
            Span {
                text: "until".into(),
                look: Look::Hit
            }
        );
        assert!(lines.iter().all(|l| line_width(l) <= 10));
    }

    #[test]
    fn wrapping_ends_with_wide_characters_in_a_narrow_column() {
        let line = mark("漢字漢字漢字漢字漢字", &[], Look::Plain);
        assert!(wrap(&line, 8).iter().all(|l| line_width(l) <= 8));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(854_097), "854,097");
        assert_eq!(grouped(7), "7");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(12), "12 B");
    }
}
