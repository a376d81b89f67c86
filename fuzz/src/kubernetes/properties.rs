//! Structured inputs: what is written by the rules is read as it was written, and one thing changed is read or refused.

use std::time::{Duration, SystemTime};

use latchkey_examples::kubernetes::{Answer, ExecInfo, ExecVersion, Identity, TokenReview};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{claims, exec_info, token_review};
use crate::properties::{calendar, config, escaped, json, some_text, strange_members, text, with};

const VERSIONS: [&str; 2] = ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_kubectl_asks_is_read_whatever_stands_beside(
        version in select(&[ExecVersion::V1, ExecVersion::V1Beta1][..]),
        interactive in any::<bool>(),
        strange in strange_members(),
    ) {
        let spec = with(json!({"interactive": interactive}), &strange);
        let asked = json!({"apiVersion": version.name(), "kind": "ExecCredential", "spec": spec});
        let asked = escaped(&with(asked, &strange));
        prop_assert_eq!(ExecInfo::parse(&asked).map(|asked| (asked.version, asked.is_interactive)), Ok((version, interactive)));
    }

    #[test]
    fn kubectl_gets_the_token_and_its_end_as_they_are(token in text(), seconds in 0..253_402_300_800_u64) {
        for version in [ExecVersion::V1, ExecVersion::V1Beta1] {
            let until = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let answer = version.answer(&token.as_str().into(), until);
            prop_assert!(!answer.contains('\n'), "one line");
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            let [year, month, day, hour, minute, second] = calendar(seconds);
            let written = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
            prop_assert_eq!(&answer["status"], &json!({"token": token, "expirationTimestamp": written}));
            prop_assert_eq!(&answer["kind"], "ExecCredential");
        }
    }

    #[test]
    fn the_token_of_a_review_is_the_one_that_was_shown(
        token in text(),
        version in select(&VERSIONS[..]),
        (user, groups) in (some_text(), vec(text(), 0..4)),
        strange in strange_members(),
    ) {
        let asked = json!({"apiVersion": version, "kind": "TokenReview", "spec": {"token": token, "audiences": ["api"]}});
        let review = TokenReview::parse(escaped(&with(asked, &strange)).as_bytes());
        let Ok(review) = review else { return Err(TestCaseError::fail("it was refused")) };
        prop_assert!(review.token().is_same_as(&token));
        let identity = Identity { username: user, uid: token, groups };
        let written: Value = serde_json::from_str(&review.answer(&Answer::Known(identity.clone()))).unwrap_or_default();
        let known = json!({"username": identity.username, "uid": identity.uid, "groups": identity.groups});
        prop_assert_eq!(&written["status"], &json!({"authenticated": true, "user": known}));
        prop_assert_eq!(&written["apiVersion"], version);
    }

    #[test]
    fn foreign_questions_are_read_or_refused(value in json(), which in 0..4_usize, version in select(&VERSIONS[..])) {
        let mut asked = json!({"apiVersion": version, "kind": "TokenReview", "spec": {"token": "t"}});
        let place = ["/apiVersion", "/kind", "/spec", "/spec/token"][which];
        if let Some(place) = asked.pointer_mut(place) {
            *place = value.clone();
        }
        for text in [value.to_string(), asked.to_string(), escaped(&asked)] {
            token_review(text.as_bytes());
            exec_info(text.as_bytes());
        }
    }

    #[test]
    fn nobody_becomes_one_of_the_clusters_own(
        name in prop_oneof![some_text(), some_text().prop_map(|text| format!("system:{text}"))],
        groups in prop_oneof![json(), vec(prop_oneof![text(), Just("system:masters".to_owned()), Just("tem:masters".to_owned())], 0..6).prop_map(Value::from)],
    ) {
        let whole = json!({
            "email": name, "email_verified": true, "hd": "example.com", "groups": groups, "a": {"b": {"c": groups}},
            "resource_access": {"kube": {"roles": groups}},
        });
        claims(whole.to_string().as_bytes());
    }
}
