//! Whatever is asked in whatever order, the answers are those of a model that fits on a page.

use std::collections::HashMap;

use axum::Router;
use proptest::{prelude::*, sample::select};
use serde_json::json;
use shared_service::{
    on_every_store,
    testing::{Store, property::for_all},
};

use super::{BAD_ROLE, TOO_LONG, WRONG, app_with, log_in, me, register_with, taken, token_of};

on_every_store![any_sequence_of_requests_agrees_with_the_model];

#[derive(Clone, Debug)]
enum Request {
    Register(&'static str, &'static str, &'static str),
    Login(&'static str, &'static str),
    /// With the token of an earlier login, counted round and round.
    Me(usize),
}

#[derive(Default)]
struct Model {
    users: HashMap<&'static str, (&'static str, &'static str)>,
    tokens: Vec<(String, String)>,
}

impl Model {
    fn register(&mut self, username: &'static str, password: &'static str, role: &str) -> (u16, String) {
        if username.chars().count() < 3 || password.chars().count() < 4 {
            return (422, String::new());
        }
        if self.users.contains_key(username) {
            return (400, taken(username));
        }
        if password.len() > 72 {
            return (400, TOO_LONG.to_owned());
        }
        let role = match role.trim().to_lowercase().as_str() {
            "committee" => "committee",
            "admin" => "admin",
            _ => return (400, BAD_ROLE.to_owned()),
        };
        self.users.insert(username, (password, role));
        (200, user(username, role))
    }

    /// The body that `/auth/me` will answer, or why there is no login.
    fn log_in(&self, username: &str, password: &str) -> Result<String, &'static str> {
        match self.users.get(username) {
            _ if password.len() > 72 => Err(TOO_LONG),
            Some((right, role)) if *right == password => Ok(user(username, role)),
            _ => Err(WRONG),
        }
    }
}

fn user(username: &str, role: &str) -> String {
    json!({ "username": username, "role": role }).to_string()
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let name = || select(vec!["budi", "Budi", "siti", "札札札", "ab", "panitia1"]);
    let password = || {
        select(vec![
            "secret",
            "rahasia",
            "🔑🔑🔑🔑",
            "abc",
            "ééééééééééééééééééééééééééééééééééééé",
            "123456789012345678901234567890123456789012345678901234567890123456789012",
        ])
    };
    let role = select(vec!["committee", "admin", " ADMIN ", "nobody", ""]);
    prop::collection::vec(
        prop_oneof![
            (name(), password(), role)
                .prop_map(|(name, password, role)| Request::Register(name, password, role)),
            (name(), password()).prop_map(|(name, password)| Request::Login(name, password)),
            any::<usize>().prop_map(Request::Me),
        ],
        1..32,
    )
}

async fn agrees(app: &Router, model: &mut Model, request: &Request) {
    match *request {
        Request::Register(username, password, role) => {
            let answer = register_with(app, "", username, password, role).await;
            let (status, expected) = model.register(username, password, role);
            assert_eq!(answer.status, status, "{request:?}");
            if status != 422 {
                assert_eq!(answer.text().1, expected, "{request:?}");
            }
        }
        Request::Login(username, password) => {
            let answer = log_in(app, username, password).await;
            match model.log_in(username, password) {
                Ok(user) => model.tokens.push((token_of(&answer), user)),
                Err(detail) => assert_eq!(answer.text(), (400, detail), "{request:?}"),
            }
        }
        Request::Me(number) => {
            if let Some((token, user)) = model.tokens.get(number % model.tokens.len().max(1)) {
                assert_eq!(me(app, token).await.text(), (200, user.as_str()), "{request:?}");
            }
        }
    }
}

async fn any_sequence_of_requests_agrees_with_the_model(store: Store) {
    for_all(48, &requests(), async |requests| {
        // How many failures the guard forgives is no matter of the contract.
        let app = app_with(store, &[("login-guard", "off")]).await;
        let mut model = Model::default();
        // The demo users are there from the beginning.
        model.users.extend([("panitia1", ("secret", "committee")), ("admin1", ("secret", "admin"))]);
        for request in &requests {
            agrees(&app, &mut model, request).await;
        }
    });
}
