//! The API server's question whose token it was shown, and the answer
//! ([`authentication.k8s.io`](https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication)).

use std::fmt;

use latchkey_oidc_flow::VerifiedIdToken;
use latchkey_transport::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the API server asks.
#[derive(Clone)]
pub struct TokenReview {
    version: &'static str,
    /// The token that somebody showed.
    token: Secret,
}

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenReviewProblem {
    /// It is longer than any real one.
    #[error("the question is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not the JSON that an API server writes.
    #[error("the question is not a TokenReview of authentication.k8s.io/v1 or v1beta1")]
    Malformed,
}

const VERSIONS: [&str; 2] = ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"];
const KIND: &str = "TokenReview";

impl TokenReview {
    /// How long a question may be: 128 KiB, twice the longest token.
    pub const LIMIT: usize = 128 * 1024;

    /// Reads what the API server asks.
    ///
    /// The audiences that it names are its own, and mean tokens that it issued itself. An ID token is for its client,
    /// and who answers for those says nothing about audiences: the API server then takes the answer for its own.
    pub fn parse(body: &[u8]) -> Result<Self, TokenReviewProblem> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Asked {
            api_version: String,
            kind: String,
            spec: Spec,
        }
        #[derive(Deserialize)]
        struct Spec {
            token: Secret,
        }
        if body.len() > Self::LIMIT {
            return Err(TokenReviewProblem::TooLong { limit: Self::LIMIT });
        }
        // RFC 8259, 8.1: JSON between systems is UTF-8, also in what nobody looks at.
        let text = std::str::from_utf8(body).map_err(|_| TokenReviewProblem::Malformed)?;
        let asked: Asked = serde_json::from_str(text).map_err(|_| TokenReviewProblem::Malformed)?;
        let version = VERSIONS.into_iter().find(|version| *version == asked.api_version);
        match version {
            Some(version) if asked.kind == KIND => Ok(Self { version, token: asked.spec.token }),
            _ => Err(TokenReviewProblem::Malformed),
        }
    }

    /// Returns the token that somebody showed.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Writes the answer, in the version of the question: JSON on one line.
    pub fn answer(&self, answer: &Answer) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            api_version: &'a str,
            kind: &'a str,
            status: Status<'a>,
        }
        #[derive(Serialize)]
        struct Status<'a> {
            authenticated: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            user: Option<&'a Identity>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<&'a str>,
        }
        let status = match answer {
            Answer::Known(identity) => Status { authenticated: true, user: Some(identity), error: None },
            Answer::Unknown(why) => Status { authenticated: false, user: None, error: Some(why) },
        };
        let written = Written { api_version: self.version, kind: KIND, status };
        // Texts are JSON without fail.
        serde_json::to_string(&written).unwrap_or_default()
    }
}

/// Shows no token.
impl fmt::Debug for TokenReview {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenReview").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What is said about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whose it is.
    Known(Identity),
    /// Why it is nobody's: one of a few fixed sentences, with nothing of the token in it.
    Unknown(&'static str),
}

/// Somebody as Kubernetes knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The name that roles are bound to.
    pub username: String,
    /// What stays the same when the name does not: the subject.
    pub uid: String,
    /// The groups that roles are bound to.
    pub groups: Vec<String>,
}

/// How a person of the provider becomes a user of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a program states every part")]
pub struct Mapping {
    /// The claim that names the user.
    pub username_claim: String,
    /// What stands before every user name, so that no person is taken for a user from elsewhere.
    pub username_prefix: String,
    /// The claim that lists the groups, if one does. Dots lead into objects: `resource_access.kube.roles`.
    pub groups_claim: Option<String>,
    /// What stands before every group.
    pub groups_prefix: String,
    /// Claims that must be there with these texts.
    pub required: Vec<(String, String)>,
}

/// How many groups are taken: far more than anybody has, and few enough for a header of every request.
const GROUPS: usize = 1024;

/// How long a name may be.
const NAME: usize = 1024;

/// The names that belong to the cluster itself. A provider must not make anybody `system:masters`.
const RESERVED: &str = "system:";

impl Mapping {
    /// Says who somebody is to the cluster.
    pub fn map(&self, token: &VerifiedIdToken) -> Answer {
        self.map_claims(token.subject(), |name| token.claim(name))
    }

    /// Says who somebody is to the cluster whose claims somebody else has checked.
    pub fn map_claims<'a>(&self, subject: &str, claim: impl Fn(&str) -> Option<&'a Value>) -> Answer {
        for (name, wanted) in &self.required {
            if find(&claim, name).and_then(Value::as_str) != Some(wanted) {
                return Answer::Unknown("a claim that is required has another value");
            }
        }
        let Some(name) = find(&claim, &self.username_claim).and_then(Value::as_str) else {
            return Answer::Unknown("the claim for the user name is missing");
        };
        // An address that nobody has checked can be anybody's.
        if self.username_claim == "email" && claim("email_verified").is_some_and(is_not_true) {
            return Answer::Unknown("the email address is not verified");
        }
        let Some(username) = named(&self.username_prefix, name) else {
            return Answer::Unknown("the user name is empty, too long, or one of the cluster's own");
        };
        let listed = self.groups_claim.as_ref().and_then(|name| find(&claim, name));
        let listed: Vec<&str> = match listed {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).take(GROUPS).collect(),
            _ => Vec::new(),
        };
        let mut groups: Vec<_> =
            listed.into_iter().filter_map(|group| named(&self.groups_prefix, group)).collect();
        groups.sort_unstable();
        groups.dedup();
        Answer::Known(Identity { username, uid: subject.to_owned(), groups })
    }
}

/// Providers write it as a text, too.
fn is_not_true(value: &Value) -> bool {
    value.as_bool().or_else(|| value.as_str().map(|text| text == "true")) != Some(true)
}

/// Returns a name with its prefix, if it can be one.
fn named(prefix: &str, name: &str) -> Option<String> {
    let whole = format!("{prefix}{name}");
    let is_plain = !name.is_empty() && whole.len() <= NAME && !name.contains(char::is_control);
    (is_plain && !whole.starts_with(RESERVED)).then_some(whole)
}

/// Returns a claim by its name, or by the way to it: a claim's own name may have dots, too.
fn find<'a>(claim: &dyn Fn(&str) -> Option<&'a Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = claim(path) {
        return Some(found);
    }
    // `resource_access.my.client.roles`: each dot may end a name or be a part of it.
    path.match_indices('.').find_map(|(at, _)| {
        let (name, rest) = (path.get(..at)?, path.get(at + 1..)?);
        let inner = claim(name)?.as_object()?;
        find(&|name: &str| inner.get(name), rest)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Answer, Identity, Mapping, TokenReview, TokenReviewProblem, VERSIONS};

    fn mapping() -> Mapping {
        Mapping {
            username_claim: "preferred_username".into(),
            username_prefix: "oidc:".into(),
            groups_claim: Some("groups".into()),
            groups_prefix: "oidc:".into(),
            required: Vec::new(),
        }
    }

    fn map(mapping: &Mapping, claims: &Value) -> Answer {
        mapping.map_claims("s-1", |name| claims.get(name))
    }

    fn groups(mapping: &Mapping, claims: &Value) -> Vec<String> {
        match map(mapping, claims) {
            Answer::Known(identity) => identity.groups,
            Answer::Unknown(why) => panic!("{why}"),
        }
    }

    #[test]
    fn both_versions_are_answered_in_kind() {
        for version in VERSIONS {
            let asked = json!({"apiVersion": version, "kind": "TokenReview", "metadata": {"creationTimestamp": null},
                "spec": {"token": "a.b.c", "audiences": ["https://kubernetes.default.svc"]}, "status": {"user": {}}});
            let review = TokenReview::parse(asked.to_string().as_bytes()).unwrap();
            assert_eq!(review.token().expose_secret(), "a.b.c");
            assert!(!format!("{review:?}").contains("a.b.c"));
            let identity = Identity { username: "u".into(), uid: "s".into(), groups: vec!["g".into()] };
            let known: Value = serde_json::from_str(&review.answer(&Answer::Known(identity))).unwrap();
            let user = json!({"username": "u", "uid": "s", "groups": ["g"]});
            let expected = json!({"apiVersion": version, "kind": "TokenReview",
                "status": {"authenticated": true, "user": user}});
            assert_eq!(known, expected);
            let unknown: Value = serde_json::from_str(&review.answer(&Answer::Unknown("why"))).unwrap();
            assert_eq!(unknown["status"], json!({"authenticated": false, "error": "why"}));
        }
    }

    #[test]
    fn whatever_is_no_token_review_is_refused() {
        let v1 = "authentication.k8s.io/v1";
        for asked in [
            json!({}),
            json!([]),
            json!({"apiVersion": v1, "kind": "Pod", "spec": {"token": "t"}}),
            json!({"apiVersion": "authentication.k8s.io/v2", "kind": "TokenReview", "spec": {"token": "t"}}),
            json!({"apiVersion": v1, "kind": "TokenReview"}),
            json!({"apiVersion": v1, "kind": "TokenReview", "spec": {"token": 1}}),
        ] {
            let parsed = TokenReview::parse(asked.to_string().as_bytes());
            assert_eq!(parsed.unwrap_err(), TokenReviewProblem::Malformed, "{asked}");
        }
        let foreign = [
            &br#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","x":""#[..],
            &[0xff],
            br#"","spec":{"token":"t"}}"#,
        ];
        assert_eq!(TokenReview::parse(&foreign.concat()).unwrap_err(), TokenReviewProblem::Malformed);
        let long = vec![b' '; TokenReview::LIMIT + 1];
        assert!(matches!(TokenReview::parse(&long), Err(TokenReviewProblem::TooLong { .. })));
    }

    #[test]
    fn names_and_groups_get_their_prefixes() {
        let claims = json!({"preferred_username": "rita", "groups": ["b", "a", "b"]});
        let expected = Identity {
            username: "oidc:rita".into(),
            uid: "s-1".into(),
            groups: vec!["oidc:a".into(), "oidc:b".into()],
        };
        assert_eq!(map(&mapping(), &claims), Answer::Known(expected));
    }

    #[test]
    fn no_provider_makes_anybody_one_of_the_clusters_own() {
        let bare = Mapping { username_prefix: String::new(), groups_prefix: String::new(), ..mapping() };
        let claims = json!({"preferred_username": "rita", "groups": ["system:masters", "team"]});
        assert_eq!(groups(&bare, &claims), ["team"]);
        let split = Mapping { groups_prefix: "sys".into(), ..mapping() };
        let claims = json!({"preferred_username": "rita", "groups": ["tem:masters"]});
        assert!(groups(&split, &claims).is_empty());
        let claims = json!({"preferred_username": "system:admin"});
        assert!(matches!(map(&bare, &claims), Answer::Unknown(_)));
        for name in ["", "a\nb", &"x".repeat(2000)] {
            assert!(matches!(map(&bare, &json!({"preferred_username": name})), Answer::Unknown(_)), "{name}");
        }
    }

    #[test]
    fn groups_stand_at_the_end_of_a_way_or_under_a_name_with_dots() {
        let at = |claim: &str| Mapping { groups_claim: Some(claim.into()), ..mapping() };
        let claims = json!({"preferred_username": "rita", "https://example.com/groups": ["named"],
            "resource_access": {"my.client": {"roles": ["nested"]}}, "one": "alone", "number": 7});
        assert_eq!(groups(&at("resource_access.my.client.roles"), &claims), ["oidc:nested"]);
        assert_eq!(groups(&at("https://example.com/groups"), &claims), ["oidc:named"]);
        assert_eq!(groups(&at("one"), &claims), ["oidc:alone"]);
        for nothing in ["number", "resource_access.my", "resource_access..roles", ".", ""] {
            assert!(groups(&at(nothing), &claims).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn an_email_that_is_not_verified_is_nobodys_name() {
        let by_email = Mapping { username_claim: "email".into(), ..mapping() };
        for (verified, is_known) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("no"), false),
            (json!(1), false),
        ] {
            let claims = json!({"email": "rita@example.com", "email_verified": verified});
            assert_eq!(matches!(map(&by_email, &claims), Answer::Known(_)), is_known, "{verified}");
        }
        assert!(matches!(map(&by_email, &json!({"email": "rita@example.com"})), Answer::Known(_)));
    }

    #[test]
    fn a_required_claim_decides() {
        let strict = Mapping { required: vec![("hd".into(), "example.com".into())], ..mapping() };
        for (claims, is_known) in [
            (json!({"preferred_username": "rita", "hd": "example.com"}), true),
            (json!({"preferred_username": "rita", "hd": "other.com"}), false),
            (json!({"preferred_username": "rita"}), false),
        ] {
            assert_eq!(matches!(map(&strict, &claims), Answer::Known(_)), is_known, "{claims}");
        }
    }
}
