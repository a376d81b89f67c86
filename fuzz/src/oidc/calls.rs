//! Replies to every call there is.

use std::sync::{Arc, LazyLock};

use latchkey_oidc_flow::{AwsLc, AwsLcSigner, CallbackParams, Dpop, Error, Grant, TokenKind, TokenType};
use latchkey_transport::{Random, RandomUnavailable, Reply, Secret};
use serde_json::json;

use super::{CLIENT, ISSUER, SECRET, client, done, expect_discreet, expect_quiet, made, now, pending};

/// A status and the value of `WWW-Authenticate`, `Cache-Control` and `DPoP-Nonce` on the first line, and a body: as the
/// answer to every call there is.
///
/// No call panics or waits, nothing that was sent comes out, no ID token is believed, and userinfo is about who signed in.
pub(super) fn reply(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, body) = bytes.split_at(end);
    let line = String::from_utf8_lossy(line);
    let (status, header) = line.split_once(' ').unwrap_or((&*line, ""));
    let mut reply = Reply::new(status.parse().unwrap_or(200), body.get(1..).unwrap_or_default().to_vec());
    for name in ["www-authenticate", "cache-control", "dpop-nonce"] {
        reply = reply.with_header(name, header);
    }
    calls(reply.clone(), None).iter().for_each(expect_discreet);
    let bound = reply.with_header("content-type", "application/jwt");
    calls(bound, Some(&DPOP)).iter().for_each(expect_discreet);
}

static DPOP: LazyLock<Dpop> = LazyLock::new(|| {
    let algorithm = latchkey_oidc_flow::Algorithm::EdDsa;
    let signer = made(AwsLcSigner::from_pem(algorithm, &made(AwsLcSigner::generate(algorithm))));
    let key = signer.public_key().ok_or("a pair has a public half");
    made(Dpop::new(signer, &made(key), &mut Zeros))
});

/// Makes every call, and returns what went wrong.
fn calls(reply: Reply, dpop: Option<&Dpop>) -> Vec<Error> {
    let secret = || Secret::new(SECRET);
    let mut client = client(reply, Arc::new(AwsLc::default())).with_secret(secret());
    if let Some(dpop) = dpop {
        client = client.with_dpop(dpop.clone());
    }
    let mut errors = Vec::new();
    let callback = made(CallbackParams::parse(&format!("state={SECRET}&code={SECRET}")));
    let callback = made(pending().accept(&callback, now()));
    let redeemed = done(client.redeem(callback, now()));
    assert!(redeemed.is_err(), "nobody has signed this");
    errors.extend(redeemed.err());

    let grant = json!({
        "version": 1, "issuer": ISSUER, "client_id": CLIENT, "refresh_token": SECRET,
        "scopes": ["openid"], "origin": {"subject": "s", "audiences": [CLIENT]},
    });
    let grant: Grant = made(serde_json::from_value(grant));
    match done(client.refresh(&grant, now())) {
        Ok(refreshed) => {
            expect_quiet(&refreshed);
            let tokens = refreshed.release();
            assert!(tokens.id_token.is_none(), "nobody has signed this");
            assert!(!tokens.grant.refresh_token().is_empty() && !tokens.access_token.is_empty());
        }
        Err(error) => errors.push(error),
    }
    match done(client.userinfo(&secret(), "s", now())) {
        Ok(userinfo) => {
            assert!(userinfo.subject() == "s" && !userinfo.is_signed());
            userinfo.claim_sources().iter().for_each(expect_quiet);
        }
        Err(error) => errors.push(error),
    }
    errors.extend(done(client.client_credentials().with_scope("a").send(now())).err());
    errors.extend(done(client.exchange(secret(), TokenType::AccessToken).send(now())).err());
    errors.extend(done(client.introspect(&secret(), TokenKind::Access, now())).err());
    errors.extend(done(client.revoke(&secret(), TokenKind::Refresh, now())).err());
    errors.extend(done(client.authorize(super::REDIRECT_URI).push(&mut Zeros, now())).err());
    match done(client.device().begin(now())) {
        Ok(mut login) => {
            expect_quiet(&login);
            let later = now() + std::time::Duration::from_secs(60);
            errors.extend(done(client.poll_device(&mut login.pending, later)).err());
        }
        Err(error) => errors.push(error),
    }
    errors
}

/// No randomness at all, which is enough where nobody attacks.
struct Zeros;

impl Random for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        bytes.fill(0);
        Ok(())
    }
}
