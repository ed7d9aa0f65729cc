//! Passwords after `BCRYPT_COST` was changed.

use axum::Router;
use identity_service::{
    AppState, app,
    password_hash::{Cost, PasswordHash},
    store::{User, Username, demo::demo_users},
};
use prometheus_client::encoding::text::encode;
use shared_auth::Role;
use shared_http::{metrics::Registry, telemetry::Telemetry};
use shared_service::{on_every_store, testing::Store};

use super::{WRONG, config, log_in};

on_every_store![
    a_login_brings_a_hash_to_the_cost_of_now_and_it_stays_there,
    a_password_that_was_changed_meanwhile_is_not_overwritten,
    whatever_the_costs_of_the_stored_hashes_every_refusal_takes_as_much_work,
];

/// The service, and what is behind it.
struct Service {
    app: Router,
    state: AppState,
    registry: Registry,
}

impl Service {
    async fn open(url: &str, cost: &str) -> Self {
        let config = config(url, &[("bcrypt-cost", cost), ("login-guard", "off")]);
        let mut registry = Registry::default();
        let state = AppState::open(&config, &mut registry).await.expect("a store");
        let app = app(state.clone(), &config, Telemetry::default());
        Self { app, state, registry }
    }

    async fn find(&self, username: &str) -> User {
        let found = self.state.users.find(&Username(username.to_owned())).await;
        found.expect("a store").expect("a user").user
    }

    async fn cost(&self, username: &str) -> u32 {
        self.find(username).await.password.cost().expect("a cost").power()
    }

    /// The rounds of bcrypt that a login takes.
    async fn rounds(&self, username: &str, password: &str) -> u64 {
        let before = self.total();
        let answer = log_in(&self.app, username, password).await;
        match password {
            "secret" => assert_eq!(answer.status, 200, "{username}"),
            _ => assert_eq!(answer.text(), (400, WRONG), "{username}"),
        }
        self.total() - before
    }

    fn total(&self) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics");
        let rounds = text.lines().find_map(|line| line.strip_prefix("tixgo_bcrypt_rounds_total "));
        rounds.expect("the rounds").parse().expect("a number")
    }

    /// As a service with another `BCRYPT_COST` did, with the password `secret`.
    async fn register(&self, username: &str, cost: u32) {
        let user =
            User { username: Username(username.to_owned()), role: Role::Committee, password: secret(cost) };
        self.state.users.register(user).await.expect("a store");
    }
}

fn secret(cost: u32) -> PasswordHash {
    demo_users(Cost::new(cost).expect("a cost")).swap_remove(0).password
}

async fn a_login_brings_a_hash_to_the_cost_of_now_and_it_stays_there(store: Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let url = store.new_url(directory.path()).await;
    let service = Service::open(&url, "6").await;
    service.register("cheap", 4).await;
    service.register("dear", 8).await;
    for username in ["cheap", "dear"] {
        let before = service.cost(username).await;
        service.rounds(username, "wrong").await;
        assert_eq!(service.cost(username).await, before, "a wrong password");
        assert_eq!(service.rounds(username, "secret").await, (1 << before) + (1 << 6));
        let rehashed = service.find(username).await;
        assert_eq!(service.cost(username).await, 6);
        assert_eq!(service.rounds(username, "secret").await, 1 << 6);
        assert_eq!(service.find(username).await.password, rehashed.password, "once");
        assert_eq!(rehashed.role, Role::Committee);
    }
    if store != Store::Memory {
        let stored = service.find("cheap").await.password;
        drop(service);
        let service = Service::open(&url, "6").await;
        assert_eq!(service.find("cheap").await.password, stored);
        assert_eq!(service.rounds("cheap", "secret").await, 1 << 6);
    }
}

async fn a_password_that_was_changed_meanwhile_is_not_overwritten(store: Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let service = Service::open(&store.new_url(directory.path()).await, "6").await;
    service.register("budi", 4).await;
    let old = service.find("budi").await;
    service.state.users.rehash(&old, secret(5)).await.expect("a store");
    assert_eq!(service.cost("budi").await, 5);
    service.state.users.rehash(&old, secret(6)).await.expect("a store");
    assert_eq!(service.cost("budi").await, 5);
    let nobody = User { username: Username("nobody".to_owned()), ..old };
    service.state.users.rehash(&nobody, secret(6)).await.expect("a store");
    assert_eq!(service.rounds("nobody", "wrong").await, 1 << 6);
}

async fn whatever_the_costs_of_the_stored_hashes_every_refusal_takes_as_much_work(store: Store) {
    for (now, greatest) in [("5", 7), ("9", 9)] {
        let directory = tempfile::tempdir().expect("a directory");
        let url = store.new_url(directory.path()).await;
        let mut service = Service::open(&url, now).await;
        service.register("cheap", 4).await;
        service.register("dear", 7).await;
        service.register("current", now.parse().expect("a cost")).await;
        if store == Store::Memory {
            // What is only in memory has the cost of now; this one is seen.
            service.rounds("dear", "wrong").await;
        } else {
            drop(service);
            service = Service::open(&url, now).await;
        }
        for username in ["nobody", "cheap", "dear", "current", "panitia1", "Nobody"] {
            for password in ["wrong", "", "secret\0"] {
                assert_eq!(
                    service.rounds(username, password).await,
                    1 << greatest,
                    "{username} {password:?}"
                );
            }
        }
    }
}
