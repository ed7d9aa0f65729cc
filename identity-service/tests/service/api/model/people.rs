//! The model: who is registered, and which refresh tokens are good.

use std::collections::BTreeMap;

use serde_json::json;

use crate::api::{BAD_ROLE, TOO_LONG, WRONG, sessions::ENDED, taken};

/// Status and body. The body of a 422 is not told.
pub(super) type Expected = (u16, String);

struct Person {
    password: &'static str,
    role: &'static str,
    active: bool,
}

/// A session, and all tokens that were ever given for it.
struct Session {
    username: &'static str,
    /// The newest is the last.
    tokens: Vec<String>,
    /// The first that is still good.
    first_good: usize,
}

pub(super) struct People {
    users: BTreeMap<&'static str, Person>,
    sessions: Vec<Session>,
}

pub(super) fn user(username: &str, role: &str) -> String {
    json!({ "username": username, "role": role }).to_string()
}

fn refused(status: u16, body: &str) -> Expected {
    (status, body.to_owned())
}

fn detail(status: u16, detail: &str) -> Expected {
    (status, json!({ "detail": detail }).to_string())
}

fn parse_role(role: &str) -> Option<&'static str> {
    match role.trim().to_lowercase().as_str() {
        "committee" => Some("committee"),
        "admin" => Some("admin"),
        _ => None,
    }
}

impl People {
    pub(super) fn with_demo_users() -> Self {
        let demo = |role| Person { password: "secret", role, active: true };
        let users = BTreeMap::from([("panitia1", demo("committee")), ("admin1", demo("admin"))]);
        Self { users, sessions: Vec::new() }
    }

    pub(super) fn register(
        &mut self,
        username: &'static str,
        password: &'static str,
        role: &str,
    ) -> Expected {
        if username.chars().count() < 3 || password.chars().count() < 4 {
            return refused(422, "");
        }
        if self.users.contains_key(username) {
            return refused(400, &taken(username));
        }
        if password.len() > 72 {
            return refused(400, TOO_LONG);
        }
        let Some(role) = parse_role(role) else { return refused(400, BAD_ROLE) };
        self.users.insert(username, Person { password, role, active: true });
        (200, user(username, role))
    }

    /// The role of the user, or why there is no login.
    pub(super) fn log_in(&self, username: &str, password: &str) -> Result<&'static str, Expected> {
        match self.users.get(username) {
            _ if password.len() > 72 => Err(refused(400, TOO_LONG)),
            Some(user) if user.password == password && user.active => Ok(user.role),
            _ => Err(refused(400, WRONG)),
        }
    }

    fn is_last_admin(&self, username: &str) -> bool {
        let admins = self.users.iter().filter(|(_, user)| user.active && user.role == "admin");
        admins.map(|(name, _)| *name).eq([username])
    }

    /// The body of a 200 lacks the time.
    pub(super) fn change(
        &mut self,
        username: &str,
        role: Option<&str>,
        active: Option<bool>,
        password: Option<&'static str>,
    ) -> Expected {
        if password.is_some_and(|password| password.chars().count() < 4) {
            return refused(422, "");
        }
        if password.is_some_and(|password| password.len() > 72) {
            return refused(400, TOO_LONG);
        }
        let role = match role.map(parse_role) {
            Some(None) => return refused(400, BAD_ROLE),
            Some(role) => role,
            None => None,
        };
        let is_last_admin = self.is_last_admin(username);
        let Some(user) = self.users.get_mut(username) else { return detail(404, "User tidak ditemukan") };
        if is_last_admin && (role == Some("committee") || active == Some(false)) {
            return detail(409, "Harus ada minimal satu admin aktif");
        }
        let ends = password.is_some() || role.is_some_and(|role| role != user.role) || active == Some(false);
        user.role = role.unwrap_or(user.role);
        user.active = active.unwrap_or(user.active);
        user.password = password.unwrap_or(user.password);
        let body = json!({ "username": username, "role": user.role, "active": user.active });
        if ends {
            self.end_sessions(username);
        }
        (200, body.to_string())
    }

    pub(super) fn remove(&mut self, username: &str) -> Expected {
        if self.is_last_admin(username) {
            return detail(409, "Harus ada minimal satu admin aktif");
        }
        if self.users.remove(username).is_none() {
            return detail(404, "User tidak ditemukan");
        }
        self.end_sessions(username);
        (200, json!({ "status": "deleted", "username": username }).to_string())
    }

    pub(super) fn list(&self) -> String {
        let users = self.users.iter();
        let users: Vec<_> = users
            .map(|(name, user)| json!({ "username": name, "role": user.role, "active": user.active }))
            .collect();
        json!(users).to_string()
    }

    pub(super) fn set_password(&mut self, username: &str, old: &str, new: &'static str) -> Expected {
        if new.chars().count() < 4 {
            return refused(422, "");
        }
        if old.len() > 72 || new.len() > 72 {
            return refused(400, TOO_LONG);
        }
        match self.users.get_mut(username) {
            Some(user) if user.password == old && user.active => user.password = new,
            _ => return detail(400, "Password lama salah"),
        }
        self.end_sessions(username);
        refused(200, r#"{"status":"changed"}"#)
    }

    pub(super) fn open_session(&mut self, username: &'static str, token: &str) {
        self.sessions.push(Session { username, tokens: vec![token.to_owned()], first_good: 0 });
    }

    fn end_sessions(&mut self, username: &str) {
        self.sessions.retain(|session| session.username != username);
    }

    fn session_of(&mut self, token: &str) -> Option<(usize, &mut Session)> {
        self.sessions.iter_mut().find_map(|session| {
            let position = session.tokens.iter().position(|given| given == token)?;
            Some((position, session))
        })
    }

    /// The user with its role, and the newest token if it is known already; or why the session does not go on.
    pub(super) fn refresh(
        &mut self,
        token: &str,
    ) -> Result<(String, &'static str, Option<String>), Expected> {
        let Some((position, session)) = self.session_of(token) else { return Err(refused(401, ENDED)) };
        if position < session.first_good {
            self.log_out(token);
            return Err(refused(401, ENDED));
        }
        let (last, username) = (session.tokens.len() - 1, session.username);
        let stays = position < last || last - session.first_good == 16;
        let newest = stays.then(|| session.tokens[last].clone());
        Ok((username.to_owned(), self.users[username].role, newest))
    }

    /// The newest token was used, and a newer one given.
    pub(super) fn renew(&mut self, token: &str, newer: &str) {
        if let Some((_, session)) = self.session_of(token) {
            session.tokens.push(newer.to_owned());
        }
    }

    pub(super) fn log_out(&mut self, token: &str) {
        self.sessions.retain(|session| !session.tokens.iter().any(|given| given == token));
    }

    /// Used tokens are past their grace.
    pub(super) fn wait(&mut self) {
        for session in &mut self.sessions {
            session.first_good = session.tokens.len() - 1;
        }
    }
}
