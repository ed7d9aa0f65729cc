//! The demo users. They are in the memory of the process, whatever the others are kept in, and so are changes to them.

use shared_auth::Role;
use shared_store::SqlStore;
use tokio::sync::OnceCell;

use super::{StoreError, User, Username, people, schema::CONTENT};
use crate::{
    clock::Micros,
    password_hash::{Cost, PasswordHash},
};

/// The demo users, in a database of their own.
pub struct DemoUsers {
    users: Vec<User>,
    created_at: Micros,
    /// Not opened before it is needed: an idle service needs less memory.
    store: OnceCell<SqlStore>,
}

impl DemoUsers {
    /// These users, or none.
    pub fn new(users: Vec<User>) -> Self {
        Self { users, created_at: Micros::of_machine(), store: OnceCell::new() }
    }

    /// Their database, with those of them whose name nobody in `stored` has. `None` where there are no demo users.
    ///
    /// # Errors
    ///
    /// `stored` cannot be read.
    pub async fn store(&self, stored: &SqlStore) -> Result<Option<&SqlStore>, StoreError> {
        if self.users.is_empty() {
            return Ok(None);
        }
        let open = async {
            let store = SqlStore::in_memory(&CONTENT);
            for user in &self.users {
                if people::find(stored, &user.username).await?.is_none() {
                    people::insert(&store, user, self.created_at).await?;
                }
            }
            Ok(store)
        };
        self.store.get_or_try_init(|| open).await.map(Some)
    }

    /// Their database, if it was needed before.
    pub fn opened(&self) -> Option<&SqlStore> {
        self.store.get()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &Username> {
        self.users.iter().map(|user| &user.username)
    }
}

/// `panitia1` (committee) and `admin1` (admin). Their password is `secret`. Its hashes are part of the program, so that
/// a start does not wait for bcrypt.
pub fn demo_users(cost: Cost) -> Vec<User> {
    let hash = DEMO_HASHES[(cost.power() - Cost::MIN) as usize];
    [("panitia1", Role::Committee), ("admin1", Role::Admin)]
        .map(|(name, role)| User {
            username: Username(name.to_owned()),
            role,
            password: PasswordHash::from_stored(hash),
        })
        .into()
}

/// bcrypt hashes of `secret`, from cost 4 on.
const DEMO_HASHES: [&str; 12] = [
    "$2b$04$LuiHNXw2TvOCq1.rrE/4fO8rTqQU/GL5SkAafDpkNNwYnwfNrS.BW",
    "$2b$05$VPRQmaoe6PRM2XMpn4dYbuvRvJRXS0xcgpwXOpTT1ucnx4wnEOYum",
    "$2b$06$mhqGcHTggYiw0I4WYURqOuDvg3rbfj5NG4sCHdI0yULCULFNg5caW",
    "$2b$07$0gzpbGlHVCnY.MBDQCIHTuaXrutCjhNQz8h7hcHWSaiOrSVbr3O7i",
    "$2b$08$PZbYk224Ln47RVaVn7q28urzhSjIpDbR5wRjTLmQUSJzIgllvO1nm",
    "$2b$09$9EHsd8.akGpmKQ51yDhz8uMAH9KRW3.nRKHVckB.QIwTDZYdoPzSC",
    "$2b$10$pwhVwtmG0yjsVIzLCU.g..RO21tMsgTLpRVSTxhihgsRq.xo9T6IK",
    "$2b$11$btCWJ/DnFNovfMhSR435lujd1gkDD5AgS14zdnMRomdH9Bc6c14PS",
    "$2b$12$s.rhAQ51.uYnPUKtqG7ON.DUTiVUD3itXlQvajcHI3m2x7ViH0hSC",
    "$2b$13$80A7aOUVzH/Li2RLFS7i1.XpQCvS5ruE/KMfl.kl4Pim3fPUQXMlO",
    "$2b$14$.7QvcJH6unRCzN.Q17pdJOn247hbMIgJ6rAHXoCeaI0M.nhX/9mAq",
    "$2b$15$hTyBZlf8en588J0LSb.uAOsvUg/tbNhHTivChcd46bqeirQsf.zmC",
];
