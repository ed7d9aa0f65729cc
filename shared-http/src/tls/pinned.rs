//! A client that trusts one certificate alone: `healthcheck` and `doctor` ask their own service.

use std::{io, net::IpAddr, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::ParsedCertificate,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    TlsError,
    certificate::{Certificate, provider},
};

/// Trusts whoever has the private key of one certificate.
#[derive(Clone)]
pub struct Pinned(TlsConnector);

impl Pinned {
    /// Trusts the certificate in a PEM file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no certificate that can be used.
    pub fn load(path: &Path) -> Result<Self, TlsError> {
        let unusable = |error| TlsError::Unusable(path.to_owned(), error);
        let certificate = Certificate::load(path)?;
        let key = certificate.parsed().map_err(unusable)?.subject_public_key_info();
        let provider = provider();
        let verifier = SameKey { key, provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Does the handshake with the server at `address`.
    ///
    /// # Errors
    ///
    /// The server has another key, or speaks no TLS.
    pub async fn connect(&self, stream: TcpStream, address: IpAddr) -> io::Result<TlsStream<TcpStream>> {
        self.0.connect(ServerName::from(address), stream).await.map_err(|error| {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
            if cause != Some(&OTHER_KEY) {
                return error;
            }
            let way_out = "if that was renewed, restart the service";
            io::Error::other(format!("it does not show the certificate of the file; {way_out}"))
        })
    }
}

const OTHER_KEY: Error = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);

/// Compares the key and nothing else. The name need not be right, for the service is asked over loopback. The rest of the
/// certificate may differ, for a self-signed one is made anew with the same key.
#[derive(Debug)]
struct SameKey {
    key: SubjectPublicKeyInfoDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SameKey {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if ParsedCertificate::try_from(shown)?.subject_public_key_info() == self.key {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(OTHER_KEY)
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
