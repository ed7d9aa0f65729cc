use shared_http::testing::{Process, fetch};

use crate::{LOGIN, ME, REGISTER, STRONG, ask_with, service, token_of};

#[tokio::test]
async fn no_log_at_any_level_holds_a_password_a_token_or_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    for format in ["text", "json"] {
        let url = format!("sqlite://{}/{format}.db", directory.path().display());
        let variables =
            [("JWT_SECRET", STRONG), ("RUST_LOG", "trace"), ("LOG_FORMAT", format), ("DATABASE_URL", &url)];
        let process = Process::start(service(&variables)).await;
        let address = process.address;
        assert_eq!(ask_with(&process, REGISTER, "panitia7", "kata-sandi-rahasia").await.0, 200);
        let token = token_of(&process, "panitia7", "kata-sandi-rahasia").await;
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        for (bearer, status) in [(&token, 200), (&forged, 401)] {
            assert_eq!(fetch(address, ME, bearer, "").await.0, status);
        }
        ask_with(&process, LOGIN, "panitia7", "kata-sandi-salah").await;
        ask_with(&process, REGISTER, "x", "kata-sandi-pendek").await;
        fetch(address, REGISTER, "", r#"{"password":"kata-sandi-patah""#).await;
        fetch(address, "GET /auth/me?access_token=kata-sandi-di-url", "", "").await;

        let log = process.finish().await;
        assert!(log.contains("/auth/login"), "trace logs nothing: {log}");
        let signature = token.rsplit('.').next().unwrap();
        for secret in [STRONG, "kata-sandi", &token, signature, &forged, "$2b$"] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}
