//! Every moment is one after the login, in seconds.

use proptest::prelude::*;

use super::*;

const START: Micros = Micros(1_795_000_000_000_000);
const DAY: u64 = 24 * 3600;

fn at(seconds: u64) -> Micros {
    START + Duration::from_secs(seconds)
}

fn login() -> (Session, RefreshToken) {
    let token = RefreshToken::generate().unwrap();
    (Session::open(&token, at(0)), token)
}

fn refresh(session: &mut Session, token: &RefreshToken, seconds: u64) -> Result<Continued, Ended> {
    session.refresh(token, random().unwrap(), at(seconds))
}

fn renewed(session: &mut Session, token: &RefreshToken, seconds: u64) -> RefreshToken {
    let continued = refresh(session, token, seconds).unwrap();
    assert!(!continued.is_repeated && continued.token != *token);
    continued.token
}

#[test]
fn a_token_is_32_bytes_in_base64url_and_is_read_again() {
    let token = RefreshToken::generate().unwrap();
    let text = token.to_text();
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap().len(), 32);
    assert_eq!(RefreshToken::parse(&text), Some(token.clone()));
    assert!(!format!("{token:?}").contains(&text));
    for other in ["", "a", &text[1..], &format!("{text}="), &format!("{text}AAAA"), "é", &"-".repeat(44)] {
        assert_eq!(RefreshToken::parse(other), None, "{other}");
    }
    assert_ne!(RefreshToken::generate().unwrap(), token);
}

#[test]
fn each_use_gives_a_new_token_of_the_same_session() {
    let (mut session, mut token) = login();
    let id = token.session();
    for day in 1..100 {
        token = renewed(&mut session, &token, day * 29 * DAY);
        assert_eq!(token.session(), id);
        assert_eq!(session.used.len(), 1, "what was used is forgotten after its grace");
    }
}

#[test]
fn within_its_grace_a_used_token_gives_the_newest_again_as_often_as_it_is_asked() {
    let (mut session, first) = login();
    let second = renewed(&mut session, &first, 10);
    let third = renewed(&mut session, &second, 20);
    for token in [&first, &second, &first] {
        let continued = refresh(&mut session, token, 40).unwrap();
        assert_eq!(continued, Continued { token: third.clone(), is_repeated: true });
    }
    assert_eq!(session.used.len(), 2);
    renewed(&mut session, &third, 10_000);
}

#[test]
fn after_its_grace_a_used_token_ends_the_session() {
    for (seconds, outcome) in [(40, None), (41, Some(Ended::Reused)), (29 * DAY, Some(Ended::Reused))] {
        let (mut session, first) = login();
        renewed(&mut session, &first, 10);
        assert_eq!(refresh(&mut session, &first, seconds).err(), outcome, "{seconds}");
    }
    // However often the session was renewed since.
    let (mut session, first) = login();
    let mut token = first.clone();
    for hour in 1..200 {
        token = renewed(&mut session, &token, hour * 7200);
    }
    assert_eq!(refresh(&mut session, &first, 200 * 7200), Err(Ended::Reused));
}

#[test]
fn a_token_that_never_was_is_taken_for_a_used_one() {
    let (mut session, first) = login();
    let invented = first.with_secret([7; HALF]);
    assert_eq!(refresh(&mut session, &invented, 10), Err(Ended::Reused));
}

#[test]
fn thirty_days_without_use_end_the_session() {
    for (seconds, is_ended) in [(30 * DAY, false), (30 * DAY + 1, true)] {
        let (mut session, first) = login();
        assert_eq!(refresh(&mut session, &first, seconds).err(), is_ended.then_some(Ended::Unused));
    }
    let (mut session, first) = login();
    let second = renewed(&mut session, &first, 20 * DAY);
    renewed(&mut session, &second, 50 * DAY);
}

#[test]
fn a_client_that_renews_without_a_pause_keeps_its_session_and_adds_nothing_to_it() {
    let (mut session, mut token) = login();
    for use_number in 0..1000 {
        let continued = refresh(&mut session, &token, 1).unwrap();
        assert_eq!(continued.is_repeated, use_number >= MAX_USED);
        token = continued.token;
    }
    assert_eq!(session.used.len(), MAX_USED);
    renewed(&mut session, &token, 32);
}

#[test]
fn a_clock_that_is_behind_ends_nothing() {
    let (mut session, first) = login();
    let second = renewed(&mut session, &first, 1000);
    let third = session.refresh(&second, [1; HALF], Micros(0)).unwrap().token;
    assert_eq!(session.used_at, at(1000), "the time of its last use does not go back");
    assert!(session.refresh(&first, [2; HALF], Micros(0)).unwrap().is_repeated);
    renewed(&mut session, &third, 2000);
}

proptest! {
    /// Whatever two phones with copies of one token do, each gets on as long as it asks within 30 s of the other.
    #[test]
    fn nobody_is_logged_out_who_asks_within_the_grace(phones in prop::collection::vec((0..2_usize, 0..10_u64), 1..60)) {
        let (mut session, first) = login();
        let mut tokens = [first.clone(), first];
        let mut now = 0;
        for pair in phones.chunks(3) {
            for (phone, seconds) in pair {
                now += seconds;
                tokens[*phone] = refresh(&mut session, &tokens[*phone], now).unwrap().token;
            }
            // Both catch up: a copy that is left behind for longer is a used token.
            for token in &mut tokens {
                *token = refresh(&mut session, token, now).unwrap().token;
            }
            prop_assert!(session.used.len() <= MAX_USED);
        }
    }
}
