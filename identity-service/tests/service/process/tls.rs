//! TLS of the service's own, and the subcommands that ask a service with it.

use std::fs;

use shared_http::testing::{Process, Raw};

use crate::{SECOND, Said, Variables, assert_says, production, refusal, run, service};

async fn ask(process: &Process, subcommand: &[&str], variables: Variables<'_>) -> Said {
    let mut command = production(variables);
    command.env("PORT", process.address.port().to_string()).args(subcommand);
    run(command).await
}

#[tokio::test]
async fn it_makes_a_certificate_keeps_it_and_answers_the_questions_of_its_operator() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let certificate = directory.path().join("tls").join("certificate.pem");
    let shown = certificate.display();
    let settings = [("DATABASE_URL", &*url), ("ADMIN_USERNAME", "kepala"), ("TLS", "self-signed")];
    let mut before = production(&settings);
    before.env("PORT", "1").arg("doctor");
    let said = run(before).await.stdout;
    assert_says(
        &said,
        &[format!("ok    tls: the self-signed certificate {shown} will be made at the first start")],
    );

    let process = Process::start(production(&settings)).await;
    assert_says(&process.log(), &["speaking TLS, and no plain HTTP"]);
    let healthy = ask(&process, &["healthcheck"], &settings).await;
    assert_eq!(healthy.status, Some(0), "{}", healthy.stderr);
    let plain = Raw::open(process.address, "GET /docs HTTP/1.1\r\nHost: tixgo.local\r\n\r\n")
        .await
        .rest(SECOND * 5)
        .await;
    assert_says(&plain, &["HTTP/1.1 307 Temporary Redirect\r\n", "location: https://tixgo.local/docs\r\n"]);

    let peer = format!("https://{}", process.address);
    let itself = format!(
        "WRONG peer: {peer} is identity-service itself; name attendance-service, such as https://127.0.0.1:18082"
    );
    let well = format!("ok    tls: the certificate {shown} is good until 20");
    // The second with other settings than those of the service.
    for variables in [&settings[..], &[]] {
        let said = ask(&process, &["doctor", "--peer", &peer], variables).await.stdout;
        assert_says(&said, &[&*well, "ok    ready: ", &*itself]);
    }
    let other = tempfile::tempdir().unwrap();
    let elsewhere = format!("sqlite://{}/", other.path().display());
    let settings_of_another = [("DATABASE_URL", &*elsewhere), ("TLS", "self-signed")];
    let not_made = ask(&process, &["healthcheck"], &settings_of_another).await;
    assert_eq!(not_made.status, Some(1));
    assert_says(&not_made.stderr, &["tls/certificate.pem\" cannot be read: "]);
    Process::start(production(&settings_of_another)).await;
    let stranger = ask(&process, &["healthcheck"], &settings_of_another).await;
    assert_eq!(stranger.status, Some(1));
    assert_says(&stranger.stderr, &["it does not show the certificate of the file"]);

    let before = fs::read(&certificate).unwrap();
    process.finish().await;
    let process = Process::start(production(&settings)).await;
    assert_eq!(fs::read(&certificate).unwrap(), before);
    process.finish().await;
}

#[tokio::test]
async fn a_certificate_of_the_operator_is_shown_if_it_has_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    Process::start(service(&[("DATABASE_URL", &*url), ("TLS", "self-signed")])).await;
    let path = |name: &str| directory.path().join("tls").join(name).display().to_string();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let settings = [("TLS_CERT_FILE", &*certificate), ("TLS_KEY_FILE", &*key)];
    let process = Process::start(production(&settings)).await;
    assert_eq!(ask(&process, &["healthcheck"], &settings).await.status, Some(0));

    let said = refusal(service(&[("TLS_CERT_FILE", &certificate)]), 78).await;
    assert_says(&said, &["TLS_CERT_FILE is set and TLS_KEY_FILE is not; set both"]);
    let said = refusal(service(&[("TLS_CERT_FILE", &certificate), ("TLS_KEY_FILE", &certificate)]), 78).await;
    assert_says(&said, &["TLS_KEY_FILE: ", "holds no private key"]);
    let said = refusal(service(&[("TLS", "self-signed")]), 78).await;
    assert_says(
        &said,
        &["TLS=self-signed keeps its certificate beside the SQLite file, and DATABASE_URL names none"],
    );
}
