//! Users in memory: gone when the process ends.

use std::collections::{HashMap, hash_map::Entry};

use async_trait::async_trait;
use parking_lot::RwLock;

use super::{Registration, StoreError, User, UserStore, Username};
use crate::password_hash::{Cost, PasswordHash};

/// The default store.
pub struct MemoryUserStore {
    users: RwLock<HashMap<Username, User>>,
}

impl MemoryUserStore {
    /// A store with these users in it.
    pub fn new(users: Vec<User>) -> Self {
        let users = users.into_iter().map(|user| (user.username.clone(), user)).collect();
        Self { users: RwLock::new(users) }
    }

    /// Adds `user`, in place of whoever has the name.
    pub(super) fn insert(&self, user: User) {
        self.users.write().insert(user.username.clone(), user);
    }
}

#[async_trait]
impl UserStore for MemoryUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        Ok(self.users.read().get(username).cloned())
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        match self.users.write().entry(user.username.clone()) {
            Entry::Occupied(_) => Ok(Registration::Taken),
            Entry::Vacant(place) => {
                place.insert(user);
                Ok(Registration::Accepted)
            }
        }
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        if let Some(stored) = self.users.write().get_mut(&user.username)
            && stored.password == user.password
        {
            stored.password = password;
        }
        Ok(())
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let users = self.users.read();
        Ok(users.values().filter_map(|user| user.password.cost()).max_by_key(|cost| cost.power()))
    }

    fn held(&self) -> Option<u64> {
        Some(self.users.read().len() as u64)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
