//! A certificate that nobody but itself vouches for, made here and kept for the next start.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::{TimeDelta, Utc};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, PublicKeyData,
};
use rustix::system::uname;
use rustls::pki_types::ServerName;

use super::certificate::Certificate;

/// Apple's browsers refuse a certificate that is good for more than 398 days.
const GOOD_FOR: TimeDelta = TimeDelta::days(365);

/// It is good from a while ago, for the clock of a phone may be late.
const LATE_CLOCK: TimeDelta = TimeDelta::days(1);

/// With less time than this left, another one is made.
const MUST_BE_GOOD_FOR: TimeDelta = TimeDelta::days(30);

pub(super) fn certificate_file(directory: &Path) -> PathBuf {
    directory.join("certificate.pem")
}

pub(super) fn key_file(directory: &Path) -> PathBuf {
    directory.join("key.pem")
}

/// Sees to it that `directory` has a key and a certificate for this machine and for `names`. What is there already is
/// kept if it can be. A new certificate has the same key. Two processes may do this at the same time.
///
/// # Errors
///
/// The directory or a file in it cannot be used.
pub(super) fn keep(directory: &Path, names: &[String]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let lock = File::open(directory)?;
    lock.lock()?;
    let key = keep_key(&key_file(directory))?;
    let names: Vec<String> = own_names().into_iter().chain(names.iter().cloned()).collect();
    let path = certificate_file(directory);
    if !path.exists() || !is_good(&path, &key, &names) {
        let certificate = make(names, &key).map_err(io::Error::other)?;
        write_anew(&path, 0o644, &certificate)?;
    }
    Ok(())
}

fn keep_key(path: &Path) -> io::Result<KeyPair> {
    match fs::read_to_string(path) {
        Ok(text) => KeyPair::from_pem(&text).map_err(|error| {
            let way_out = "remove it, and another one is made at the next start";
            io::Error::other(format!("{} is no key ({error}); {way_out}", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(io::Error::other)?;
            write_anew(path, 0o600, &key.serialize_pem())?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

/// The names that every machine has, and its own.
fn own_names() -> Vec<String> {
    let mut names =
        vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
    let host = uname().nodename().to_string_lossy().to_ascii_lowercase();
    // Any text may be set as the name of a host.
    if matches!(ServerName::try_from(&*host), Ok(ServerName::DnsName(_))) {
        if !host.contains('.') {
            names.push(format!("{host}.local"));
        }
        names.push(host);
    }
    names
}

/// Whether the certificate at `path` is of `key`, for all of `names`, and good for long enough.
fn is_good(path: &Path, key: &KeyPair, names: &[String]) -> bool {
    let Ok(certificate) = Certificate::load(path) else { return false };
    let is_for = |name: &String| ServerName::try_from(&**name).is_ok_and(|name| certificate.covers(&name));
    let is_of_key = certificate
        .parsed()
        .is_ok_and(|parsed| *parsed.subject_public_key_info() == *key.subject_public_key_info());
    is_of_key
        && certificate.has_begun()
        && certificate.good_until().is_some_and(|end| end > Utc::now() + MUST_BE_GOOD_FOR)
        && names.iter().all(is_for)
}

/// A new certificate, as PEM.
fn make(names: Vec<String>, key: &KeyPair) -> Result<String, rcgen::Error> {
    let now = SystemTime::now();
    let nanoseconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "TixGo");
    // Firefox refuses two certificates of one issuer with the same number, also if one took the place of the other.
    parameters.serial_number = Some(nanoseconds.to_be_bytes().to_vec().into());
    parameters.not_before = (now - LATE_CLOCK.to_std().unwrap_or_default()).into();
    parameters.not_after = (now + GOOD_FOR.to_std().unwrap_or_default()).into();
    // Whoever is made to trust it need not fear that it signs others.
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters.self_signed(key)?.pem())
}

/// Replaces a file. It is never half written, and a link of its name is not followed.
fn write_anew(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, thread};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn kept(directory: &Path) -> (String, String) {
        let read = |path| fs::read_to_string(path).unwrap();
        (read(key_file(directory)), read(certificate_file(directory)))
    }

    #[test]
    fn it_is_for_this_machine_and_the_given_names_and_good_for_a_year() {
        let directory = tempfile::tempdir().unwrap();
        keep(directory.path(), &names(&["192.168.1.5", "gate.lan", "fe80::1"])).unwrap();
        let certificate = Certificate::load(&certificate_file(directory.path())).unwrap();
        let host = uname().nodename().to_string_lossy().into_owned();
        for name in ["localhost", "127.0.0.1", "::1", "192.168.1.5", "gate.lan", "fe80::1", &host] {
            assert!(certificate.covers(&ServerName::try_from(name).unwrap()), "{name}");
        }
        for name in ["192.168.1.6", "example.org"] {
            assert!(!certificate.covers(&ServerName::try_from(name).unwrap()), "{name}");
        }
        let days = (certificate.good_until().unwrap() - Utc::now()).num_days();
        assert!((364..=365).contains(&days), "{days}");
        assert!(certificate.has_begun());
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(key_file(directory.path())), 0o600);
    }

    #[test]
    fn it_is_kept_as_long_as_it_names_all_and_made_anew_with_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        keep(directory, &names(&["192.168.1.5", "192.168.1.6"])).unwrap();
        let (key, certificate) = kept(directory);
        for fewer in [&["192.168.1.6"][..], &["192.168.1.6", "192.168.1.5"], &[]] {
            keep(directory, &names(fewer)).unwrap();
            assert_eq!(kept(directory), (key.clone(), certificate.clone()), "{fewer:?}");
        }
        keep(directory, &names(&["192.168.1.7"])).unwrap();
        let (same, other) = kept(directory);
        assert!(same == key && other != certificate);
    }

    #[test]
    fn one_that_is_damaged_ends_soon_has_not_begun_or_is_of_another_key_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = certificate_file(directory.path());
        keep(directory.path(), &[]).unwrap();
        let key = keep_key(&key_file(directory.path())).unwrap();
        let now = SystemTime::now();
        let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
        let with = |begin: SystemTime, end: SystemTime, key: &KeyPair| {
            let mut parameters = CertificateParams::new(own_names()).unwrap();
            (parameters.not_before, parameters.not_after) = (begin.into(), end.into());
            parameters.self_signed(key).unwrap().pem()
        };
        let good = with(now, now + days(31), &key);
        fs::write(&path, &good).unwrap();
        keep(directory.path(), &[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
        for bad in [
            "damaged".to_owned(),
            with(now, now + days(29), &key),
            with(now + days(1), now + days(90), &key),
            with(now, now + days(90), &KeyPair::generate().unwrap()),
        ] {
            fs::write(&path, &bad).unwrap();
            keep(directory.path(), &[]).unwrap();
            assert_ne!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn services_that_start_at_the_same_moment_have_the_same_pair() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data").join("tls");
        let pairs: Vec<_> = thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        keep(&directory, &names(&["192.168.1.5"])).unwrap();
                        kept(&directory)
                    })
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(pairs.iter().all(|pair| *pair == pairs[0]));
    }

    #[test]
    fn a_key_that_is_damaged_is_named_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(key_file(directory.path()), "damaged").unwrap();
        let error = keep(directory.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("key.pem is no key (") && error.contains("; remove it, "), "{error}");
        assert_eq!(fs::read_to_string(key_file(directory.path())).unwrap(), "damaged");
    }
}
