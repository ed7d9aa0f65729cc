use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use shared_auth::{Role, extract::authenticate, openapi::Unauthorized};
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    describe_body,
    error::ErrorBody,
    json::{Field as _, Fields, Schema, text},
    openapi::{AnyRoute, JsonBody},
};

use super::{UserBody, parse_role, whole_seconds};
use crate::{
    AppState,
    config::RegistrationPolicy,
    password::Password,
    quota::Reservation,
    store::{Registration, User, UserStore, Username},
};

/// Somebody who wants to join.
pub(super) struct RegisterRequest {
    username: Username,
    password: String,
    role: String,
}

impl Schema for RegisterRequest {
    const DESCRIPTION: &'static str = "Somebody who wants to join.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let username =
            text("username").min(3).max(50).no_nul().about("3 to 50 characters.").example("panitia2");
        let password = text("password")
            .min(4)
            .max(200)
            .no_nul()
            .about("4 to 200 characters, and at most 72 bytes of UTF-8.")
            .example("rahasia-gerbang-timur");
        let role = text("role").about("`committee` or `admin`, in any case.").example("committee");
        Self {
            username: Username(fields.get(username)),
            password: fields.get(password),
            role: fields.get(role.or("committee".to_owned())),
        }
    }
}

describe_body!(RegisterRequest);

/// A caller that may register users. Extracted before the body is read.
pub(super) struct Registrar {
    /// Whether an admin's token was sent. Always false if registration is open: then anybody can get such a token.
    is_admin: bool,
}

impl FromRequestParts<AppState> for Registrar {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let user = authenticate(parts, &state.verifier);
        let is_admin = user.as_ref().is_ok_and(|claims| claims.is_admin());
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
    let reservation = match (&state.quota, client) {
        (Some(quota), Some(client)) if !registrar.is_admin => {
            Some(quota.reserve(client, Instant::now()).map_err(too_many)?)
        }
        _ => None,
    };
    let permit = state.passwords.acquire_permit(client, &username.0).await?;
    let (passwords, users) = (Arc::clone(&state.passwords), Arc::clone(&state.users));
    // Its own task, which goes on if the client disconnects: once bcrypt has begun, the user is registered, and counts
    // towards the quota.
    let registration = tokio::spawn(async move {
        let password = passwords.hash_with(permit, password).await?;
        store(users.as_ref(), User { username, role, password }, reservation).await
    });
    registration.await.map_err(ApiError::internal)?
}

async fn store(
    users: &dyn UserStore,
    user: User,
    reservation: Option<Reservation>,
) -> Result<Json<UserBody>, ApiError> {
    let (username, role) = (user.username.clone(), user.role);
    match users.register(user).await? {
        Registration::Accepted => {
            if let Some(reservation) = reservation {
                reservation.commit();
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use async_trait::async_trait;
    use futures_util::FutureExt;
    use shared_http::metrics::Registry;
    use shared_service::testing::app::args;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        config::Args,
        password_hash::{Cost, PasswordHash},
        store::{StoreError, StoredUser},
    };

    /// A store whose registrations wait for the test.
    struct SlowStore {
        users: Arc<dyn UserStore>,
        /// Gets a permit when a registration begins.
        begun: Semaphore,
        /// A registration takes a permit before it is stored.
        may_end: Semaphore,
    }

    #[async_trait]
    impl UserStore for SlowStore {
        async fn find(&self, username: &Username) -> Result<Option<StoredUser>, StoreError> {
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

        fn count(&self) -> Option<u64> {
            self.users.count()
        }

        async fn ready(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// The service with such a store, and a quota of one registration.
    async fn slow_service() -> (AppState, Arc<SlowStore>) {
        let settings = [("bcrypt-cost", "4"), ("database-url", "memory:"), ("registrations-per-hour", "1")];
        let config = args::<Args>(&settings).check().expect("settings that are right");
        let state = AppState::open(&config, &mut Registry::default()).await.expect("a store");
        let users = Arc::new(SlowStore {
            users: Arc::clone(&state.users),
            begun: Semaphore::new(0),
            may_end: Semaphore::new(0),
        });
        (AppState { users: users.clone(), ..state }, users)
    }

    #[tokio::test]
    async fn disconnecting_while_the_user_is_stored_gives_no_quota_back() {
        let (state, users) = slow_service().await;
        let client = Some(ClientAddr(IpAddr::from([192, 0, 2, 1])));
        let request = |username: &str| RegisterRequest {
            username: Username(username.to_owned()),
            password: "rahasia".to_owned(),
            role: "committee".to_owned(),
        };
        let registrar = Registrar { is_admin: false };
        let mut registration = Box::pin(add(&state, &registrar, client, request("budi")));
        tokio::select! {
            _ = &mut registration => panic!("the registration may not end yet"),
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
        assert!(users.begun.acquire().now_or_never().is_none(), "nothing else is stored");
    }
}
