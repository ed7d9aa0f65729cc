//! What an operator learns of undos, batches and of those who look on: from the log, and from the metrics.

use std::time::Instant;

use serde_json::{Value, json};
use shared_auth::{Role, Secret, TokenIssuer};
use shared_http::testing::{Process, Raw};

use crate::{IN_TIME, SECOND, gate::token, metrics, service, start};

fn admin() -> String {
    TokenIssuer::new(&Secret::new("dev-secret"), SECOND * 3600).issue("admin1", Role::Admin).unwrap()
}

async fn observed() -> (Process, crate::Gate) {
    let mut command = service("memory:");
    command.envs([("LOG_FORMAT", "json"), ("METRICS_ADDR", "127.0.0.1:0")]);
    start(command).await
}

#[tokio::test]
async fn who_undid_what_is_logged_and_counted() {
    let (process, mut gate) = observed().await;
    let ticket = format!("T\u{1b}[2J{}", "x".repeat(1000));
    for ticket in [&*ticket, "T2", "T3"] {
        assert_eq!(gate.check_in("evt1", ticket, None).await.status, 200);
    }
    let scans: Vec<_> = [("T2", "k1"), ("T4", "k2"), ("T4", "k3")]
        .iter()
        .map(|(ticket, key)| {
            json!({"event_id": "evt1", "ticket_id": ticket, "idempotency_key": key, "admitted": ticket == &"T2"})
        })
        .collect();
    let body = json!({ "scans": scans }).to_string();
    assert_eq!(gate.request("POST", "/checkins/batch", &body).await.status, 200);
    let path = format!("/attendance/evt1/tickets/T%1B%5B2J{}", "x".repeat(1000));
    assert_eq!(gate.request("DELETE", &path, "").await.status, 200);
    assert_eq!(gate.request("DELETE", &path, "").await.status, 404);
    gate.token = admin();
    let body = json!({"by": "panitia1", "after": "2020-01-01"}).to_string();
    assert_eq!(gate.request("POST", "/attendance/evt1/undo", &body).await.text(), (200, r#"{"undone":3}"#));

    let shown = metrics(&process).await;
    for sample in [
        r#"tixgo_check_ins_total{outcome="accepted"} 4"#,
        r#"tixgo_check_ins_total{outcome="conflict"} 1"#,
        r#"tixgo_check_ins_total{outcome="duplicate"} 1"#,
        r#"tixgo_check_ins_total{outcome="forbidden"} 0"#,
        "tixgo_undone_check_ins_total 4",
        "tixgo_live_subscribers 0.0",
    ] {
        assert!(shown.contains(sample), "{sample}\n is missing in\n{shown}");
    }
    let log = process.finish().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| {
        let mut said: Vec<_> = lines.iter().filter(|line| line["message"] == message).cloned().collect();
        assert_eq!(said.len(), 1, "{message}: {log}");
        let mut line = said.remove(0);
        for changing in ["timestamp", "level", "target", "message"] {
            line.as_object_mut().unwrap().remove(changing);
        }
        line
    };
    // Long ids are cut.
    let shown = format!("T\u{1b}[2J{}", "x".repeat(64 - 5));
    assert_eq!(said("check-in undone"), json!({"user": "panitia1", "event": "evt1", "ticket": shown}));
    let expected = json!({
        "user": "admin1", "event": "evt1", "count": 3, "by": "panitia1",
        "after": "2020-01-01T00:00:00.000000+00:00"
    });
    assert_eq!(said("check-ins undone"), expected);
}

#[tokio::test]
async fn who_looks_on_is_counted_and_holds_up_no_end() {
    let (process, mut gate) = observed().await;
    gate.check_in("evt1", "T1", None).await;
    let request =
        format!("GET /attendance/evt1/live HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\n\r\n", token());
    let mut looker = Raw::open(process.address, request).await;
    looker.until("\n\n", IN_TIME).await;
    assert!(metrics(&process).await.contains("tixgo_live_subscribers 1.0"));
    let begin = Instant::now();
    process.finish().await;
    // The grace of a shutdown is 8 s.
    assert!(begin.elapsed() < SECOND * 6, "{:?}", begin.elapsed());
    assert!(looker.rest(IN_TIME).await.ends_with("0\r\n\r\n"), "its stream ended");
}
