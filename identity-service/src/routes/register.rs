use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use serde::Deserialize;
use shared_auth::{AuthUser, Role, openapi::Unauthorized};
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    error::ErrorBody,
    json::{Field, Schema, no_nul},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;
use validator::Validate;

use super::{UserBody, whole_seconds};
use crate::{
    AppState,
    config::RegistrationPolicy,
    password::Password,
    quota::Place,
    store::{Registration, User, UserStore, Username},
};

/// Somebody who wants to join.
#[derive(Deserialize, ToSchema, Validate)]
pub(super) struct RegisterRequest {
    /// 3 to 50 characters.
    #[validate(length(min = 3, max = 50), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 3, max_length = 50, pattern = "^[^\\u0000]*$", example = "panitia2")]
    username: Username,
    /// 4 to 200 characters, and at most 72 bytes of UTF-8.
    #[validate(length(min = 4, max = 200), custom(function = "no_nul"))]
    #[schema(min_length = 4, max_length = 200, pattern = "^[^\\u0000]*$", example = "rahasia-gerbang-timur")]
    password: String,
    /// `committee` or `admin`, in any case.
    #[serde(default = "committee")]
    #[schema(default = "committee", example = "committee")]
    role: String,
}

impl Schema for RegisterRequest {
    const FIELDS: &'static [Field] =
        &[Field::required("username"), Field::required("password"), Field::optional("role")];
}

fn committee() -> String {
    "committee".to_owned()
}

/// Whoever asks, and may. Found out before the body is read.
pub(super) struct Registrar {
    /// With the token of an admin. Where registration is open anybody can have one, so it counts for nothing.
    is_admin: bool,
}

impl FromRequestParts<AppState> for Registrar {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let user = AuthUser::from_request_parts(parts, state).await;
        let is_admin = user.as_ref().is_ok_and(|AuthUser(claims)| claims.role == Role::Admin);
        let refusal = match (state.registration, user) {
            (RegistrationPolicy::Open, _) => return Ok(Self { is_admin: false }),
            (RegistrationPolicy::Committee, _) => return Ok(Self { is_admin }),
            (RegistrationPolicy::Admin, Ok(_)) if is_admin => return Ok(Self { is_admin }),
            (RegistrationPolicy::Admin, Ok(_)) => {
                ApiError::Forbidden("Hanya admin yang dapat mendaftarkan user")
            }
            (RegistrationPolicy::Admin, Err(refusal)) => refusal,
            (RegistrationPolicy::Closed, _) => ApiError::Forbidden("Pendaftaran user ditutup"),
        };
        state.registrations.count(Err(refusal))
    }
}

/// Register a user
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "auth",
    security((), ("bearer" = [])),
    request_body = RegisterRequest,
    responses(
        (status = 200, description = "Registered.", body = UserBody),
        (
            status = 400,
            description = "The name is taken, the password is over 72 bytes, the role is unknown, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "User panitia2 sudah terdaftar"})
        ),
        (
            status = 403,
            description = "Not everybody may register here: `REGISTRATION` is `committee` and the role `admin`, or \
                           `REGISTRATION` is `admin`, and there is no token of an admin; or it is `closed`.",
            body = ErrorBody,
            example = json!({"detail": "Hanya admin yang dapat mendaftarkan admin"})
        ),
        (
            status = 429,
            description = "The client has registered too many in an hour.",
            body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds to wait before trying again.")),
            example = json!({"detail": "Terlalu banyak pendaftaran, coba lagi dalam 36 detik"})
        ),
        Unauthorized,
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn register(
    State(state): State<AppState>,
    registrar: Registrar,
    client: Option<ClientAddr>,
    ValidJson(request): ValidJson<RegisterRequest>,
) -> Result<Json<UserBody>, ApiError> {
    state.registrations.count(add(&state, &registrar, client, request).await)
}

async fn add(
    state: &AppState,
    registrar: &Registrar,
    client: Option<ClientAddr>,
    request: RegisterRequest,
) -> Result<Json<UserBody>, ApiError> {
    let username = request.username;
    if state.users.find(&username).await?.is_some() {
        return Err(taken(&username));
    }
    let password = Password::new(request.password)?;
    let role = parse_role(&request.role)?;
    if role == Role::Admin && state.registration == RegistrationPolicy::Committee && !registrar.is_admin {
        return Err(ApiError::Forbidden("Hanya admin yang dapat mendaftarkan admin"));
    }

    let client = client.map(|ClientAddr(address)| address);
    let place = match (&state.quota, client) {
        (Some(quota), Some(client)) if !registrar.is_admin => {
            Some(quota.take(client, Instant::now()).map_err(too_many)?)
        }
        _ => None,
    };
    let worker = state.passwords.worker(client, &username.0).await?;
    let (passwords, users) = (Arc::clone(&state.passwords), Arc::clone(&state.users));
    // A task of its own, which goes on when the client hangs up: what bcrypt has begun is registered, and counts.
    let registration = tokio::spawn(async move {
        let password = passwords.hash_on(worker, password).await?;
        commit(users.as_ref(), User { username, role, password }, place).await
    });
    registration.await.map_err(ApiError::internal)?
}

async fn commit(users: &dyn UserStore, user: User, place: Option<Place>) -> Result<Json<UserBody>, ApiError> {
    let (username, role) = (user.username.clone(), user.role);
    match users.register(user).await? {
        Registration::Accepted => {
            if let Some(place) = place {
                place.keep();
            }
            Ok(Json(UserBody { username, role }))
        }
        Registration::Taken => Err(taken(&username)),
    }
}

fn taken(username: &Username) -> ApiError {
    ApiError::BadRequest(format!("User {} sudah terdaftar", username.0).into())
}

fn too_many(wait: Duration) -> ApiError {
    let seconds = whole_seconds(wait);
    ApiError::TooMany {
        detail: format!("Terlalu banyak pendaftaran, coba lagi dalam {seconds} detik"),
        seconds,
    }
}

fn parse_role(role: &str) -> Result<Role, ApiError> {
    match role.trim().to_lowercase().as_str() {
        "committee" => Ok(Role::Committee),
        "admin" => Ok(Role::Admin),
        _ => Err(ApiError::BadRequest("Invalid role (use 'committee' or 'admin')".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, num::NonZeroU32};

    use async_trait::async_trait;
    use futures_util::FutureExt;
    use shared_auth::{Secret, Secrets, TokenIssuer, TokenVerifier};
    use shared_http::metrics::Registry;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        metrics::{BcryptMetrics, OutcomeMetrics},
        password::{Cost, PasswordHash, Passwords},
        quota::Quota,
        store::{StoreError, sqlite::SqliteUserStore},
    };

    /// A store whose commits begin, and end when they may.
    struct SlowStore {
        users: SqliteUserStore,
        begun: Semaphore,
        may_end: Semaphore,
    }

    #[async_trait]
    impl UserStore for SlowStore {
        async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
            self.users.find(username).await
        }

        async fn register(&self, user: User) -> Result<Registration, StoreError> {
            self.begun.add_permits(1);
            self.may_end.acquire().await.expect("open").forget();
            self.users.register(user).await
        }

        async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
            self.users.rehash(user, password).await
        }

        async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
            self.users.greatest_cost().await
        }

        fn held(&self) -> Option<u64> {
            self.users.held()
        }

        async fn ready(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn state(users: Arc<SlowStore>) -> AppState {
        let mut registry = Registry::default();
        let secrets = Secrets { signing: Secret::new("a secret of the tests"), previous: None };
        let cost = Cost::new(Cost::LEAST).expect("a cost");
        AppState {
            users,
            passwords: Arc::new(Passwords::new(cost, BcryptMetrics::new(&mut registry))),
            login_guard: None,
            registration: RegistrationPolicy::Open,
            quota: Some(Arc::new(Quota::new(NonZeroU32::MIN))),
            issuer: Arc::new(TokenIssuer::new(&secrets.signing, Duration::from_secs(60))),
            verifier: Arc::new(TokenVerifier::new(&secrets)),
            logins: Arc::new(OutcomeMetrics::new(&mut registry, "logins", "Logins")),
            registrations: Arc::new(OutcomeMetrics::new(&mut registry, "registrations", "Registrations")),
        }
    }

    #[tokio::test]
    async fn hanging_up_during_the_commit_gives_no_place_of_the_quota_back() {
        let users = Arc::new(SlowStore {
            users: SqliteUserStore::in_memory(vec![]),
            begun: Semaphore::new(0),
            may_end: Semaphore::new(0),
        });
        let state = state(Arc::clone(&users));
        let client = Some(ClientAddr(IpAddr::from([192, 0, 2, 1])));
        let request = |username: &str| RegisterRequest {
            username: Username(username.to_owned()),
            password: "rahasia".to_owned(),
            role: committee(),
        };
        let registrar = Registrar { is_admin: false };
        let mut registration = Box::pin(add(&state, &registrar, client, request("budi")));
        tokio::select! {
            _ = &mut registration => panic!("the commit has not ended"),
            begun = users.begun.acquire() => begun.expect("open").forget(),
        }
        drop(registration);
        users.may_end.add_permits(2);
        let budi = Username("budi".to_owned());
        while users.find(&budi).await.expect("a store").is_none() {
            tokio::task::yield_now().await;
        }
        let another = add(&state, &registrar, client, request("siti")).await;
        assert!(matches!(another, Err(ApiError::TooMany { .. })), "budi has registered");
        assert!(users.begun.acquire().now_or_never().is_none(), "nothing else is committed");
    }
}
