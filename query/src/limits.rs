//! Every limit of the query language, with its unit in its name.

/// Terms that one wildcard may stand for in one search. The index counts them while it expands; one more is an error
/// that says so, never a partial result. The matcher needs no limit: it compares each term it meets.
pub const WILDCARD_EXPANSIONS_MAX: usize = 10_000;
/// Length of a query's text.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;
/// Nesting of parentheses and NOT.
pub const QUERY_DEPTH_MAX: usize = 64;
/// Words, phrases and properties of one query as written (an expansion of `participants` may be larger).
pub const QUERY_LEAVES_MAX: usize = 4_096;
/// The `n` of `NEAR(n)`.
pub const NEAR_DISTANCE_MAX: u32 = 1_000;
/// `n` where `NEAR` is written without one.
pub const NEAR_DISTANCE_DEFAULT: u32 = 8;
/// Literal characters that a wildcard needs when it does not begin with one (`*infix*`, `?nfix`).
pub const INFIX_CHARACTERS_MIN: usize = 3;
/// Positions between the last term of one value and the first of the next in a field of several values (attachment
/// names): larger than any NEAR, so that neither a phrase nor NEAR reaches from one name into another.
pub const VALUE_POSITION_GAP: u32 = 1_024;

const _: () = assert!(VALUE_POSITION_GAP > NEAR_DISTANCE_MAX + 1);
