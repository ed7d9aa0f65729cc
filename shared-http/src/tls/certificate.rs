//! A certificate with its private key, and what can be told of it.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use rustls::{
    CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, ParsedCertificate},
    version::{TLS12, TLS13},
};

use super::TlsError;

/// The only protocol that the server speaks.
const ALPN: &[u8] = b"http/1.1";

/// A certificate, as it stands in its file.
#[derive(Debug)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has none.
    pub fn load(path: &Path) -> Result<Self, TlsError> {
        CertificateDer::from_pem_file(path).map(Self).map_err(|error| match error {
            pem::Error::Io(error) => TlsError::UnreadableCertificate(path.to_owned(), error),
            _ => TlsError::NoCertificate(path.to_owned()),
        })
    }

    pub(super) fn parsed(&self) -> Result<ParsedCertificate<'_>, Error> {
        ParsedCertificate::try_from(&self.0)
    }

    /// When it expires. `None` if that cannot be told.
    pub fn good_until(&self) -> Option<DateTime<Utc>> {
        // rustls names the end only of a certificate that has expired. So it is asked for a far future.
        match self.mistake_at(UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX))) {
            Some(CertificateError::ExpiredContext { not_after, .. }) => {
                DateTime::from_timestamp(not_after.as_secs().try_into().ok()?, 0)
            }
            _ => None,
        }
    }

    /// Whether it is good already: the clock may have been ahead when it was made.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(
            self.mistake_at(UnixTime::now()),
            Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })
        )
    }

    /// Whether it is for `name`.
    pub(super) fn covers(&self, name: &ServerName<'_>) -> bool {
        self.parsed().is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
    }

    /// What is wrong with it at `time`. At least that nobody signed it, for no authority is named.
    fn mistake_at(&self, time: UnixTime) -> Option<CertificateError> {
        let nobody = RootCertStore::empty();
        let algorithms = provider().signature_verification_algorithms.all;
        let verified =
            verify_server_cert_signed_by_trust_anchor(&self.parsed().ok()?, &nobody, &[], time, algorithms);
        match verified {
            Err(Error::InvalidCertificate(mistake)) => Some(mistake),
            _ => None,
        }
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The TLS of a server that shows the certificate of one file, with the key of another.
///
/// # Errors
///
/// A file cannot be read or holds something else, or the two are not a pair.
pub(super) fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let unusable = |error| TlsError::Unusable(certificate.to_owned(), error);
    let first = Certificate::load(certificate)?;
    first.parsed().map_err(unusable)?;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|_| TlsError::NoCertificate(certificate.to_owned()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::Io(error) => TlsError::UnreadableKey(key.to_owned(), error),
        _ => TlsError::NoKey(key.to_owned()),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::OtherKey(key.to_owned()),
            error => unusable(error),
        })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A client that comes again brings its session along: that takes no memory here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new().map_err(unusable)?;
    Ok(config)
}
