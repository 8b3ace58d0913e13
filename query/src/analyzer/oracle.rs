//! An independent, naive analyzer: the whole text normalised at once, then cut. Held against the real one.
