//! identity-service: registers users, logs them in, and says who a token belongs to.

pub mod bcrypt_queue;
pub mod clock;
pub mod config;
pub mod first_admin;
pub mod login_guard;
pub mod metrics;
pub mod operator_password;
pub mod password;
pub mod password_hash;
pub mod quota;
pub mod routes;
pub mod service;
pub mod session;
pub mod store;
pub mod users;

use std::{error::Error, sync::Arc};

use axum::{Router, extract::FromRef};
use shared_auth::{TokenIssuer, TokenVerifier};
use shared_http::{metrics::Registry, middleware, pages, telemetry::Telemetry};
use shared_service::{IDENTITY, health};
use shared_store::{CommitMetrics, Location, SqlStore};

use crate::{
    clock::{Clock, Micros},
    config::{Config, RegistrationPolicy},
    login_guard::LoginGuard,
    metrics::{BcryptMetrics, OutcomeMetrics, SessionMetrics, register_record_count},
    password::Passwords,
    quota::Quota,
    store::{
        UserStore,
        demo::demo_users,
        schema::{CONTENT, SCHEMA},
        sql::SqlUserStore,
    },
};

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The store of all users.
    pub users: Arc<dyn UserStore>,
    /// The same store: what admins change of users, and sessions.
    pub people: Arc<SqlUserStore>,
    /// The time by which sessions end.
    pub clock: Arc<Clock>,
    /// Hashes and verifies passwords.
    pub passwords: Arc<Passwords>,
    /// Delays logins after failed ones. `None` if it is switched off.
    pub login_guard: Option<Arc<LoginGuard>>,
    /// Who may register.
    pub registration: RegistrationPolicy,
    /// Limits how many users one client may register. `None` if there is no limit.
    pub quota: Option<Arc<Quota>>,
    /// Signs tokens.
    pub issuer: Arc<TokenIssuer>,
    /// Verifies tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Counts logins.
    pub logins: Arc<OutcomeMetrics>,
    /// Counts registrations.
    pub registrations: Arc<OutcomeMetrics>,
    /// Counts sessions.
    pub sessions: Arc<SessionMetrics>,
}

impl AppState {
    /// The state that `config` asks for, whose metrics go to `registry`.
    ///
    /// # Errors
    ///
    /// The store cannot be opened.
    pub async fn open(
        config: &Config,
        registry: &mut Registry,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut demo_users = if config.demo_users { demo_users(config.bcrypt_cost) } else { vec![] };
        let passwords = Passwords::new(config.bcrypt_cost, BcryptMetrics::new(registry));
        let first_admin = match &config.first_admin {
            Some(admin) => first_admin::register(admin, &config.location, &passwords).await?,
            None => None,
        };
        if let Some(admin) = &first_admin {
            demo_users.retain(|user| user.username != admin.username);
        }
        let commits = CommitMetrics::new(registry);
        let sql = Arc::new(SqlStore::open(&config.location, &CONTENT, SCHEMA, commits).await?);
        let people = Arc::new(SqlUserStore::new(sql, demo_users).await?);
        let users: Arc<dyn UserStore> = Arc::<SqlUserStore>::clone(&people);
        if let Location::Sqlite { path, .. } = &config.location {
            tracing::info!(path = %path.display(), users = users.count(), "the file is loaded");
        }
        if let Some(admin) = first_admin {
            users.register(admin).await?;
        }
        register_record_count(registry, &users);
        if let Some(stored) = users.greatest_cost().await? {
            passwords.note_stored_cost(stored);
        }
        let earliest = people.latest_use().await?.unwrap_or_default();
        Ok(Self {
            users,
            people,
            clock: Arc::new(Clock::new(earliest, Micros::of_machine)),
            passwords: Arc::new(passwords),
            registration: config.registration,
            quota: config.registrations_per_hour.map(|per_hour| Arc::new(Quota::new(per_hour))),
            login_guard: config.login_guard.then(Arc::default),
            issuer: Arc::new(TokenIssuer::new(&config.secrets.signing, config.token_lifetime)),
            verifier: Arc::new(TokenVerifier::new(&config.secrets)),
            logins: Arc::new(OutcomeMetrics::new(registry, "tixgo_logins", "Logins by outcome")),
            registrations: Arc::new(OutcomeMetrics::new(
                registry,
                "tixgo_registrations",
                "Registrations by outcome",
            )),
            sessions: Arc::new(SessionMetrics::new(registry)),
        })
    }
}

impl FromRef<AppState> for Arc<TokenVerifier> {
    fn from_ref(state: &AppState) -> Self {
        state.verifier.clone()
    }
}

/// The whole service, without a socket.
pub fn app(state: AppState, config: &Config, telemetry: Telemetry) -> Router {
    let pages = pages::pages(&routes::about(config), routes::document);
    let health = health::router(&IDENTITY, Arc::new(state.clone()));
    let router = routes::router().with_state(state).merge(health).merge(pages);
    middleware::stack(router, config.http.stack(telemetry))
}
