//! What the stores keep of a password: a bcrypt hash, and the cost it was made at.

use std::fmt;

/// The bcrypt cost: hashing takes 2 to this power rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost(u32);

impl Cost {
    /// The least that bcrypt supports. For tests.
    pub const MIN: u32 = 4;
    /// About 2 s on a development machine, and 8 s on a set-top box.
    pub const MAX: u32 = 15;

    /// `power`, if it is from [`Self::MIN`] to [`Self::MAX`].
    pub fn new(power: u32) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&power).then_some(Self(power))
    }

    /// The power of two.
    pub fn power(self) -> u32 {
        self.0
    }

    /// How many rounds hashing takes.
    pub fn rounds(self) -> u64 {
        1 << self.0
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self(12)
    }
}

/// A bcrypt hash in its text form, `$2b$<cost>$<salt and hash>`. `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes over the text of a hash, unchecked.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The cost in the text, if [`Cost`] allows it.
    pub fn cost(&self) -> Option<Cost> {
        Cost::new(self.0.split('$').nth(2)?.parse().ok()?)
    }
}

/// The text to store.
impl AsRef<str> for PasswordHash {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}
