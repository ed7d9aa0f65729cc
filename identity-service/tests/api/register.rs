use axum::http::header::RETRY_AFTER;
use serde_json::json;
use shared_http::testing::{call, post};

use crate::{BAD_ROLE, REGISTER, TOO_LONG, app, app_with, detail, log_in, me, register, taken, token_of};

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
