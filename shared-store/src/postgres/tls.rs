//! Why TLS with a database failed, in words for the operator who wrote `DATABASE_URL`.

use std::io;

use rustls::{AlertDescription, CertificateError};
use sqlx::postgres::PgSslMode;

/// Why a connection with the TLS that `sslmode` asks for is not possible. Retrying helps in no case.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The server has no TLS.
    #[error(
        "the server offers no TLS, which the sslmode in DATABASE_URL insists on; switch it on there (ssl = on), or set \
         sslmode=disable if nobody else can reach the network between"
    )]
    NotOffered,
    /// The server takes only TLS.
    #[error(
        "the server does not let us in without TLS ({0}); set sslmode=verify-full in DATABASE_URL, or sslmode=require"
    )]
    Demanded(String),
    /// The server's certificate is from an unknown authority.
    #[error(
        "the server's certificate is not from an authority that is trusted; name the authority's certificate in DATABASE_URL: \
         sslmode=verify-full&sslrootcert=/path/to/ca.pem"
    )]
    Untrusted,
    /// The server's certificate is for another host.
    #[error(
        "the server's certificate is for another host ({0}); write the host in DATABASE_URL as the certificate has it"
    )]
    WrongHost(CertificateError),
    /// The server asks for a client certificate.
    #[error("the server wants a certificate of ours; name it in DATABASE_URL with sslcert and sslkey")]
    ClientCertificate,
    /// Anything else.
    #[error("TLS with the server failed ({0}); mend that there, or look at sslmode in DATABASE_URL")]
    Other(String),
}

impl TlsError {
    /// The TLS failure behind `error` of a connection with `mode`, if it is one.
    pub fn of(error: &sqlx::Error, mode: PgSslMode) -> Option<Self> {
        match error {
            sqlx::Error::Tls(error) => Some(match error.to_string() {
                text if text.contains("does not support TLS") => Self::NotOffered,
                text => Self::Other(text),
            }),
            sqlx::Error::Io(error) => handshake(error),
            sqlx::Error::Database(error) => {
                let is_plain = matches!(mode, PgSslMode::Disable | PgSslMode::Allow);
                let is_refused = error.code().is_some_and(|code| code == "28000");
                (is_plain && is_refused).then(|| Self::Demanded(error.message().to_owned()))
            }
            _ => None,
        }
    }
}

/// A failed handshake: rustls wraps its errors in I/O errors.
fn handshake(error: &io::Error) -> Option<TlsError> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => TlsError::Untrusted,
        rustls::Error::InvalidCertificate(
            wrong @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
        ) => TlsError::WrongHost(wrong.clone()),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => TlsError::ClientCertificate,
        other => TlsError::Other(other.to_string()),
    })
}
