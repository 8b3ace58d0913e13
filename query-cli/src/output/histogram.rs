//! Hits over time: bars in the terminal, and the same as SVG for a report.

use std::fmt::Write as _;

/// Width of the SVG drawing in its own units.
const SVG_WIDTH: usize = 720;
/// Height of one bar with its gap.
const SVG_ROW: usize = 20;
/// Room for the labels.
const SVG_LABEL: usize = 110;
/// Bars at most; longer spans are drawn by month or year.
pub const BARS_MAX: usize = 40;

/// One bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Day, month or year.
    pub label: String,
    /// Hits in it.
    pub count: u64,
}

/// Bars from counts by day (`2026-11-20`, ascending): by day, month or year, whichever fits [`BARS_MAX`] first.
/// Only periods with hits get a bar.
#[must_use]
pub fn bars(days: &std::collections::BTreeMap<String, u64>) -> Vec<Bar> {
    // A day is year-month-day; a year may have a sign or more than four digits, so cut at the dashes from the right.
    let month = |day: &str| {
        day.rsplit_once('-')
            .map_or(day.to_owned(), |(m, _)| m.to_owned())
    };
    let year = |day: &str| month(&month(day));
    let mut bars = group(days, str::to_owned);
    if bars.len() > BARS_MAX {
        bars = group(days, month);
    }
    if bars.len() > BARS_MAX {
        bars = group(days, year);
    }
    bars
}

fn group(
    days: &std::collections::BTreeMap<String, u64>,
    label: impl Fn(&str) -> String,
) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for (day, count) in days {
        let label = label(day);
        match bars.last_mut() {
            Some(bar) if bar.label == label => bar.count += count,
            _ => bars.push(Bar {
                label,
                count: *count,
            }),
        }
    }
    bars
}

/// One line a bar, at most `width` columns wide.
#[must_use]
pub fn lines(bars: &[Bar], width: usize) -> Vec<String> {
    let label = bars.iter().map(|b| b.label.len()).max().unwrap_or(0);
    let figures = bars
        .iter()
        .map(|b| super::text::grouped(b.count).len())
        .max()
        .unwrap_or(0);
    let most = bars.iter().map(|b| b.count).max().unwrap_or(1).max(1);
    let room = width.saturating_sub(label + figures + 4).clamp(8, 60);
    bars.iter()
        .map(|bar| {
            // Eighths of a column, so that small differences show; something is drawn for every bar that is not zero.
            let eighths = share(bar.count, most, room * 8).max(usize::from(bar.count > 0));
            let mut drawn = "█".repeat(eighths / 8);
            let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
            drawn.push_str(part);
            format!(
                "{:label$}  {:>figures$}  {drawn}",
                bar.label,
                super::text::grouped(bar.count)
            )
        })
        .collect()
}

/// `count / most` of `room`, without floating point: the same bytes everywhere.
fn share(count: u64, most: u64, room: usize) -> usize {
    let scaled = u128::from(count) * u128::try_from(room).unwrap_or(0) / u128::from(most.max(1));
    usize::try_from(scaled).unwrap_or(room)
}

/// The bars as one SVG document with a text alternative a screen reader can read.
#[must_use]
pub fn svg(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|b| b.count).max().unwrap_or(1).max(1);
    let height = 40 + bars.len() * SVG_ROW;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{SVG_WIDTH}\" height=\"{height}\" viewBox=\"0 0 {SVG_WIDTH} {height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">"
    );
    let _ = writeln!(out, "<title>{}</title>", xml(title));
    let _ = writeln!(
        out,
        "<text x=\"4\" y=\"18\" font-size=\"14\">{}</text>",
        xml(title)
    );
    for (i, bar) in bars.iter().enumerate() {
        let y = 32 + i * SVG_ROW;
        let width = share(bar.count, most, SVG_WIDTH - SVG_LABEL - 90).max(1);
        let _ = writeln!(
            out,
            "<text x=\"4\" y=\"{}\">{}</text>",
            y + 13,
            xml(&bar.label)
        );
        let _ = writeln!(
            out,
            "<rect x=\"{SVG_LABEL}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"#3b6ea5\"><title>{}: {}</title></rect>",
            SVG_ROW - 4,
            xml(&bar.label),
            bar.count
        );
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{}</text>",
            SVG_LABEL + width + 6,
            y + 13,
            bar.count
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Text for XML: markup escaped, characters that XML 1.0 cannot hold replaced by U+FFFD.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: usize) -> std::collections::BTreeMap<String, u64> {
        let first = jiff::civil::date(2024, 1, 1);
        (0..count)
            .map(|i| {
                (
                    first
                        .checked_add(jiff::Span::new().days(i64::try_from(i).unwrap()))
                        .unwrap()
                        .to_string(),
                    1,
                )
            })
            .collect()
    }

    #[test]
    fn long_spans_are_drawn_by_month_then_by_year() {
        assert_eq!(bars(&days(40)).len(), 40);
        assert_eq!(bars(&days(41)).len(), 2);
        assert_eq!(
            bars(&days(366 * 4))
                .first()
                .map(|b| (b.label.clone(), b.count)),
            Some(("2024".into(), 366))
        );
    }

    #[test]
    fn bars_keep_their_proportion() {
        let bars = [
            Bar {
                label: "a".into(),
                count: 10,
            },
            Bar {
                label: "b".into(),
                count: 5,
            },
            Bar {
                label: "c".into(),
                count: 1,
            },
        ];
        let lines = lines(&bars, 27);
        assert_eq!(lines[0], format!("a  10  {}", "█".repeat(20)));
        assert_eq!(lines[1], format!("b   5  {}", "█".repeat(10)));
        assert_eq!(lines[2], "c   1  ██");
    }

    #[test]
    fn hostile_text_stays_text_in_svg() {
        let out = svg(
            "<script>\u{1b}&\"",
            &[Bar {
                label: "]]>".into(),
                count: 1,
            }],
        );
        assert!(
            !out.contains("<script>")
                && out.contains("&lt;script&gt;\u{fffd}&amp;&quot;")
                && out.contains("]]&gt;")
        );
    }
}
