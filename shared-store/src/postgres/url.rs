//! Parses `postgres://…` URLs, and explains why one is refused.

use std::{fs, str::FromStr};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The known parameters. Others are refused: sqlx would log them with their values, which may be secrets.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Why a URL is refused. The message begins with the name of the setting, says what to do, and holds no value that may
/// be a secret.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// It is no valid URL.
    #[error(
        "DATABASE_URL cannot be read; it is postgres://USER:PASSWORD@HOST/DATABASE, and each of : / ? # [ ] @ % in the \
         password is percent-encoded (@ is %40)"
    )]
    Malformed,
    /// An unknown parameter.
    #[error("DATABASE_URL has the parameter {0}, which is not known; leave it out (known: {known})", known = PARAMETERS.join(", "))]
    Parameter(String),
    /// An unknown `sslmode`, or one that is not offered.
    #[error(
        "the sslmode in DATABASE_URL may be disable, prefer, require or verify-full; verify-ca is not offered, because it \
         takes a certificate for any host from any public authority, nor is allow, which never encrypts here"
    )]
    Mode,
    /// An `sslrootcert` that would not be used.
    #[error(
        "DATABASE_URL has an sslrootcert, which only sslmode=verify-full looks at; set that, or leave sslrootcert out"
    )]
    Unverified,
    /// A file that cannot be used. Its name is not shown: it may be a key whose first line is missing.
    #[error("{name} in DATABASE_URL {reason}; name a PEM file that this service may read")]
    File {
        /// The parameter.
        name: String,
        /// What is wrong with the file.
        reason: String,
    },
}

/// The options for connecting to the database at `url`.
///
/// # Errors
///
/// The URL is malformed, has an unknown parameter or a mode that is not offered, or names a file that cannot be used.
pub fn connect_options(url: &str) -> Result<PgConnectOptions, UrlError> {
    let parsed: Url = url.parse().map_err(|_| UrlError::Malformed)?;
    // With an unencoded `?` or `#` in the password, the rest of the URL would be read as parameters or a fragment.
    if parsed.query().is_some_and(|query| query.contains('@')) || parsed.fragment().is_some() {
        return Err(UrlError::Malformed);
    }
    for (name, value) in parsed.query_pairs() {
        let is_known = PARAMETERS.contains(&&*name) || name.starts_with("options[") && name.ends_with(']');
        if !is_known {
            return Err(UrlError::Parameter(name.escape_debug().take(64).collect()));
        }
        if matches!(&*name, "sslmode" | "ssl-mode") {
            PgSslMode::from_str(&value).map_err(|_| UrlError::Mode)?;
        }
    }
    let mut options = PgConnectOptions::from_str(url).map_err(|_| UrlError::Malformed)?;
    let is_verified = match options.get_ssl_mode() {
        PgSslMode::Allow | PgSslMode::VerifyCa => return Err(UrlError::Mode),
        mode => matches!(mode, PgSslMode::VerifyFull),
    };
    // sqlx would read these files only when it connects, too late for a mistake in the settings.
    for (name, value) in parsed.query_pairs() {
        options = match &*name {
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" if !is_verified => return Err(UrlError::Unverified),
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => options.ssl_root_cert_from_pem(pem(&name, &value)?),
            "sslcert" | "ssl-cert" => options.ssl_client_cert_from_pem(pem(&name, &value)?),
            "sslkey" | "ssl-key" => options.ssl_client_key_from_pem(pem(&name, &value)?),
            _ => options,
        };
    }
    Ok(options)
}

/// The PEM text in `value`, or in the file that `value` names. A file without PEM is an error: sqlx would go on as if
/// no certificate were set.
fn pem(name: &str, value: &str) -> Result<Vec<u8>, UrlError> {
    if value.trim_start().starts_with("-----BEGIN") {
        return Ok(value.into());
    }
    let reason = match fs::read_to_string(value) {
        Ok(content) if content.contains("-----BEGIN") => return Ok(content.into_bytes()),
        Ok(_) => "names a file with nothing in PEM".to_owned(),
        Err(error) => format!("names a file that cannot be read ({error})"),
    };
    Err(UrlError::File { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> UrlError {
        connect_options(url).err().unwrap_or_else(|| panic!("{url} is taken"))
    }

    #[test]
    fn every_form_of_a_url_is_accepted() {
        for url in [
            "postgres://budi:pa%40ss@db.example/tixgo",
            "postgresql://budi@db.example:5433/tixgo?sslmode=require",
            "postgres:///tixgo?host=/run/postgresql&user=budi&application_name=gate",
            "postgres://db/tixgo?sslmode=verify-full&options[search_path]=x&options=-c%20geqo=off",
            "postgres://db/tixgo?ssl-mode=disable&statement-cache-capacity=10",
        ] {
            assert!(connect_options(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_refusal_of_an_unknown_parameter_has_its_name_and_not_its_value() {
        let refusal = refusal("postgres://db/tixgo?sslmode=require&passwd=rahasia").to_string();
        assert!(refusal.contains("the parameter passwd, which is not known"), "{refusal}");
        assert!(!refusal.contains("rahasia"), "{refusal}");
    }

    #[test]
    fn the_refusal_of_an_unencoded_password_does_not_show_it() {
        for url in [
            "postgres://u:12?rahasia@db/tixgo",
            "postgres://u:12?rahasia=1@db/x",
            "postgres://u:1#rahasia@db/x",
        ] {
            let refusal = refusal(url);
            assert_eq!(refusal, UrlError::Malformed, "{url}");
            assert!(!refusal.to_string().contains("rahasia"));
        }
    }

    #[test]
    fn an_unknown_or_unsafe_sslmode_is_refused() {
        for mode in ["allow", "verify-ca", "verify_full", "on", ""] {
            assert_eq!(refusal(&format!("postgres://db/x?sslmode={mode}")), UrlError::Mode, "{mode}");
        }
    }

    #[test]
    fn a_certificate_must_exist_and_have_a_mode_that_uses_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", directory.path().display());
        fs::write(path("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
        fs::write(path("empty.pem"), "").unwrap();
        let url =
            |mode: &str, name: &str| format!("postgres://db/x?sslmode={mode}&sslrootcert={}", path(name));
        assert!(connect_options(&url("verify-full", "ca.pem")).is_ok());
        for mode in ["disable", "prefer", "require"] {
            assert_eq!(refusal(&url(mode, "ca.pem")), UrlError::Unverified, "{mode}");
        }
        for (name, reason) in [("none.pem", "that cannot be read"), ("empty.pem", "with nothing in PEM")] {
            let refusal = refusal(&url("verify-full", name)).to_string();
            assert!(
                refusal.contains(&format!("sslrootcert in DATABASE_URL names a file {reason}")),
                "{refusal}"
            );
        }
        let refusal = refusal("postgres://db/x?sslmode=require&sslkey=rahasia\n-----END PRIVATE KEY-----");
        assert!(!refusal.to_string().contains("rahasia"), "{refusal}");
    }
}
