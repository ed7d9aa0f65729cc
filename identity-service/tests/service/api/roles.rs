//! Who may call which route: the column *who* of the contract.

use identity_service::routes::ROUTES;
use shared_service::testing::roles::{
    Row,
    Who::{Admin, Any, Everybody},
    each_route_lets_in_whom_the_contract_names,
};

use super::app;

const TABLE: &[Row] = &[
    ("post", "/auth/register", "/auth/register", Everybody),
    ("post", "/auth/login", "/auth/login", Everybody),
    ("get", "/auth/me", "/auth/me", Any),
    ("post", "/auth/password", "/auth/password", Any),
    ("post", "/auth/refresh", "/auth/refresh", Everybody),
    ("post", "/auth/logout", "/auth/logout", Everybody),
    ("post", "/auth/passes", "/auth/passes", Admin),
    ("get", "/users", "/users", Admin),
    ("patch", "/users/budi", "/users/{username}", Admin),
    ("delete", "/users/budi", "/users/{username}", Admin),
];

#[tokio::test]
async fn each_route_lets_in_whom_the_contract_names_and_nobody_else() {
    each_route_lets_in_whom_the_contract_names(&app().await, ROUTES, TABLE).await;
}
