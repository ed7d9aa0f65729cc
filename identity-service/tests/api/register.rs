use axum::{Router, http::header::RETRY_AFTER};
use identity_service::AppState;
use serde_json::json;
use shared_http::{
    metrics::Registry,
    testing::{Answer, call, post},
};

use crate::{
    BAD_ROLE, REGISTER, TOO_LONG, app, app_on, app_with, config, detail,
    forge::{self, claims},
    log_in, me, new_store, register, taken, token_of,
};

/// One character, four bytes.
const KEY: &str = "🔑";

#[tokio::test]
async fn a_registration_answers_the_name_and_the_role() {
    let answer = register(&app().await, "panitia2", "rahasia").await;
    assert_eq!(answer.text(), (200, r#"{"username":"panitia2","role":"committee"}"#));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_role_is_trimmed_and_lower_cased() {
    let app = app().await;
    let rows = [
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
    ];
    for (number, (role, expected)) in rows.into_iter().enumerate() {
        let username = format!("user{number}");
        let body = json!({ "username": username, "password": "rahasia", "role": role });
        let answer = post(&app, REGISTER).json(&body).send().await;
        match expected {
            Ok(role) => {
                let body = json!({ "username": username, "role": role }).to_string();
                assert_eq!(answer.text(), (200, body.as_str()), "{body}");
                let token = token_of(&log_in(&app, &username, "rahasia").await);
                assert_eq!(me(&app, &token).await.text(), (200, body.as_str()), "{body}");
            }
            Err(detail) => assert_eq!(answer.text(), (400, detail), "{body}"),
        }
    }
}

#[tokio::test]
async fn a_name_is_given_once() {
    let app = app().await;
    assert_eq!(register(&app, "budi", "rahasia").await.status, 200);
    for password in ["rahasia", "another"] {
        let answer = register(&app, "budi", password).await;
        assert_eq!(answer.text(), (400, r#"{"detail":"User budi sudah terdaftar"}"#));
    }
    assert_eq!(log_in(&app, "budi", "rahasia").await.status, 200, "the first password is kept");
    assert_eq!(log_in(&app, "budi", "another").await.status, 400);
}

#[tokio::test]
async fn the_refusal_of_a_taken_name_quotes_any_name() {
    let app = app().await;
    for username in [r#"a"b\c"#, "ユーザー", "🎫🎫🎫", "<b>&amp;", "{username}", "line\nbreak", "   "]
    {
        assert_eq!(register(&app, username, "rahasia").await.status, 200, "{username:?}");
        let answer = register(&app, username, "rahasia").await;
        assert_eq!(answer.text(), (400, taken(username).as_str()), "{username:?}");
    }
}

#[tokio::test]
async fn names_are_told_apart_character_by_character() {
    let app = app().await;
    for username in ["siti", "Siti", "siti ", " siti", "s\u{ed}ti", "si\u{301}ti"] {
        assert_eq!(register(&app, username, "rahasia").await.status, 200, "{username:?}");
    }
}

#[tokio::test]
async fn demo_users_take_their_names_only_where_they_are_switched_on() {
    for username in ["panitia1", "admin1"] {
        let answer = register(&app().await, username, "rahasia").await;
        assert_eq!(answer.text(), (400, taken(username).as_str()));
        let answer = register(&app_with(&[("demo-users", "false")]).await, username, "rahasia").await;
        assert_eq!(answer.status, 200, "{username}");
    }
}

#[tokio::test]
async fn lengths_within_the_bounds_are_accepted_in_characters_of_any_width() {
    let app = app().await;
    for character in ["a", "é", "札", KEY] {
        for length in [3, 4, 49, 50] {
            let username = character.repeat(length);
            assert_eq!(register(&app, &username, "rahasia").await.status, 200, "{username}");
        }
    }
    for (number, password) in ["abcd", "éééé", "札札札札", &KEY.repeat(4), "    "].into_iter().enumerate()
    {
        assert_eq!(register(&app, &format!("pass{number}"), password).await.status, 200, "{password}");
        assert_eq!(log_in(&app, &format!("pass{number}"), password).await.status, 200, "{password}");
    }
}

#[tokio::test]
async fn a_password_may_have_72_bytes_and_no_more() {
    let app = app().await;
    let rows = [
        ("a".repeat(71), 200),
        ("a".repeat(72), 200),
        ("a".repeat(73), 400),
        ("a".repeat(200), 400),
        ("é".repeat(36), 200),
        (format!("a{}", "é".repeat(36)), 400),
        ("é".repeat(37), 400),
        ("札".repeat(24), 200),
        ("札".repeat(25), 400),
        (KEY.repeat(18), 200),
        (format!("{}a", KEY.repeat(18)), 400),
        (KEY.repeat(200), 400),
    ];
    for (number, (password, status)) in rows.iter().enumerate() {
        let username = format!("user{number}");
        let answer = register(&app, &username, password).await;
        assert_eq!(answer.status, *status, "{password} ({} bytes)", password.len());
        if *status == 400 {
            assert_eq!(answer.text(), (400, TOO_LONG), "{password}");
            continue;
        }
        // Every byte counts: none is cut off in silence.
        assert_eq!(log_in(&app, &username, password).await.status, 200, "{password}");
        let mut shorter = password.clone();
        shorter.pop();
        assert_eq!(log_in(&app, &username, &shorter).await.status, 400, "{password}");
    }
}

#[tokio::test]
async fn the_schema_comes_before_the_name_the_name_before_the_bytes_and_the_bytes_before_the_role() {
    let app = app().await;
    assert_eq!(register(&app, "budi", "rahasia").await.status, 200);
    let long = "é".repeat(37);
    let rows = [
        ("budi", "abc", "nobody", 422, None),
        ("budi", long.as_str(), "nobody", 400, Some(taken("budi"))),
        ("budi", "rahasia", "nobody", 400, Some(taken("budi"))),
        ("budi", long.as_str(), "admin", 400, Some(taken("budi"))),
        ("andi", long.as_str(), "nobody", 400, Some(TOO_LONG.to_owned())),
        ("andi", "rahasia", "nobody", 400, Some(BAD_ROLE.to_owned())),
    ];
    for (username, password, role, status, body) in rows {
        let request = json!({ "username": username, "password": password, "role": role });
        let answer = post(&app, REGISTER).json(&request).send().await;
        assert_eq!(answer.status, status, "{request}");
        if let Some(body) = body {
            assert_eq!(answer.text(), (status, body.as_str()), "{request}");
        }
    }
    assert_eq!(register(&app, "andi", "rahasia").await.status, 200, "a refusal leaves the name free");
}

#[tokio::test]
async fn extra_fields_and_query_parameters_are_ignored() {
    let app = app().await;
    let body = r#"{"id":1,"username":"budi","roles":["admin"],"password":"rahasia","Role":"admin","x":{}}"#;
    let answer = call(&app, axum::http::Method::POST, "/auth/register?username=x&role=admin&role=%zz");
    let answer = answer.header(axum::http::header::CONTENT_TYPE, "application/json").body(body).send().await;
    assert_eq!(answer.text(), (200, r#"{"username":"budi","role":"committee"}"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_500_that_ask_for_a_name_at_once_one_gets_it() {
    let app = app().await;
    let asking: Vec<_> = (0..500)
        .map(|number| {
            let app = app.clone();
            tokio::spawn(async move { register(&app, "budi", &format!("password {number}")).await })
        })
        .collect();

    let mut winners = Vec::new();
    for (number, asking) in asking.into_iter().enumerate() {
        let answer = asking.await.expect("an answer");
        match answer.status.as_u16() {
            200 => winners.push(number),
            400 => assert_eq!(answer.text().1, taken("budi")),
            503 => {
                assert!(detail(&answer).is_string());
                answer.header(RETRY_AFTER).parse::<u32>().expect("Retry-After in seconds");
            }
            status => panic!("{status} {answer:?}"),
        }
    }
    let [winner] = winners[..] else { panic!("{winners:?}") };
    let answer = log_in(&app, "budi", &format!("password {winner}")).await;
    assert_eq!(answer.status, 200, "the password is the winner's");
    assert_eq!(register(&app, "budi", "rahasia").await.text(), (400, taken("budi").as_str()));
}

const ADMINS_ONLY: &str = r#"{"detail":"Hanya admin yang dapat mendaftarkan user"}"#;
const CLOSED: &str = r#"{"detail":"Pendaftaran user ditutup"}"#;

async fn register_as(app: &Router, token: &str, username: &str) -> Answer {
    let body = json!({ "username": username, "password": "rahasia", "role": "admin" });
    post(app, REGISTER).bearer(token).json(&body).send().await
}

fn token_of_role(role: &str) -> String {
    let mut claims = claims();
    claims["role"] = json!(role);
    forge::token(&claims)
}

#[tokio::test]
async fn where_registration_is_open_a_token_makes_no_difference() {
    let app = app_with(&[("registration", "open")]).await;
    for (number, token) in ["", "x", &token_of_role("committee"), &token_of_role("admin")].iter().enumerate()
    {
        assert_eq!(register_as(&app, token, &format!("user{number}")).await.status, 200, "{token:?}");
    }
}

#[tokio::test]
async fn where_admins_register_a_token_of_an_admin_is_needed() {
    let app = app_with(&[("registration", "admin")]).await;
    let answer = register(&app, "budi", "rahasia").await;
    assert_eq!(answer.text(), (401, r#"{"detail":"Missing Authorization header"}"#));
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    let answer = register_as(&app, "x", "budi").await;
    assert_eq!(answer.text(), (401, r#"{"detail":"Invalid token"}"#));
    let answer = register_as(&app, &token_of_role("committee"), "budi").await;
    assert_eq!(answer.text(), (403, ADMINS_ONLY));
    // Before the body is looked at, and before a name is told to be taken.
    let broken = post(&app, REGISTER).bearer(&token_of_role("committee")).body("{bad").send().await;
    assert_eq!(broken.text(), (403, ADMINS_ONLY));
    assert_eq!(register(&app, "admin1", "rahasia").await.status, 401);

    let token = token_of(&log_in(&app, "admin1", "secret").await);
    assert_eq!(
        register_as(&app, &token, "budi").await.text(),
        (200, r#"{"username":"budi","role":"admin"}"#)
    );
    assert_eq!(register_as(&app, &token, "budi").await.text(), (400, taken("budi").as_str()));
    assert_eq!(post(&app, REGISTER).bearer(&token).body("{bad").send().await.status, 422);
    let token = token_of(&log_in(&app, "budi", "rahasia").await);
    assert_eq!(register_as(&app, &token, "siti").await.status, 200);
}

#[tokio::test]
async fn where_the_committee_registers_itself_only_an_admin_registers_an_admin() {
    const REFUSED: &str = r#"{"detail":"Hanya admin yang dapat mendaftarkan admin"}"#;
    let app = app_with(&[("registration", "committee")]).await;
    assert_eq!(register(&app, "budi", "rahasia").await.status, 200);
    let mut expired = claims();
    (expired["role"], expired["exp"]) = (json!("admin"), json!(1));
    for token in ["", "x", &token_of_role("committee"), &forge::token(&expired)] {
        assert_eq!(register_as(&app, token, "andi").await.text(), (403, REFUSED), "{token:?}");
    }
    // In the order of the checks: schema, name, bytes, role.
    let long = "é".repeat(37);
    for (username, password, role, status, body) in [
        ("andi", "abc", "admin", 422, None),
        ("budi", "rahasia", "admin", 400, Some(taken("budi"))),
        ("andi", &long, "admin", 400, Some(TOO_LONG.to_owned())),
        ("andi", "rahasia", "nobody", 400, Some(BAD_ROLE.to_owned())),
        ("andi", "rahasia", " ADMIN ", 403, Some(REFUSED.to_owned())),
    ] {
        let request = json!({ "username": username, "password": password, "role": role });
        let answer = post(&app, REGISTER).json(&request).send().await;
        assert_eq!(answer.status, status, "{request}");
        if let Some(body) = body {
            assert_eq!(answer.text(), (status, body.as_str()), "{request}");
        }
    }
    // Whatever is wrong with a token, it takes nothing away from who needs none.
    for (number, token) in ["x", &token_of_role("committee"), &forge::token(&expired)].iter().enumerate() {
        let body = json!({ "username": format!("user{number}"), "password": "rahasia" });
        assert_eq!(post(&app, REGISTER).bearer(token).json(&body).send().await.status, 200, "{token:?}");
    }
    let token = token_of(&log_in(&app, "admin1", "secret").await);
    assert_eq!(
        register_as(&app, &token, "andi").await.text(),
        (200, r#"{"username":"andi","role":"admin"}"#)
    );
}

#[tokio::test]
async fn who_may_register_is_everybody_in_development_and_the_committee_in_production() {
    let production = [
        ("app-env", "production"),
        ("bcrypt-cost", "10"),
        ("jwt-secret", "Zk3vQ0y8r1Jt5uLw7nXb2cHd9sGfAePm"),
    ];
    for (settings, status) in [(&[][..], 200), (&production, 403)] {
        let app = app_with(settings).await;
        assert_eq!(register(&app, "budi", "rahasia").await.status, 200, "{settings:?}");
        assert_eq!(register_as(&app, "", "andi").await.status, status, "{settings:?}");
    }
}

#[tokio::test]
async fn where_registration_is_closed_nobody_registers() {
    let app = app_with(&[("registration", "closed")]).await;
    assert_eq!(register(&app, "budi", "rahasia").await.text(), (403, CLOSED));
    for token in ["x", &token_of_role("committee"), &token_of_role("admin")] {
        assert_eq!(register_as(&app, token, "budi").await.text(), (403, CLOSED));
    }
    assert_eq!(log_in(&app, "panitia1", "secret").await.status, 200);
}

#[tokio::test]
async fn the_first_admin_is_there_from_the_start_and_registers_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, " kata sandi \r\n").expect("a file");
    let settings = [
        ("registration", "admin"),
        ("demo-users", "false"),
        ("admin-username", "kepala"),
        ("admin-password-file", file.to_str().expect("UTF-8")),
    ];
    let app = app_with(&settings).await;
    let token = token_of(&log_in(&app, "kepala", " kata sandi").await);
    assert_eq!(me(&app, &token).await.text(), (200, r#"{"username":"kepala","role":"admin"}"#));
    assert_eq!(register_as(&app, &token, "budi").await.status, 200);
    assert_eq!(log_in(&app, "kepala", "kata sandi").await.status, 400);
}

#[tokio::test]
async fn the_first_admin_keeps_its_password_and_is_nobody_whom_a_stranger_registered() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    let file = file.to_str().expect("UTF-8");
    let settings = [("admin-username", "budi"), ("admin-password-file", file)];
    let url = new_store(directory.path()).await;
    if url == "memory:" {
        return;
    }
    std::fs::write(file, "the first").expect("a file");
    let app = app_on(&url, &settings).await;
    assert_eq!(register(&app, "siti", "rahasia").await.status, 200);
    drop(app);

    std::fs::write(file, "the second").expect("a file");
    let app = app_on(&url, &settings).await;
    assert_eq!(log_in(&app, "budi", "the first").await.status, 200);
    assert_eq!(log_in(&app, "budi", "the second").await.status, 400);
    drop(app);

    let config = config(&url, &[("admin-username", "siti"), ("admin-password-file", file)]);
    let refusal = AppState::open(&config, &mut Registry::default()).await.err().expect("a refusal");
    assert!(refusal.to_string().contains("it was not the operator who made that user"), "{refusal}");
}

#[tokio::test]
async fn of_replicas_that_start_at_once_one_registers_the_first_admin() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = new_store(directory.path()).await;
    if !url.starts_with("postgres") {
        return;
    }
    let replicas = (0..8).map(|number| {
        let file = directory.path().join(number.to_string());
        std::fs::write(&file, format!("password {number}")).expect("a file");
        let file = file.to_str().expect("UTF-8").to_owned();
        let url = &url;
        async move {
            app_on(
                url,
                &[("admin-username", "kepala"), ("admin-password-file", &file), ("login-guard", "off")],
            )
            .await
        }
    });
    let apps = futures_util::future::join_all(replicas).await;
    let mut roles = Vec::new();
    for number in 0..8 {
        let mut accepted = 0;
        for app in &apps {
            let answer = log_in(app, "kepala", &format!("password {number}")).await;
            if answer.status == 200 {
                accepted += 1;
                roles.push(me(app, &token_of(&answer)).await.json()["role"].clone());
            }
        }
        assert!([0, 8].contains(&accepted), "password {number} is right for {accepted} of 8");
    }
    assert_eq!(roles, ["admin"; 8], "one of all passwords is right");
}
