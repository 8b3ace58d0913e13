//! An independent, naive analyzer: the whole text normalised at once, then cut by ranges written out here. The real one
//! is held against it on texts made to hurt.

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::{Analyzer, Diacritics, fold_keyword, normal::classify, normalise, table::Table};

/// Scripts without blanks, by the blocks that the tests draw from.
fn is_bigram(c: char) -> bool {
    c.is_alphanumeric()
        && matches!(u32::from(c),
            0x3005..=0x3007 | 0x3031..=0x3035 | 0x3041..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7a3
            | 0x1100..=0x11ff | 0x0e01..=0x0e3a | 0x0e40..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x20000..=0x2ffff)
}

fn is_emoji(c: char) -> bool {
    matches!(u32::from(c), 0xa9 | 0xae | 0x20e3 | 0x2600..=0x26ff | 0x2764 | 0x1f300..=0x1f5ff | 0x1f600..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1f9ff)
}

fn is_flag(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

fn is_dropped(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A run of letters and digits of scripts with blanks.
    Word(String),
    /// A run of a script without.
    Run(Vec<char>),
    /// An emoji or flag.
    Emoji(String),
    /// A character that separates.
    Separator(char),
}

/// The normalised characters of `text`, naively; what is dropped is gone.
pub(crate) fn naive_chars(text: &str, keep_diacritics: bool) -> Vec<char> {
    use caseless::Caseless;
    let folded: String = text.nfkc().default_case_fold().nfkc().collect();
    let whole: String = if keep_diacritics {
        folded
    } else {
        folded
            .nfd()
            .filter(|c| !('\u{300}'..='\u{36f}').contains(c))
            .nfc()
            .collect()
    };
    whole.chars().filter(|c| !is_dropped(*c)).collect()
}

/// `text` cut into pieces, naively.
pub(crate) fn naive_pieces(text: &str, keep_diacritics: bool) -> Vec<Piece> {
    let chars = naive_chars(text, keep_diacritics);
    let mut pieces = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        let run = |from: usize, member: &dyn Fn(char) -> bool| {
            let goes_on =
                |c: &char| member(*c) || (is_mark(*c) && !c.is_alphanumeric() && !is_emoji(*c));
            from + 1 + chars[from + 1..].iter().take_while(|c| goes_on(c)).count()
        };
        let (piece, end) = if is_flag(c) {
            let end = if chars.get(i + 1).copied().is_some_and(is_flag) {
                i + 2
            } else {
                i + 1
            };
            (Piece::Emoji(chars[i..end].iter().collect()), end)
        } else if is_emoji(c) {
            (Piece::Emoji(c.to_string()), i + 1)
        } else if is_bigram(c) {
            let end = run(i, &is_bigram);
            (Piece::Run(chars[i..end].to_vec()), end)
        } else if c.is_alphanumeric() || c == '_' {
            let end = run(i, &|c| {
                (c.is_alphanumeric() && !is_bigram(c) && !is_emoji(c)) || c == '_'
            });
            (Piece::Word(chars[i..end].iter().collect()), end)
        } else {
            (Piece::Separator(c), i + 1)
        };
        pieces.push(piece);
        i = end;
    }
    pieces
}

/// The terms of `text`, naively.
pub(crate) fn naive_terms(text: &str, keep_diacritics: bool) -> Vec<String> {
    let mut terms = Vec::new();
    for piece in naive_pieces(text, keep_diacritics) {
        match piece {
            Piece::Word(text) | Piece::Emoji(text) => terms.push(text),
            Piece::Run(run) => {
                terms.extend(
                    (0..run.len())
                        .map(|at| run[at..run.len().min(at + 2)].iter().collect::<String>()),
                );
            }
            Piece::Separator(_) => {}
        }
    }
    terms
}

fn terms(analyzer: &mut Analyzer, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    analyzer.terms(text, |t| out.push(t.text.to_owned()));
    out
}

fn cut(text: &str) -> Vec<String> {
    terms(&mut Analyzer::new(), text)
}

#[test]
fn golden_terms() {
    let golden: &[(&str, &[&str])] = &[
        ("", &[]),
        ("  ,. ", &[]),
        ("We should KEEP this.", &["we", "should", "keep", "this"]),
        ("snake_case 3.14 v2", &["snake_case", "3", "14", "v2"]),
        (
            "docs.wasmtime.dev l'azienda",
            &["docs", "wasmtime", "dev", "l", "azienda"],
        ),
        ("Straße STRASSE", &["strasse", "strasse"]),
        ("İstanbul Iı", &["istanbul", "iı"]),
        ("ΟΔΥΣΣΕΥΣ Ὀδυσσεύς", &["οδυσσευσ", "οδυσσευσ"]),
        ("ﬁne Ｆｕｌｌ １２", &["fine", "full", "12"]),
        ("über uber u\u{308}ber", &["uber", "uber", "uber"]),
        ("Ёлка елка", &["елка", "елка"]),
        ("½ m² ™", &["1", "2", "m2", "tm"]),
        ("שָׁלוֹם שלום", &["שָׁלוֹם", "שלום"]),
        ("كِتَاب", &["كِتَاب"]),
        ("हिन्दी में", &["हिन्दी", "में"]),
        ("٣ ४", &["٣", "४"]),
        ("東京", &["東京", "京"]),
        ("東", &["東"]),
        ("サーバーが", &["サー", "ーバ", "バー", "ーが", "が"]),
        ("ｻｰﾊﾞｰ", &["サー", "ーバ", "バー", "ー"]),
        ("か\u{3099}", &["が"]),
        ("Tシャツ2枚", &["t", "シャ", "ャツ", "ツ", "2", "枚"]),
        ("㈱日立", &["株", "日立", "立"]),
        (
            "한국어 \u{1112}\u{1161}\u{11ab}",
            &["한국", "국어", "어", "한"],
        ),
        ("ภาษา", &["ภา", "าษ", "ษา", "า"]),
        ("葛\u{e0100}城", &["葛城", "城"]),
        (
            "soft\u{ad}ware zero\u{200b}width",
            &["software", "zero", "width"],
        ),
        ("ok👍🏽!", &["ok", "👍", "🏽"]),
        ("👨\u{200d}👩\u{200d}👧", &["👨", "👩", "👧"]),
        ("❤\u{fe0f}❤", &["❤", "❤"]),
        ("🇯🇵🇩🇪🇺", &["🇯🇵", "🇩🇪", "🇺"]),
        ("🇯\u{fe0f}🇵", &["🇯🇵"]),
        ("1\u{fe0f}\u{20e3}", &["1", "\u{20e3}"]),
        ("a\u{20dd} \u{20dd}b", &["a\u{20dd}", "b"]),
        ("naïve·test", &["naive", "test"]),
    ];
    for (text, expected) in golden {
        assert_eq!(&cut(text), expected, "{text:?}");
        assert_eq!(
            &naive_terms(text, false),
            expected,
            "the oracle on {text:?}"
        );
    }
    let hash = "0123456789abcdef".repeat(4);
    assert_eq!(
        cut(&hash),
        std::slice::from_ref(&hash),
        "no term is dropped for its length"
    );
}

#[test]
fn exact_diacritics_keep_what_the_index_drops() {
    let mut exact = Analyzer::exact_diacritics();
    assert_eq!(
        terms(&mut exact, "Über u\u{308}ber UBER"),
        ["über", "über", "uber"]
    );
    assert_eq!(terms(&mut exact, "ЙОД"), ["йод"]);
}

#[test]
fn offsets_name_the_original_bytes() {
    let text = "Über 東京タワー! ㈱ 👍🏽 ǅ";
    let mut seen = Vec::new();
    Analyzer::new().terms(text, |t| {
        seen.push((
            t.text.to_owned(),
            t.position,
            &text[t.offset_from..t.offset_to],
        ));
    });
    let expected = [
        ("uber", "Über"),
        ("東京", "東京"),
        ("京タ", "京タ"),
        ("タワ", "タワ"),
        ("ワー", "ワー"),
        ("ー", "ー"),
        ("株", "㈱"),
        ("👍", "👍"),
        ("🏽", "🏽"),
        ("dz", "ǅ"),
    ];
    assert_eq!(seen.len(), expected.len());
    for (i, ((term, position, original), (want, at))) in seen.iter().zip(expected).enumerate() {
        assert_eq!(
            (term.as_str(), *original, *position as usize),
            (want, at, i)
        );
    }
}

#[test]
fn keywords_ignore_case_and_nothing_else() {
    assert_eq!(fold_keyword("R-42"), "r-42");
    assert_eq!(fold_keyword("Général"), "général");
    assert_eq!(fold_keyword("GE\u{301}NE\u{301}RAL"), "général");
    assert_eq!(fold_keyword(" Ａ STRASSE"), fold_keyword(" a straße"));
    assert!(matches!(fold_keyword("u-7"), std::borrow::Cow::Borrowed(_)));
    assert_eq!(normalise("R&D  Ünit"), "r&d  unit");
}

/// FNV-1a over the entries of every code point, both modes, and over what slow ones become alone.
fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |value: u32| {
        for byte in value.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for diacritics in [Diacritics::Dropped, Diacritics::Kept] {
        for c in '\0'..=char::MAX {
            let entry = Table::of(diacritics).entry(c);
            add(entry.bits());
            if entry.is_slow() {
                super::normalised(std::iter::once(c), diacritics, |out| {
                    add(u32::from(out));
                    add(classify(out) as u32);
                });
            }
        }
    }
    hash
}

#[test]
fn every_code_point_is_pinned() {
    assert_eq!(
        fingerprint(),
        4_821_054_775_602_600_720,
        "a dependency's Unicode data changed what some code point becomes: raise ANALYZER_VERSION, then pin this anew"
    );
}

/// Every code point alone, between letters, behind a letter, and behind a kana: the fast paths against the oracle's
/// formula, which normalises the whole.
#[test]
fn every_code_point_like_the_whole_text_at_once() {
    for diacritics in [Diacritics::Dropped, Diacritics::Kept] {
        let mut analyzer = Analyzer::with(diacritics);
        let mut text = String::new();
        for c in '\0'..=char::MAX {
            text.clear();
            text.extend(['a', c, 'b', ' ', c, 'か', c, '\u{301}', 'é', c]);
            let mut whole = String::new();
            super::normalised(text.chars(), diacritics, |out| whole.push(out));
            let mut by_units = String::new();
            let mut terms = analyzer.start(&text);
            while let Some(unit) = terms.next_unit() {
                by_units.push(unit.character);
            }
            assert_eq!(by_units, whole, "U+{:04X} in {text:?}", u32::from(c));
        }
    }
}

/// Characters chosen to meet: bases, marks of several classes, jamo, half-width kana, ligatures, emoji parts.
fn nasty_text() -> impl Strategy<Value = String> {
    let palette: Vec<char> = concat!(
        "aAbBzZ09_ .,'-&\u{ad}éÉüßİıǅﬁΣςẞᾳµ²½™\u{301}\u{308}\u{323}\u{345}\u{338}\u{34f}\u{20dd}\u{20e3}\u{fe0f}\u{200d}\u{200b}",
        "ёЁйЙи\u{306}אבָּשׁכִا\u{654}\u{64e}أ٣कि\u{94d}\u{93c}४か\u{3099}\u{309a}がﾊﾞﾟーゝ々〆東京葛\u{e0100}㈱①",
        "한\u{1112}\u{1161}\u{11ab}가\u{11a8}ก็่าລາ\u{eb9}ကျ\u{1039}ខ្មែ👍🏽👨❤🇯🇵🇩\u{3000}。、Ａ１（"
    )
    .chars()
    .collect();
    let one = prop_oneof![8 => proptest::sample::select(palette), 1 => Just('x'), 1 => Just(' ')];
    proptest::collection::vec(one, 0..24).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn like_the_naive_oracle(text in nasty_text()) {
        prop_assert_eq!(cut(&text), naive_terms(&text, false));
        prop_assert_eq!(terms(&mut Analyzer::exact_diacritics(), &text), naive_terms(&text, true));
    }

    #[test]
    fn offsets_cover_what_made_the_term(text in nasty_text()) {
        let mut last = 0;
        let mut position = 0;
        let mut failed = None;
        Analyzer::new().terms(&text, |t| {
            let original = &text[t.offset_from..t.offset_to];
            let again: String = normalise(original).chars().filter(|c| !is_dropped(*c)).collect();
            if !again.contains(t.text) || t.offset_from < last || t.position != position {
                failed = Some((t.text.to_owned(), original.to_owned()));
            }
            last = t.offset_from;
            position += 1;
        });
        prop_assert_eq!(failed, None);
    }

    #[test]
    fn any_text_is_cut_without_panic_and_like_the_oracle_normalises(text in any::<String>()) {
        let mut analyzer = Analyzer::new();
        let mut units = String::new();
        let mut terms = analyzer.start(&text);
        while let Some(unit) = terms.next_unit() {
            units.push(unit.character);
        }
        prop_assert_eq!(units, normalise(&text));
    }
}
