//! Whatever is asked in whatever order, the answers are those of a model that fits on two pages.

mod people;

use axum::{Router, http::Method};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use shared_http::testing::{Answer, call, get, post};
use shared_service::{
    on_every_store,
    testing::{Store, property::for_all},
};

use self::people::{Expected, People, user};
use super::{
    LOGIN, LOGOUT, Later, PASSWORD, USERS, app_with_clock, me, refresh, refresh_token_of, register_with,
    token_as, token_of,
};

on_every_store![any_sequence_of_requests_agrees_with_the_model];

#[derive(Clone, Debug)]
enum Request {
    Register(&'static str, &'static str, &'static str),
    /// Whether to be remembered comes last.
    Login(&'static str, &'static str, bool),
    /// With the token of an earlier login, counted round and round.
    Me(usize),
    /// Role, whether active, and password: what is given.
    Change(&'static str, Option<&'static str>, Option<bool>, Option<&'static str>),
    Remove(&'static str),
    List,
    /// The old password, and the new one.
    Password(&'static str, &'static str, &'static str),
    /// With any refresh token that was ever given, counted round and round.
    Refresh(usize),
    Logout(usize),
    /// Until every used refresh token is past its grace.
    Wait,
}

/// What a client keeps.
#[derive(Default)]
struct Client {
    /// Access tokens, and what `/auth/me` says of them.
    tokens: Vec<(String, String)>,
    refresh_tokens: Vec<String>,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let name = || select(vec!["budi", "Budi", "siti", "札札札", "ab", "panitia1", "admin1"]);
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
    // Those of the demo users, more often than others.
    let known = || prop_oneof![Just("secret"), password()];
    let role = || select(vec!["committee", "admin", " ADMIN ", "nobody", ""]);
    let change = (
        name(),
        prop::option::of(role()),
        prop::option::of(any::<bool>()),
        prop::option::weighted(0.2, password()),
    );
    let request = prop_oneof![
        2 => (name(), password(), role()).prop_map(|(name, password, role)| Request::Register(name, password, role)),
        4 => (name(), known(), any::<bool>())
            .prop_map(|(name, password, remember)| Request::Login(name, password, remember)),
        1 => any::<usize>().prop_map(Request::Me),
        3 => change.prop_map(|(name, role, active, password)| Request::Change(name, role, active, password)),
        1 => name().prop_map(Request::Remove),
        1 => Just(Request::List),
        1 => (name(), known(), password()).prop_map(|(name, old, new)| Request::Password(name, old, new)),
        5 => any::<usize>().prop_map(Request::Refresh),
        1 => any::<usize>().prop_map(Request::Logout),
        1 => Just(Request::Wait),
    ];
    prop::collection::vec(request, 1..40)
}

async fn send(app: &Router, method: Method, path: &str, token: &str, body: &Value) -> Answer {
    call(app, method, path).bearer(token).json(body).send().await
}

fn assert_answer(answer: &Answer, (status, body): &Expected, request: &Request) {
    assert_eq!(answer.status, *status, "{request:?} {answer:?}");
    // What a 422 says is told by other tests.
    if *status != 422 {
        assert_eq!(answer.text().1, body, "{request:?}");
    }
}

async fn agrees(app: &Router, later: &Later, people: &mut People, client: &mut Client, request: &Request) {
    let admin = token_as("kepala", "admin");
    match *request {
        Request::Register(username, password, role) => {
            let answer = register_with(app, "", username, password, role).await;
            assert_answer(&answer, &people.register(username, password, role), request);
        }
        Request::Login(username, password, remember) => {
            let body = json!({ "username": username, "password": password, "remember": remember });
            let answer = post(app, LOGIN).json(&body).send().await;
            match people.log_in(username, password) {
                Ok(role) => {
                    client.tokens.push((token_of(&answer), user(username, role)));
                    assert_eq!(answer.json().get("refresh_token").is_some(), remember);
                    if remember {
                        let token = refresh_token_of(&answer);
                        people.open_session(username, &token);
                        client.refresh_tokens.push(token);
                    }
                }
                Err(expected) => assert_answer(&answer, &expected, request),
            }
        }
        Request::Me(number) => {
            if let Some((token, user)) = client.tokens.get(number % client.tokens.len().max(1)) {
                assert_eq!(me(app, token).await.text(), (200, user.as_str()), "{request:?}");
            }
        }
        Request::Change(username, role, active, password) => {
            let body = json!({ "role": role, "active": active, "password": password });
            let answer = send(app, Method::PATCH, &format!("/users/{username}"), &admin, &body).await;
            let (status, mut expected) = people.change(username, role, active, password);
            if status == 200 {
                let created_at = &answer.json()["created_at"];
                expected = format!(r#"{},"created_at":{created_at}}}"#, expected.trim_end_matches('}'));
            }
            assert_answer(&answer, &(status, expected), request);
        }
        Request::Remove(username) => {
            let answer = send(app, Method::DELETE, &format!("/users/{username}"), &admin, &Value::Null).await;
            assert_answer(&answer, &people.remove(username), request);
        }
        Request::List => {
            let answer = get(app, USERS).bearer(&admin).send().await;
            let mut listed = answer.json();
            for user in listed.as_array_mut().expect("a list") {
                user.as_object_mut().expect("a user").remove("created_at").expect("a time");
            }
            assert_eq!(listed.to_string(), people.list(), "{request:?}");
        }
        Request::Password(username, old, new) => {
            let body = json!({ "old_password": old, "new_password": new });
            let token = token_as(username, "committee");
            let answer = send(app, Method::POST, PASSWORD, &token, &body).await;
            assert_answer(&answer, &people.set_password(username, old, new), request);
        }
        Request::Refresh(number) => {
            let Some(token) = client.refresh_tokens.get(number % client.refresh_tokens.len().max(1)) else {
                return;
            };
            let answer = refresh(app, token).await;
            match people.refresh(token) {
                Ok((username, role, newest)) => {
                    assert_eq!(me(app, &token_of(&answer)).await.text().1, user(&username, role));
                    let given = refresh_token_of(&answer);
                    match newest {
                        Some(newest) => assert_eq!(given, newest, "{request:?}"),
                        None => {
                            assert!(!client.refresh_tokens.contains(&given), "{request:?}");
                            people.renew(token, &given);
                            client.refresh_tokens.push(given);
                        }
                    }
                }
                Err(expected) => assert_answer(&answer, &expected, request),
            }
        }
        Request::Logout(number) => {
            if let Some(token) = client.refresh_tokens.get(number % client.refresh_tokens.len().max(1)) {
                let answer = post(app, LOGOUT).json(&json!({ "refresh_token": token })).send().await;
                assert_eq!(answer.text(), (200, r#"{"status":"logged_out"}"#));
                people.log_out(token);
            }
        }
        Request::Wait => {
            later.by(31);
            people.wait();
        }
    }
}

async fn any_sequence_of_requests_agrees_with_the_model(store: Store) {
    for_all(48, &requests(), async |requests| {
        // How many failures the guard forgives is no matter of the contract.
        let (app, later) = app_with_clock(store, &[("login-guard", "off")]).await;
        let (mut people, mut client) = (People::with_demo_users(), Client::default());
        for request in &requests {
            agrees(&app, &later, &mut people, &mut client, request).await;
        }
    });
}
