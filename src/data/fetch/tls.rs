//! TLS: whose certificates are trusted, as curl has it (`SSL_CERT_FILE` and `SSL_CERT_DIR`, else the system's store),
//! and what is said of one that is refused. The only file that knows rustls.

use anyhow::{Result, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, OtherError};
use rustls::{RootCertStore, SignatureScheme, StreamOwned};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use std::env;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Puts TLS over a connection that is to have it. ureq's own would say nothing of a certificate but that it is refused.
#[derive(Debug)]
pub(super) struct Tls;

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails, below: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let below = match below {
            Some(below) if details.needs_tls() && !below.is_tls() => below,
            other => return Ok(other.map(Either::A)),
        };
        let config = config().map_err(io::Error::other)?;
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut below = TransportAdapter::new(below.boxed(), details.current_time.clone());
        below.set_timeout(details.timeout);
        connection.complete_io(&mut below)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Encrypted { buffers, stream: StreamOwned::new(connection, below) })))
    }
}

/// A connection with TLS.
pub(super) struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Encrypted")
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// What this process trusts, read once.
fn config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(|| read_config().map(Arc::new).map_err(|error| format!("{error:#}"))).clone()
}

fn read_config() -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots()?);
    let by_the_book = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build()?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // It refuses and takes what rustls itself does.
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Verifier(by_the_book)));
    Ok(config.with_no_client_auth())
}

/// The certificates that are trusted: of the files that the environment names, else the system's; where a system has
/// none, as in a bare container, Mozilla's list as it was when hw1 was built.
fn roots() -> Result<RootCertStore> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let (file, folders) = (named(FILE).map(PathBuf::from), named(FOLDERS));
    let mut store = RootCertStore::empty();
    if file.is_none() && folders.is_none() {
        store.add_parsable_certificates(load_native_certs().certs);
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        return Ok(store);
    }
    let mut problems = Vec::new();
    let mut take = |CertificateResult { certs, errors, .. }| {
        store.add_parsable_certificates(certs);
        problems.extend(errors.into_iter().map(|error| error.to_string()));
    };
    if let Some(file) = &file {
        take(load_certs_from_paths(Some(file), None));
    }
    for folder in folders.iter().flat_map(env::split_paths) {
        take(load_certs_from_paths(None, Some(&folder)));
    }
    if store.is_empty() {
        let name = if file.is_some() { FILE } else { FOLDERS };
        let why = problems.first().map(|problem| format!(" ({problem})")).unwrap_or_default();
        let is = file.map(|file| format!(", {},", file.display())).unwrap_or_default();
        bail!("{name}{is} has no certificate that can be read{why}: let it name one in PEM, or unset it");
    }
    Ok(store)
}

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// rustls's own, which says whose certificate it refuses.
#[derive(Debug)]
struct Verifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer,
        between: &[CertificateDer],
        name: &ServerName,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(certificate, between, name, ocsp, now).map_err(|error| match error {
            Error::InvalidCertificate(why) => {
                let refused = Refused { said: refusal(certificate, name, &why) };
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// A certificate is refused: a sentence.
#[derive(Debug)]
struct Refused {
    said: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Refused {}

fn refusal(certificate: &CertificateDer, name: &ServerName, why: &CertificateError) -> String {
    let parsed = Certificate::from_der(certificate).ok();
    let whose = parsed.map_or_else(
        || "which cannot be read".to_owned(),
        |parsed| {
            let parts = parsed.tbs_certificate();
            format!("of {}, issued by {}", parts.subject(), parts.issuer())
        },
    );
    let (why, way_out) = match why {
        CertificateError::UnknownIssuer => (
            "that issuer is not trusted here".to_owned(),
            "where it is your organisation's own, name its certificate (PEM) with SSL_CERT_FILE, or have it put into \
             the system's store",
        ),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            (why.to_string(), "look at this machine's clock, or name another --mirror")
        }
        _ => (why.to_string(), "something may stand in between; look at HTTPS_PROXY, or name another --mirror"),
    };
    format!("the certificate that {} showed is refused ({whose}): {why}; {way_out}", name.to_str())
}

/// What went wrong in TLS, if that is what an error of a connection is about.
pub(super) fn problem(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    Some(match inner.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(said))) => said.to_string(),
        Error::InvalidMessage(_) => {
            "what answers speaks no TLS: a proxy, or a page to log in to the network, may stand in between".into()
        }
        other => format!("TLS: {other}"),
    })
}
