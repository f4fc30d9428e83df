//! A token server as `docker-registry` trusts it: whoever has the login gets the access that was asked for, in a signed
//! JSON Web Token. *Source*: the token authentication specification of the Docker registry; RFC 7515, 7519.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::scripted::{Reply, Request, Server};

/// Starts it. `certificate` is written: the PEM file that a registry trusts it by.
pub fn server(user: String, password: String, certificate: &Path) -> Server {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["tokens".to_owned()]).expect("a name");
    let signed = params.self_signed(&key).expect("a certificate");
    std::fs::write(certificate, signed.pem()).expect("a file can be written");
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(signed.der())]});
    let key = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &key.serialize_der(),
        &SystemRandom::new(),
    )
    .expect("the key is for this algorithm");
    let login = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    Server::start(move |request| {
        let authorization = request.header("authorization");
        if authorization.is_some_and(|authorization| authorization != login) {
            return Reply::new(401);
        }
        let access = match authorization {
            Some(_) => access(request),
            None => Vec::new(),
        };
        Reply::ok(json!({"token": token(&header, &key, access)}).to_string())
    })
}

/// What a request asks for: `scope=repository:NAME:pull,push`.
fn access(request: &Request) -> Vec<Value> {
    let url = url::Url::parse(&format!("http://tokens{}", request.path)).expect("a path");
    let scopes: Vec<String> = url
        .query_pairs()
        .filter(|(name, _)| name == "scope")
        .map(|(_, scope)| scope.into_owned())
        .collect();
    let scopes = scopes.iter().flat_map(|scopes| scopes.split(' '));
    scopes
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect()
}

fn token(header: &Value, key: &EcdsaKeyPair, access: Vec<Value>) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let claims = json!({
        "iss": "tests", "sub": "somebody", "aud": "test", "jti": now.to_string(),
        "iat": now, "nbf": now - 10, "exp": now + 300, "access": access,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(&claims));
    let signature = key
        .sign(&SystemRandom::new(), signed.as_bytes())
        .expect("a signature");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
