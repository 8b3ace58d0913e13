//! How much of the repeated and random tests to run: `make test` runs few rounds, `make soak` many.

/// Rounds of a repeated test: `HOLDFAST_ROUNDS`, or `default`.
#[must_use]
pub fn rounds(default: u32) -> u32 {
    number("HOLDFAST_ROUNDS").unwrap_or(default)
}

/// Seeds of a random test: as many as `HOLDFAST_SEEDS` says, or `default`; beginning with `HOLDFAST_SEED`, or 1.
pub fn seeds(default: u32) -> impl Iterator<Item = u64> {
    let first = u64::from(number("HOLDFAST_SEED").unwrap_or(1));
    first..first + u64::from(number("HOLDFAST_SEEDS").unwrap_or(default))
}

fn number(variable: &str) -> Option<u32> {
    let text = std::env::var(variable)
        .ok()
        .filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
    )
}
