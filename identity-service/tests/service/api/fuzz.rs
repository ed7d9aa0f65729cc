//! Whatever is sent, nothing panics and the answer is one of the contract: bodies, `Authorization` headers and
//! signed claims, bred from the files in `fuzz/`. An input that broke something becomes a file there.
//!
//! Every run of the tests takes all the files and some hundred descendants. For two minutes of them:
//!
//! ```text
//! cargo test --workspace --test service two_minutes -- --ignored --nocapture --test-threads 3
//! ```

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestCaseResult, TestRunner},
};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use shared_http::{
    json::BODY_LIMIT,
    testing::{Answer, get, post},
};
use shared_service::testing::{
    Store,
    forge::{self, Hash, SECRET},
};
use tokio::runtime;

use super::{LOGIN, ME, REGISTER, app_with};

const ONE_ROUND: Duration = Duration::ZERO;
const TWO_MINUTES: Duration = Duration::from_secs(120);

/// An echo of a body with more brackets than this may be too deep for the parser of this test.
const NESTED: usize = 100;

#[test]
fn nothing_is_answered_against_the_contract() {
    fuzz("bodies", ONE_ROUND, &bodies);
    fuzz("bearers", ONE_ROUND, &bearers);
    fuzz("tokens", ONE_ROUND, &tokens);
}

#[test]
#[ignore = "takes two minutes; .ci/run runs it"]
fn no_body_is_answered_against_the_contract_for_two_minutes() {
    fuzz("bodies", TWO_MINUTES, &bodies);
}

#[test]
#[ignore = "takes two minutes; .ci/run runs it"]
fn no_authorization_header_is_answered_against_the_contract_for_two_minutes() {
    fuzz("bearers", TWO_MINUTES, &bearers);
}

#[test]
#[ignore = "takes two minutes; .ci/run runs it"]
fn no_signed_claims_are_answered_against_the_contract_for_two_minutes() {
    fuzz("tokens", TWO_MINUTES, &tokens);
}

/// Sends the files of `directory`, then descendants of them, in rounds of some hundred until `time` is over.
fn fuzz(directory: &str, time: Duration, check: &impl AsyncFn(&Router, &[u8]) -> TestCaseResult) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Many of them are logins to the same account that fail.
    let app = runtime.block_on(app_with(Store::Memory, &[("login-guard", "off")]));
    let corpus = corpus(directory);
    for input in &corpus {
        runtime.block_on(check(&app, &input.0)).unwrap_or_else(|error| panic!("{input:?}: {error}"));
    }

    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let descendants = descendants(corpus);
    let (begin, mut rounds) = (Instant::now(), 0);
    loop {
        let outcome = TestRunner::new(config.clone())
            .run(&descendants, |input| runtime.block_on(check(&app, &input.0)));
        outcome.unwrap_or_else(|error| panic!("{error}"));
        rounds += 1;
        if begin.elapsed() >= time {
            break;
        }
    }
    let cases = f64::from(rounds * config.cases);
    println!("{directory}: {cases} cases, {:.0} a second", cases / begin.elapsed().as_secs_f64());
}

/// Shown as a byte string, ready to be kept.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn corpus(directory: &str) -> Vec<Input> {
    let path = format!("{}/tests/service/api/fuzz/{directory}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(&path).expect("a corpus").map(|file| file.expect("a file").path());
    files.map(|file| Input(fs::read(file).expect("a file"))).collect()
}

/// Inputs of `corpus` with a few pieces taken out, put in or replaced.
fn descendants(corpus: Vec<Input>) -> impl Strategy<Value = Input> {
    let pieces = [
        "\"",
        "\\",
        "\\u",
        "\\ud83d",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "true",
        "NaN",
        "1e400",
        "-0",
        "9",
        "é",
        "😀",
        "\0",
        "\u{feff}",
        "\u{a0}",
        " ",
        "\t",
        "\n",
        ".",
        "=",
        "Bearer ",
        "eyJ",
        "\"username\":",
        "\"password\":",
        "\"role\":\"admin\"",
        "\"exp\":",
        "\"nbf\":",
    ];
    let mut pieces: Vec<_> = pieces.map(|piece| piece.as_bytes().to_vec()).into();
    pieces.push(b"[".repeat(200));
    pieces.push(b" ".repeat(BODY_LIMIT));

    let ancestor = select(corpus);
    let piece = prop_oneof![
        Just(Vec::new()),
        vec(any::<u8>(), 1..4),
        select(pieces),
        ancestor.clone().prop_map(|input| input.0)
    ];
    let edits = vec((any::<Index>(), 0..6_usize, piece), 0..6);
    (ancestor, edits).prop_map(|(Input(mut bytes), edits)| {
        for (at, removed, piece) in edits {
            let from = at.index(bytes.len() + 1);
            let to = bytes.len().min(from + removed);
            bytes.splice(from..to, piece);
        }
        Input(bytes)
    })
}

async fn bodies(app: &Router, body: &[u8]) -> TestCaseResult {
    for (path, fits) in [(REGISTER, fits_register as fn(&Value) -> bool), (LOGIN, fits_login)] {
        let request = post(app, path).header(CONTENT_TYPE, "application/json").body(body.to_vec());
        let answer = request.send().await;
        let status = answer.status.as_u16();
        if body.iter().filter(|byte| b"[{".contains(byte)).count() > NESTED {
            prop_assert!(matches!(status, 200 | 400 | 413 | 422), "{path} {status}");
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok(), "{path} {status}");
            continue;
        }
        let told = json(&answer)?;
        let kind = told["detail"][0]["type"].as_str().unwrap_or_default();

        // serde_json knows what is JSON as well as we do; numbers have no bounds for it.
        let text = std::str::from_utf8(body);
        let value = text.map(|text| serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)));
        let is_right = match value {
            _ if body.len() > BODY_LIMIT => status == 413,
            Err(_) => is_unreadable(status, &told),
            Ok(_) if body.is_empty() => status == 422 && kind == "missing",
            Ok(Err(_)) => (status == 422 && kind == "json_invalid") || is_unreadable(status, &told),
            Ok(Ok(_)) if kind == "json_invalid" => told["detail"][0]["ctx"]["error"] == "Number out of range",
            Ok(Ok(value)) if fits(&value) => matches!(status, 200 | 400) && !is_unreadable(status, &told),
            Ok(Ok(_)) => status == 422,
        };
        prop_assert!(is_right, "{path} {status} {told}");
        if status == 422 {
            let entries = told["detail"].as_array().cloned().unwrap_or_default();
            prop_assert!(!entries.is_empty() && entries.iter().all(is_entry), "{told}");
        } else if status != 200 {
            prop_assert!(told["detail"].is_string(), "{told}");
        }
    }
    Ok(())
}

/// Not UTF-8, or nested too deep.
fn is_unreadable(status: u16, told: &Value) -> bool {
    status == 400 && told["detail"] == "There was an error parsing the body"
}

fn fits_register(body: &Value) -> bool {
    let text_of = |field: &str, least, most| {
        body[field]
            .as_str()
            .is_some_and(|text| (least..=most).contains(&text.chars().count()) && !text.contains('\0'))
    };
    let role = body.get("role");
    text_of("username", 3, 50) && text_of("password", 4, 200) && role.is_none_or(Value::is_string)
}

fn fits_login(body: &Value) -> bool {
    body["username"].is_string() && body["password"].is_string()
}

fn is_entry(entry: &Value) -> bool {
    let fields = entry.as_object().map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>());
    let fields = fields.unwrap_or_default();
    let with_context = ["type", "loc", "msg", "input", "ctx"];
    (fields == with_context || fields == with_context[..4]) && entry["loc"][0] == "body"
}

async fn bearers(app: &Router, header: &[u8]) -> TestCaseResult {
    // No other byte passes hyper.
    if HeaderValue::from_bytes(header).is_err() {
        return Ok(());
    }
    let answer = get(app, ME).header(AUTHORIZATION, header).send().await;
    let scheme = header.split(|byte| *byte == b' ').next().unwrap_or_default();
    if header.is_empty() {
        refused(&answer, &["Missing Authorization header"])
    } else if !scheme.eq_ignore_ascii_case(b"bearer") || scheme == header {
        refused(&answer, &["Invalid Authorization header format. Use: Bearer <token>"])
    } else {
        let token = std::str::from_utf8(&header[scheme.len()..]).unwrap_or_default().trim();
        judged(&answer, token)
    }
}

/// `input` is a header, a line feed, and claims: what they say is bad, and the signature is always good.
async fn tokens(app: &Router, input: &[u8]) -> TestCaseResult {
    let text = String::from_utf8_lossy(input);
    let (header, claims) = text.split_once('\n').unwrap_or((&text, ""));
    let token = forge::signed(header, claims, SECRET, Hash::Sha256);
    judged(&get(app, ME).bearer(&token).send().await, &token)
}

/// Whether `answer` is one that `token` may get. Only tokens that the secret was used for get further than
/// "Invalid token", so a changed one never does.
fn judged(answer: &Answer, token: &str) -> TestCaseResult {
    let claims = signed_claims(token).unwrap_or_default();
    let second = |claim: &str| claims.get(claim).and_then(Value::as_i64);
    // A second may begin between the answer and now.
    let now = i64::try_from(forge::now()).expect("not long after 1970");
    if answer.status == 200 {
        let told = json(answer)?;
        prop_assert_eq!(claims.get("sub"), told.get("username"));
        prop_assert_eq!(claims.get("role"), told.get("role"));
        prop_assert!(!told["username"].as_str().expect("text").contains('\0'));
        prop_assert!(["committee", "admin"].contains(&told["role"].as_str().expect("text")));
        prop_assert!(second("iat").is_some() && second("exp").is_some_and(|exp| exp >= now), "{claims:?}");
        prop_assert!(
            !claims.contains_key("nbf") || second("nbf").is_some_and(|nbf| nbf <= now),
            "{claims:?}"
        );
        Ok(())
    } else if second("exp").is_some_and(|exp| exp <= now) {
        refused(answer, &["Token expired", "Invalid token"])
    } else {
        refused(answer, &["Invalid token"])
    }
}

/// The claims of a token that is, byte for byte, what comes of signing them.
fn signed_claims(token: &str) -> Option<Map<String, Value>> {
    let part = |part: &str| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let mut parts = token.split('.');
    let (header, claims) = (part(parts.next()?)?, part(parts.next()?)?);
    let algorithm = serde_json::from_str::<Value>(&header).ok()?["alg"] == "HS256";
    let is_signed = algorithm && forge::signed(&header, &claims, SECRET, Hash::Sha256) == token;
    is_signed.then(|| serde_json::from_str(&claims).ok()).flatten()
}

fn refused(answer: &Answer, details: &[&str]) -> TestCaseResult {
    let told = json(answer)?;
    prop_assert_eq!(answer.status, 401, "{}", told);
    prop_assert_eq!(answer.header(WWW_AUTHENTICATE), "Bearer");
    prop_assert!(details.iter().any(|detail| told["detail"] == **detail), "{told} is none of {details:?}");
    Ok(())
}

/// The body of an answer, and of an error nothing but its `detail`.
fn json(answer: &Answer) -> Result<Value, TestCaseError> {
    prop_assert_eq!(answer.header(CONTENT_TYPE), "application/json");
    let told: Value =
        serde_json::from_slice(&answer.body).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let is_error = told.as_object().is_some_and(|fields| fields.keys().eq(["detail"]));
    prop_assert_eq!(is_error, answer.status != 200, "{}", told);
    Ok(told)
}
