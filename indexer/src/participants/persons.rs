//! Who is who: persons by their addresses.

use std::collections::HashMap;

use holdfast_query::analyzer::fold_keyword;

use super::person::Person;

/// How a record names somebody: by one of their addresses, which is the id wherever it gives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// The address.
    pub(super) number: u32,
    /// Whether it is the id.
    by_id: bool,
}

impl Named {
    /// The id, if the record gives it.
    pub(super) fn account(&self) -> Option<u32> {
        self.by_id.then_some(self.number)
    }
}

/// What is known of somebody.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The first of their addresses, as written.
    pub(super) id: String,
    /// The newest name; empty when none was given.
    pub(super) name: String,
    named_us: Option<i64>,
}

/// Persons by their addresses, which are numbered (memory ends before the numbers do); those who share an id, URI or address are one, and go by the first of their numbers.
#[derive(Debug, Default)]
pub(super) struct Persons {
    by_address: HashMap<String, u32>,
    /// Of each address another one of the same person, or itself.
    parents: Vec<u32>,
    known: Vec<Known>,
}

impl Persons {
    /// One person, who is named in several ways; none when there is no address among them.
    pub(super) fn unite(&mut self, named: &[Person<'_>]) -> Option<u32> {
        let first = self.first_of(named.iter().copied().flat_map(Person::addresses))?;
        Some(self.root(first))
    }

    /// Somebody as a record names them; none when it gives no address.
    pub(super) fn named(&mut self, person: Person<'_>) -> Option<Named> {
        Some(Named {
            number: self.first_of(person.addresses())?,
            by_id: person.id.is_some_and(|id| !id.is_empty()),
        })
    }

    /// The first of one person's addresses.
    fn first_of<'a>(&mut self, addresses: impl Iterator<Item = &'a str>) -> Option<u32> {
        addresses.fold(None, |first, address| {
            let number = self.address(address);
            let first = first.unwrap_or(number);
            self.join(first, number);
            Some(first)
        })
    }

    /// What somebody was called at a time, which counts unless a newer name is known.
    pub(super) fn call(&mut self, number: u32, name: &str, time_us: i64) {
        let root = self.root(number);
        let known = &mut self.known[root as usize];
        if !name.is_empty() && known.named_us.is_none_or(|before| before <= time_us) {
            name.clone_into(&mut known.name);
            known.named_us = Some(time_us);
        }
    }

    /// What is known of the person of this number.
    pub(super) fn known(&self, root: u32) -> &Known {
        &self.known[root as usize]
    }

    /// Of each address the number of its person.
    pub(super) fn roots(&mut self) -> Vec<u32> {
        (0..self.parents.len() as u32)
            .map(|number| self.root(number))
            .collect()
    }

    /// Every address, folded, and its number.
    pub(super) fn into_addresses(self) -> HashMap<String, u32> {
        self.by_address
    }

    fn address(&mut self, address: &str) -> u32 {
        let new = self.parents.len() as u32;
        let folded = fold_keyword(address).into_owned();
        let number = *self.by_address.entry(folded).or_insert(new);
        if number == new {
            self.parents.push(new);
            self.known.push(Known {
                id: address.to_owned(),
                ..Known::default()
            });
        }
        number
    }

    fn root(&mut self, mut number: u32) -> u32 {
        while self.parents[number as usize] != number {
            let parent = self.parents[number as usize];
            self.parents[number as usize] = self.parents[parent as usize];
            number = self.parents[number as usize];
        }
        number
    }

    /// The one that was known first stays.
    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        let (stays, goes) = (one.min(other), one.max(other));
        if stays != goes {
            self.parents[goes as usize] = stays;
            let gone = std::mem::take(&mut self.known[goes as usize]);
            let known = &mut self.known[stays as usize];
            if gone.named_us > known.named_us {
                known.name = gone.name;
                known.named_us = gone.named_us;
            }
        }
    }
}
