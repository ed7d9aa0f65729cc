//! TLS of the service's own: the certificate that it shows, where that comes from, and who trusts it.

mod certificate;
mod pinned;
mod self_signed;
mod settings;

use std::{io, path::PathBuf};

pub use self::{
    certificate::Certificate,
    pinned::Pinned,
    settings::{CertificateSource, SELF_SIGNED, TlsArgs},
};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with the certificate cannot be read.
    #[error("the certificate {0:?} cannot be read: {1}")]
    UnreadableCertificate(PathBuf, io::Error),
    /// The file has something else.
    #[error("{0:?} holds no certificate in the form PEM")]
    NoCertificate(PathBuf),
    /// The file with the key cannot be read.
    #[error("the private key {0:?} cannot be read: {1}")]
    UnreadableKey(PathBuf, io::Error),
    /// The file has something else.
    #[error("{0:?} holds no private key in the form PEM; one with a passphrase cannot be used")]
    NoKey(PathBuf),
    /// The certificate is for another key.
    #[error("{0:?} is not the private key of the certificate")]
    OtherKey(PathBuf),
    /// rustls takes the certificate or the key for no other reason.
    #[error("the certificate {0:?} cannot be used: {1}")]
    Unusable(PathBuf, rustls::Error),
    /// A self-signed certificate cannot be made or kept.
    #[error("the self-signed certificate cannot be kept in {0:?}: {1}")]
    NotKept(PathBuf, io::Error),
}
