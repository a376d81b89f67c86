//! What kubectl and the API server write.

#[cfg(test)]
mod properties;

use latchkey_examples::kubernetes::{Answer, ExecInfo, Identity, Mapping, TokenReview};
use serde_json::Value;

use crate::Target;

/// The targets of what is read from Kubernetes.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "kubernetes_exec_info", run: exec_info },
    Target { name: "kubernetes_token_review", run: token_review },
    Target { name: "kubernetes_claims", run: claims },
];

/// A question is read or refused; it is answered in its own version; nobody is there unless it says so in so many words.
fn exec_info(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match ExecInfo::parse(text) {
        Ok(asked) => {
            assert!(!asked.is_interactive || text.contains("true"));
            let answer = asked.version.answer(&"e30.e30.c2ln".into(), std::time::SystemTime::UNIX_EPOCH);
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            assert_eq!(answer["apiVersion"], asked.version.name());
            assert_eq!(answer["status"]["token"], "e30.e30.c2ln");
        }
        // It is shown to a person: it must not repeat everything that came.
        Err(problem) => assert!(problem.to_string().len() < 1024, "{problem}"),
    }
}

/// A question is read or refused; the token in it is shown nowhere; the answer is of its version and says what was meant.
fn token_review(bytes: &[u8]) {
    let Ok(review) = TokenReview::parse(bytes) else { return };
    assert!(bytes.len() <= TokenReview::LIMIT);
    let asked: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let token = review.token().expose_secret();
    let shown = format!("{review:?}");
    for answer in [
        Answer::Unknown("why"),
        Answer::Known(Identity { username: "u".into(), uid: "s".into(), groups: vec!["g".into()] }),
    ] {
        let written = review.answer(&answer);
        let read: Value = serde_json::from_str(&written).unwrap_or_default();
        // What nobody looks at may hold escapes that make no text; a reader of everything then reads nothing.
        assert!(asked.is_null() || read["apiVersion"] == asked["apiVersion"]);
        assert_eq!(read["status"]["authenticated"], matches!(answer, Answer::Known(_)));
        // Short tokens are parts of any text.
        assert!(token.len() < 40 || !written.contains(token) && !shown.contains(token));
    }
}

/// Whatever the claims are, a name has its prefix and is none of the cluster's own, and the groups are few and sorted.
fn claims(bytes: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Value>(bytes) else { return };
    for (prefix, claim) in [("", "groups"), ("oidc:", "a.b.c"), ("sys", "resource_access.kube.roles")] {
        let mapping = Mapping {
            username_claim: "email".into(),
            username_prefix: prefix.into(),
            groups_claim: Some(claim.into()),
            groups_prefix: prefix.into(),
            required: vec![("hd".into(), "example.com".into())],
        };
        if let Answer::Known(identity) = mapping.map_claims("subject", |name| claims.get(name)) {
            assert_eq!(claims["hd"], "example.com");
            assert!(identity.groups.len() <= 1024 && identity.groups.is_sorted());
            for name in identity.groups.iter().chain([&identity.username]) {
                assert!(
                    name.starts_with(prefix) && !name.starts_with("system:") && name.len() <= 1024,
                    "{name}"
                );
            }
        }
    }
}
