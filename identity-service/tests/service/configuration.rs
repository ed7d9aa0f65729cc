use shared_service::testing::configuration;

use crate::BINARY;

#[tokio::test]
async fn the_page_on_the_configuration_shows_the_help() {
    configuration::the_page_shows_the_help("identity-service", BINARY).await;
}
