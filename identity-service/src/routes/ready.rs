//! Whether users can be registered.

use async_trait::async_trait;
use shared_http::ApiError;
use shared_service::health::Readiness;

use crate::{AppState, store::StoreError};

#[async_trait]
impl Readiness for AppState {
    async fn ready(&self) -> Result<(), ApiError> {
        self.users.ready().await.map_err(|error| match error {
            StoreError::Unavailable(reason) => ApiError::NotReady(reason.as_ref().to_owned()),
            error @ StoreError::Internal(_) => error.into(),
        })
    }
}
