//! Who may call which route. The tests of a service give a table of their own, which has a row for every route.

use std::collections::BTreeSet;

use axum::{Router, http::Method};
use serde_json::{Value, json};
use shared_auth::Access;
use shared_http::testing::{Answer, call};

use super::{
    app::detail,
    forge::{claims, now, token},
};

/// Who may call a route, as the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `–`: nobody is asked for a token.
    Everybody,
    /// `any`
    Any,
    /// `any, gate`: a gate pass for the event in the path.
    AnyOrGate,
    /// `any, gate`, where the path names no event.
    AnyOrAnyGate,
    /// `admin`
    Admin,
}

/// Method, path with its parameters filled in, path as it is declared, and who may call it.
pub type Row = (&'static str, &'static str, &'static str, Who);

/// The event of the gate passes: the paths of a table name it.
pub const EVENT: &str = "evt-of-the-pass";

/// Claims of a gate pass for `event`.
pub fn gate_claims(event: &str) -> Value {
    json!({ "sub": "gerbang", "role": "gate", "event": event, "iat": now(), "exp": now() + 3600 })
}

/// Each route of `routes` has a row in `table`, and refuses exactly those who may not call it.
pub async fn each_route_lets_in_whom_the_contract_names(
    app: &Router,
    routes: &[(&str, &str, Access)],
    table: &[Row],
) {
    let declared: BTreeSet<_> = routes.iter().map(|(method, path, _)| (*method, *path)).collect();
    let rows: BTreeSet<_> = table.iter().map(|(method, _, path, _)| (*method, *path)).collect();
    assert_eq!(declared, rows, "every route needs a row that says who may call it");
    for row in table {
        check(app, *row).await;
    }
}

async fn check(app: &Router, (method, path, _, who): Row) {
    let send = async |token: Option<&str>| -> Answer {
        let method: Method = method.to_uppercase().parse().expect("a method");
        let call = call(app, method, path);
        let opened = token.into_iter().fold(call, |call, token| call.bearer(token)).open().await;
        // What succeeds may have no end.
        if opened.status.is_success() {
            return Answer { status: opened.status, headers: opened.headers, body: Default::default() };
        }
        opened.answer().await
    };
    if who == Who::Everybody {
        let status = send(None).await.status;
        assert!(status != 401 && status != 403, "{method} {path}: {status}");
        return;
    }
    let is = |answer: &Answer, status: u16, expected: &str, name: &str| {
        assert_eq!(
            (answer.status.as_u16(), detail(answer)),
            (status, json!(expected)),
            "{method} {path} {name}"
        );
    };
    is(&send(None).await, 401, "Missing Authorization header", "without a token");
    let mut expired = claims();
    expired["exp"] = json!(now() - 1);
    is(&send(Some(&token(&expired))).await, 401, "Token expired", "expired");
    let mut forged = token(&claims());
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    is(&send(Some(&forged)).await, 401, "Invalid token", "forged");

    let may_enter = |answer: &Answer, name: &str| {
        let status = answer.status.as_u16();
        assert!(!matches!(status, 401 | 500), "{method} {path} {name}: {answer:?}");
        if status == 403 {
            let refusals =
                ["Admin only", "Token ini hanya untuk gerbang", "Token ini hanya untuk event lain"];
            let detail = detail(answer);
            assert!(!refusals.iter().any(|refusal| detail == *refusal), "{method} {path} {name}: {detail}");
        }
    };
    let admin = json!({ "sub": "admin1", "role": "admin", "iat": now(), "exp": now() + 3600 });
    may_enter(&send(Some(&token(&admin))).await, "admin");
    let committee = send(Some(&token(&claims()))).await;
    if who == Who::Admin {
        is(&committee, 403, "Admin only", "committee");
    } else {
        may_enter(&committee, "committee");
    }
    let own = send(Some(&token(&gate_claims(EVENT)))).await;
    let other = send(Some(&token(&gate_claims("another")))).await;
    match who {
        Who::AnyOrGate => {
            may_enter(&own, "gate");
            is(&other, 403, "Token ini hanya untuk event lain", "gate of another event");
        }
        Who::AnyOrAnyGate => {
            may_enter(&own, "gate");
            may_enter(&other, "gate of another event");
        }
        Who::Everybody | Who::Any | Who::Admin => {
            is(&own, 403, "Token ini hanya untuk gerbang", "gate");
            is(&other, 403, "Token ini hanya untuk gerbang", "gate of another event");
        }
    }
}
