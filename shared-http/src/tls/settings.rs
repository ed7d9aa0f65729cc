//! The settings of TLS.

use std::{
    path::{self, Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use rustls::{ServerConfig, pki_types::ServerName};

use super::{
    TlsError, certificate, self_signed,
    self_signed::{certificate_file, key_file},
};
use crate::{
    config::{Settings, set},
    shown_settings::{NONE, ShownSettings, or_none},
};

/// The value of `TLS` with which a service makes its own certificate.
pub const SELF_SIGNED: &str = "self-signed";

/// The settings of TLS, as the operator wrote them.
#[derive(Args, Debug)]
pub struct TlsArgs {
    /// `self-signed` speaks HTTPS, with a certificate that is made and kept in the directory `tls` beside the SQLite
    /// file [default: none, plain HTTP]
    #[arg(long, env, value_name = "HOW", global = true)]
    tls: Option<String>,

    /// PEM file with the certificate to speak HTTPS with, and after it those of its authorities [default: none]
    #[arg(long, env, value_name = "PATH", global = true)]
    tls_cert_file: Option<String>,

    /// PEM file with the private key of that certificate [default: none]
    #[arg(long, env, value_name = "PATH", global = true)]
    tls_key_file: Option<String>,

    /// Addresses and names, separated by commas, that the self-signed certificate is for besides localhost and the
    /// name of the host [default: none]
    #[arg(long, env, value_name = "NAMES", global = true)]
    tls_names: Option<String>,
}

/// Where the certificate of a service comes from that speaks TLS.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateSource {
    /// The operator brings it.
    Files {
        /// The certificate, and after it those of its authorities.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// The service makes it.
    SelfSigned {
        /// Where it is kept.
        directory: PathBuf,
        /// What it is for, besides this machine.
        names: Vec<String>,
    },
}

impl TlsArgs {
    /// Checks the settings, and the files that they name. A self-signed certificate is kept in `directory/tls`. `None`
    /// means plain HTTP.
    pub(crate) fn check(
        &self,
        settings: &mut Settings,
        directory: Option<&Path>,
    ) -> Option<CertificateSource> {
        let names = settings.read(
            "TLS_NAMES",
            &self.tls_names,
            Vec::new(),
            "addresses and names separated by commas, such as 192.168.1.5,gate.lan",
            parse_names,
        );
        let is_self_signed =
            settings.read("TLS", &self.tls, false, SELF_SIGNED, |text| (text == SELF_SIGNED).then_some(true));
        match (set(&self.tls_cert_file), set(&self.tls_key_file)) {
            (Some(_), _) | (_, Some(_)) if is_self_signed => settings.mistake(
                "TLS=self-signed makes a certificate, and TLS_CERT_FILE and TLS_KEY_FILE bring one; unset either"
                    .to_owned(),
            ),
            (Some(certificate), Some(key)) => return self.bring(settings, certificate, key),
            (Some(_), None) => {
                settings.mistake("TLS_CERT_FILE is set and TLS_KEY_FILE is not; set both".to_owned());
            }
            (None, Some(_)) => {
                settings.mistake("TLS_KEY_FILE is set and TLS_CERT_FILE is not; set both".to_owned());
            }
            (None, None) if is_self_signed => match directory {
                Some(directory) => {
                    return Some(CertificateSource::SelfSigned { directory: directory.join("tls"), names });
                }
                None => settings.mistake(
                    "TLS=self-signed keeps its certificate beside the SQLite file, and DATABASE_URL names none; set it, \
                     for instance to sqlite:///data/, or bring a certificate with TLS_CERT_FILE and TLS_KEY_FILE"
                        .to_owned(),
                ),
            },
            (None, None) => {}
        }
        None
    }

    fn bring(&self, settings: &mut Settings, certificate: &str, key: &str) -> Option<CertificateSource> {
        // Shown to a `doctor` that may run elsewhere.
        let absolute = |path: &str| path::absolute(path).unwrap_or_else(|_| path.into());
        let source = CertificateSource::Files { certificate: absolute(certificate), key: absolute(key) };
        let Err(mistake) = source.server_config() else { return Some(source) };
        let variable = match mistake {
            TlsError::UnreadableKey(..) | TlsError::NoKey(_) | TlsError::OtherKey(_) => "TLS_KEY_FILE",
            _ => "TLS_CERT_FILE",
        };
        settings.mistake(format!("{variable}: {mistake}"));
        None
    }
}

fn parse_names(text: &str) -> Option<Vec<String>> {
    let name = |text: &str| ServerName::try_from(text).is_ok().then(|| text.to_owned());
    text.split(',').map(|text| name(text.trim())).collect()
}

impl CertificateSource {
    /// The file with the certificate, which need not exist yet if it is self-signed.
    pub fn certificate_file(&self) -> PathBuf {
        match self {
            Self::Files { certificate, .. } => certificate.clone(),
            Self::SelfSigned { directory, .. } => certificate_file(directory),
        }
    }

    /// Reads certificate and key. A self-signed certificate is made first, unless a good one is there.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written, or holds something else.
    pub fn open(&self) -> Result<Arc<ServerConfig>, TlsError> {
        if let Self::SelfSigned { directory, names } = self {
            self_signed::keep(directory, names)
                .map_err(|error| TlsError::NotKept(directory.clone(), error))?;
        }
        self.server_config().map(Arc::new)
    }

    fn server_config(&self) -> Result<ServerConfig, TlsError> {
        match self {
            Self::Files { certificate, key } => certificate::server_config(certificate, key),
            Self::SelfSigned { directory, .. } => {
                certificate::server_config(&certificate_file(directory), &key_file(directory))
            }
        }
    }

    /// Adds the settings to what an operator is shown. `TLS_CERT_FILE` is the file in effect, also of a self-signed
    /// certificate.
    pub(crate) fn show(source: Option<&Self>, shown: &mut ShownSettings) {
        let (how, names) = match source {
            Some(Self::SelfSigned { names, .. }) => (SELF_SIGNED, names.join(",")),
            Some(Self::Files { .. }) | None => (NONE, String::new()),
        };
        let file = source.map(|source| source.certificate_file().display().to_string());
        shown.show("TLS", how);
        shown.show("TLS_CERT_FILE", or_none(file));
        shown.show("TLS_NAMES", or_none((!names.is_empty()).then_some(names)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Variables of the environment, and their values.
    type Given<'a> = &'a [(&'a str, &'a str)];

    fn check(arguments: Given<'_>, directory: Option<&Path>) -> Result<Option<CertificateSource>, String> {
        let given = |name: &str| {
            arguments.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
        };
        let arguments = TlsArgs {
            tls: given("TLS"),
            tls_cert_file: given("TLS_CERT_FILE"),
            tls_key_file: given("TLS_KEY_FILE"),
            tls_names: given("TLS_NAMES"),
        };
        let mut settings = Settings::default();
        let source = arguments.check(&mut settings, directory);
        settings.finish(source).map_err(|error| error.mistakes().collect())
    }

    #[test]
    fn unset_there_is_none_and_self_signed_it_is_beside_the_data() {
        let data = Some(Path::new("/data"));
        assert_eq!(check(&[], data), Ok(None));
        assert_eq!(check(&[("TLS", "")], None), Ok(None));
        let names = ["192.168.1.5", "gate.lan"].map(str::to_owned).to_vec();
        assert_eq!(
            check(&[("TLS", "self-signed"), ("TLS_NAMES", "192.168.1.5, gate.lan")], data),
            Ok(Some(CertificateSource::SelfSigned { directory: "/data/tls".into(), names }))
        );
    }

    #[test]
    fn a_mistake_names_what_is_missing_unreadable_or_no_pair() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).display().to_string();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        for place in [&one, &other] {
            self_signed::keep(place, &[]).unwrap();
        }
        fs::write(file("text"), "text").unwrap();
        let (certificate, key) = (file("one/certificate.pem"), file("one/key.pem"));
        let (cert_file, key_file) = ("TLS_CERT_FILE", "TLS_KEY_FILE");
        let rows: [(Given<'_>, &[&str]); 10] = [
            (&[("TLS", "on")], &[r#"TLS is "on"; it may be self-signed"#]),
            (&[("TLS", "self-signed")], &["DATABASE_URL names none", "sqlite:///data/", "TLS_CERT_FILE"]),
            (&[("TLS_NAMES", "gate lan")], &[r#"TLS_NAMES is "gate lan"; it may be addresses and names"#]),
            (&[("TLS", "self-signed"), (cert_file, &certificate)], &["unset either"]),
            (&[(cert_file, &certificate)], &["TLS_CERT_FILE is set and TLS_KEY_FILE is not; set both"]),
            (&[(key_file, &key)], &["TLS_KEY_FILE is set and TLS_CERT_FILE is not; set both"]),
            (
                &[(cert_file, "/nowhere"), (key_file, &key)],
                &["TLS_CERT_FILE: the certificate \"/nowhere\" cannot"],
            ),
            (&[(cert_file, &file("text")), (key_file, &key)], &["TLS_CERT_FILE: ", "holds no certificate"]),
            (
                &[(cert_file, &certificate), (key_file, &certificate)],
                &["TLS_KEY_FILE: ", "holds no private key"],
            ),
            (
                &[(cert_file, &certificate), (key_file, &file("other/key.pem"))],
                &["TLS_KEY_FILE: ", "is not the private key of the certificate"],
            ),
        ];
        for (given, parts) in rows {
            let mistake = check(given, None).unwrap_err();
            for part in parts {
                assert!(mistake.contains(part), "{part}\n is missing in\n{mistake}");
            }
        }
        let pair = check(&[(cert_file, &certificate), (key_file, &key)], None).unwrap().unwrap();
        assert_eq!(pair.certificate_file(), one.join("certificate.pem"));
        pair.open().unwrap();
    }
}
