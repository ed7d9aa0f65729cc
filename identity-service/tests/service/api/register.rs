use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::json;
use shared_http::testing::post;
use shared_service::{
    on_every_store,
    testing::{
        Store,
        app::detail,
        forge::{self, claims},
    },
};
use tokio::task::JoinSet;

use super::{
    BAD_ROLE, REGISTER, STRONG, TOO_LONG, app, app_with, log_in, me, register, register_with, taken, token_of,
};

on_every_store![
    a_role_is_trimmed_and_lower_cased,
    a_name_is_given_once_and_told_apart_character_by_character,
    lengths_are_counted_in_characters_and_72_bytes_of_a_password_all_count,
    of_500_that_ask_for_a_name_at_once_one_gets_it,
    the_first_admin_is_there_from_the_start_and_registers_the_others,
];

/// One character, four bytes.
const KEY: &str = "🔑";

async fn a_role_is_trimmed_and_lower_cased(store: Store) {
    let app = app_with(store, &[]).await;
    for (number, (role, expected)) in [
        ("committee", Ok("committee")),
        ("admin", Ok("admin")),
        ("ADMIN", Ok("admin")),
        ("  Committee ", Ok("committee")),
        ("\tadMin\r\n", Ok("admin")),
        ("\u{a0}admin\u{2003}", Ok("admin")),
        ("", Err(BAD_ROLE)),
        ("   ", Err(BAD_ROLE)),
        ("superuser", Err(BAD_ROLE)),
        ("admin admin", Err(BAD_ROLE)),
        ("adm in", Err(BAD_ROLE)),
        ("admins", Err(BAD_ROLE)),
        ("ＡＤＭＩＮ", Err(BAD_ROLE)),
        // Nothing that is stored: no reason to refuse it in other words.
        ("admin\0", Err(BAD_ROLE)),
    ]
    .into_iter()
    .enumerate()
    {
        let username = format!("user{number}");
        let answer = register_with(&app, "", &username, "rahasia", role).await;
        match expected {
            Ok(role) => {
                let body = format!(r#"{{"username":"{username}","role":"{role}"}}"#);
                assert_eq!(answer.text(), (200, body.as_str()));
                assert_eq!(answer.headers["content-type"], "application/json");
                let token = token_of(&log_in(&app, &username, "rahasia").await);
                assert_eq!(me(&app, &token).await.text(), (200, body.as_str()));
            }
            Err(detail) => assert_eq!(answer.text(), (400, detail), "{role:?}"),
        }
    }
}

async fn a_name_is_given_once_and_told_apart_character_by_character(store: Store) {
    let app = app_with(store, &[]).await;
    let alike = ["siti", "Siti", "siti ", " siti", "s\u{ed}ti", "si\u{301}ti"];
    let strange = [r#"a"b\c"#, "ユーザー", "🎫🎫🎫", "<b>&amp;", "{username}", "line\nbreak", "   "];
    let names = [&alike[..], &strange].concat();
    for username in &names {
        assert_eq!(register(&app, username, "rahasia").await.status, 200, "{username:?}");
    }
    for username in names {
        for password in ["rahasia", "another"] {
            let answer = register(&app, username, password).await;
            assert_eq!(answer.text(), (400, taken(username).as_str()), "{username:?}");
        }
        assert_eq!(log_in(&app, username, "rahasia").await.status, 200, "the first password is kept");
        assert_eq!(log_in(&app, username, "another").await.status, 400);
    }
}

async fn lengths_are_counted_in_characters_and_72_bytes_of_a_password_all_count(store: Store) {
    let app = app_with(store, &[]).await;
    for character in ["a", "é", "札", KEY] {
        for length in [3, 4, 49, 50] {
            let username = character.repeat(length);
            assert_eq!(register(&app, &username, "rahasia").await.status, 200, "{username}");
        }
    }
    for (number, (password, status)) in [
        ("    ".to_owned(), 200),
        ("a".repeat(4), 200),
        ("a".repeat(72), 200),
        ("a".repeat(73), 400),
        ("a".repeat(200), 400),
        ("é".repeat(4), 200),
        ("é".repeat(36), 200),
        (format!("a{}", "é".repeat(36)), 400),
        ("札".repeat(4), 200),
        ("札".repeat(24), 200),
        ("札".repeat(25), 400),
        (KEY.repeat(4), 200),
        (KEY.repeat(18), 200),
        (format!("{}a", KEY.repeat(18)), 400),
        (KEY.repeat(200), 400),
    ]
    .into_iter()
    .enumerate()
    {
        let username = format!("user{number}");
        let answer = register(&app, &username, &password).await;
        assert_eq!(answer.status, status, "{password} ({} bytes)", password.len());
        if status == 400 {
            assert_eq!(answer.text(), (400, TOO_LONG), "{password}");
            continue;
        }
        // None is cut off in silence.
        assert_eq!(log_in(&app, &username, &password).await.status, 200, "{password}");
        let mut shorter = password.clone();
        shorter.pop();
        assert_eq!(log_in(&app, &username, &shorter).await.status, 400, "{password}");
    }
}

async fn of_500_that_ask_for_a_name_at_once_one_gets_it(store: Store) {
    let app = app_with(store, &[("login-guard", "off")]).await;
    let mut asking = JoinSet::new();
    for number in 0..500 {
        let (app, password) = (app.clone(), format!("password {number}"));
        asking.spawn(async move { (register(&app, "budi", &password).await, password) });
    }
    let mut answers = asking.join_all().await;
    // Once nobody else asks: if all were refused, this one gets the name.
    answers.push((register(&app, "budi", "the last").await, "the last".to_owned()));
    let (mut winners, mut refused) = (Vec::new(), Vec::new());
    for (answer, password) in answers {
        match answer.status.as_u16() {
            200 => winners.push(password),
            400 => assert_eq!(answer.text().1, taken("budi")),
            503 => {
                assert!(detail(&answer).is_string());
                answer.header(RETRY_AFTER).parse::<u32>().expect("Retry-After in seconds");
                refused.push(password);
            }
            status => panic!("{status} {answer:?}"),
        }
    }
    assert!(winners.len() <= 1, "{winners:?}");
    // A store that is slow may refuse whom it registers.
    let may_be_right = if winners.is_empty() { refused } else { winners };
    let mut right = 0;
    for password in &may_be_right {
        right += usize::from(log_in(&app, "budi", password).await.status == 200);
    }
    assert_eq!(right, 1, "{may_be_right:?}");
}

/// The operator's password wins over that of a demo user with the same name.
async fn the_first_admin_is_there_from_the_start_and_registers_the_others(store: Store) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), " kata sandi \r\n").unwrap();
    for (username, demo_users) in [("kepala", "false"), ("admin1", "true")] {
        let settings = [
            ("registration", "admin"),
            ("demo-users", demo_users),
            ("admin-username", username),
            ("admin-password-file", file.path().to_str().expect("UTF-8")),
        ];
        let app = app_with(store, &settings).await;
        let token = token_of(&log_in(&app, username, " kata sandi").await);
        let body = json!({ "username": username, "role": "admin" }).to_string();
        assert_eq!(me(&app, &token).await.text(), (200, body.as_str()));
        assert_eq!(register_with(&app, &token, "budi", "rahasia", "committee").await.status, 200);
        for password in ["kata sandi", "secret"] {
            assert_eq!(log_in(&app, username, password).await.status, 400, "{username} {password}");
        }
    }
}

#[tokio::test]
async fn extra_fields_and_query_parameters_are_ignored_and_nobody_is_an_admin_by_default() {
    let app = app().await;
    let body = r#"{"id":1,"username":"budi","roles":["admin"],"password":"rahasia","Role":"admin","x":{}}"#;
    let call =
        post(&app, "/auth/register?username=x&role=admin&role=%zz").header(CONTENT_TYPE, "application/json");
    assert_eq!(call.body(body).send().await.text(), (200, r#"{"username":"budi","role":"committee"}"#));
}

const ADMINS_ONLY: &str = r#"{"detail":"Hanya admin yang dapat mendaftarkan user"}"#;
const ONLY_ADMINS_ADMINS: &str = r#"{"detail":"Hanya admin yang dapat mendaftarkan admin"}"#;
const CLOSED: &str = r#"{"detail":"Pendaftaran user ditutup"}"#;
const MISSING: &str = r#"{"detail":"Missing Authorization header"}"#;
const INVALID: &str = r#"{"detail":"Invalid token"}"#;

fn token_of_role(role: &str) -> String {
    let mut claims = claims();
    claims["role"] = json!(role);
    forge::token(&claims)
}

fn expired_token_of_an_admin() -> String {
    let mut claims = claims();
    (claims["role"], claims["exp"]) = (json!("admin"), json!(1));
    forge::token(&claims)
}

#[tokio::test]
async fn the_policy_says_who_registers_admins_and_who_registers_others() {
    let (committee, admin, expired) =
        (token_of_role("committee"), token_of_role("admin"), expired_token_of_an_admin());
    let tokens = ["", "x", &committee, &expired, &admin];
    // For each token what `committee` and `admin` get, nothing being an accepted registration.
    let accepted = [(200, ""); 5];
    let by_admins = [
        (401, MISSING),
        (401, INVALID),
        (403, ADMINS_ONLY),
        (401, r#"{"detail":"Token expired"}"#),
        (200, ""),
    ];
    let committee_itself = [(403, ONLY_ADMINS_ADMINS); 4];
    let committee_itself = [&committee_itself[..], &[(200, "")]].concat();
    let refused = [(403, CLOSED); 5];
    for (policy, of_committee, of_admins) in [
        ("open", &accepted[..], &accepted[..]),
        ("committee", &accepted, &committee_itself),
        ("admin", &by_admins, &by_admins),
        ("closed", &refused, &refused),
    ] {
        let app = app_with(Store::Memory, &[("registration", policy)]).await;
        for (number, token) in tokens.into_iter().enumerate() {
            for (role, expected) in [("committee", of_committee[number]), ("admin", of_admins[number])] {
                let username = format!("{role}-{number}");
                let answer = register_with(&app, token, &username, "rahasia", role).await;
                let body = format!(r#"{{"username":"{username}","role":"{role}"}}"#);
                let body = if expected.0 == 200 { &body } else { expected.1 };
                assert_eq!(answer.text(), (expected.0, body), "{policy} {token:?} {role}");
            }
        }
        assert_eq!(log_in(&app, "panitia1", "secret").await.status, 200, "{policy}");
    }
}

#[tokio::test]
async fn where_admins_register_nobody_else_learns_of_mistakes_or_of_names_that_are_taken() {
    let app = app_with(Store::Memory, &[("registration", "admin")]).await;
    for (token, broken, of_taken_name) in [
        (String::new(), 401, (401, MISSING.to_owned())),
        (token_of_role("committee"), 403, (403, ADMINS_ONLY.to_owned())),
        (token_of_role("admin"), 422, (400, taken("admin1"))),
    ] {
        assert_eq!(post(&app, REGISTER).bearer(&token).body("{bad").send().await.status, broken);
        let answer = register_with(&app, &token, "admin1", "rahasia", "committee").await;
        assert_eq!(answer.text(), (of_taken_name.0, of_taken_name.1.as_str()), "{token}");
    }
}

#[tokio::test]
async fn where_only_admins_register_admins_all_else_is_checked_before_that() {
    let (app, long) = (app_with(Store::Memory, &[("registration", "committee")]).await, "é".repeat(37));
    for (username, password, role, status, body) in [
        ("admin1", "rahasia", "admin", 400, taken("admin1")),
        ("andi", &long, "admin", 400, TOO_LONG.to_owned()),
        ("andi", &long, "nobody", 400, TOO_LONG.to_owned()),
        ("andi", "rahasia", "nobody", 400, BAD_ROLE.to_owned()),
        ("andi", "rahasia", " ADMIN ", 403, ONLY_ADMINS_ADMINS.to_owned()),
        // A refusal leaves the name free.
        ("andi", "rahasia", "committee", 200, r#"{"username":"andi","role":"committee"}"#.to_owned()),
    ] {
        let answer = register_with(&app, "", username, password, role).await;
        assert_eq!(answer.text(), (status, body.as_str()), "{username} {password} {role}");
    }
    assert_eq!(register_with(&app, "", "siti", "abc", "admin").await.status, 422);
}

#[tokio::test]
async fn who_may_register_is_everybody_in_development_and_the_committee_in_production() {
    let production = [("app-env", "production"), ("bcrypt-cost", "10"), ("jwt-secret", STRONG)];
    for (settings, status) in [(&[][..], 200), (&production, 403)] {
        let app = app_with(Store::Memory, settings).await;
        assert_eq!(register(&app, "budi", "rahasia").await.status, 200, "{settings:?}");
        let answer = register_with(&app, "", "andi", "rahasia", "admin").await;
        assert_eq!(answer.status, status, "{settings:?}");
    }
}
