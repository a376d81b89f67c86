//! Structured inputs: what is written by the rules is read as it was written, and one thing changed is read or refused.

use std::sync::Arc;
use std::time::Duration;

use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::oob::Pasted;
use latchkey_oidc_flow::{
    AwsLc, CallbackParams, CallbackProblem, Endpoint, Error, Grant, IdToken, IdTokenProblem, Metadata,
    Misbehaviour,
};
use latchkey_transport::Reply;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    CLIENT, ISSUER, NOW, SECRET, calls, client, document, done, made, now, texts, tokens, trusting_client,
};
use crate::properties::{config, escaped, json, some_text, strange_members, text, with};

/// What may stand in a callback once only.
const KNOWN: [&str; 10] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "session_state",
    "id_token",
    "access_token",
    "response",
];

fn form(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Parameters in any order, with strange ones between them.
fn answer(known: Vec<(&'static str, String)>) -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text().prop_map(|name| format!("x-{name}")), text()), 0..3).prop_flat_map(move |strange| {
        let known = known.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Just(known.chain(strange).collect::<Vec<_>>()).prop_shuffle()
    })
}

fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "s", "aud": CLIENT, "azp": CLIENT, "exp": NOW + 300, "iat": NOW, "nonce": SECRET,
        "auth_time": NOW - 5, "acr": "1",
    })
}

fn good_logout() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 60, "jti": "j", "sub": "s", "sid": "session",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

fn good_answer() -> Value {
    json!({"iss": ISSUER, "aud": CLIENT, "exp": NOW + 60, "state": SECRET, "code": SECRET, "session_state": "s"})
}

fn good_reply() -> Value {
    json!({
        "access_token": SECRET, "token_type": "Bearer", "expires_in": 300, "refresh_token": SECRET, "scope": "openid",
        "id_token": "a.b.c", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "active": true,
        "sub": "s", "device_code": SECRET, "user_code": "A", "verification_uri": "https://id.example/d", "interval": 5,
        "request_uri": "urn:x", "error": "slow_down",
    })
}

fn good_key() -> Value {
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k", "key_ops": ["verify"],
        "x": "5cRRODE6B7bRkKmODu2uyW6OnzfrKbcP1zj_gk0ADHM", "y": "z-7UxiJUiy2rzb5KzYOAtNiZPm7SX0cz8c47pAcWej4"})
}

/// The object with one of its members made something else, or taken out.
fn changed(object: Value) -> impl Strategy<Value = Value> {
    (any::<Index>(), proptest::option::of(json())).prop_map(move |(which, value)| {
        let mut object = object.clone();
        if let Some(members) = object.as_object_mut() {
            let name = members.keys().nth(which.index(members.len())).cloned().unwrap_or_default();
            match value {
                Some(value) => members.insert(name, value),
                None => members.remove(&name),
            };
        }
        object
    })
}

fn verified(claims: &Value) -> Result<latchkey_oidc_flow::VerifiedIdToken, Error> {
    let client = trusting_client();
    let expectations = client.expectations().clone().with_nonce(SECRET.into());
    let token = IdToken::parse(tokens::compact(br#"{"alg":"RS256"}"#, escaped(claims).as_bytes()))?;
    done(client.provider().verify(token, &expectations, None, now()))
}

fn opened(claims: &str) -> Result<CallbackParams, Error> {
    let response = tokens::compact(br#"{"alg":"RS256"}"#, claims.as_bytes());
    let params = made(CallbackParams::parse(&format!("response={response}")));
    done(trusting_client().open(params, now()))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_callback_is_read_as_it_was_written(
        (code, state, issuer, pairs) in (some_text(), text(), text()).prop_flat_map(|(code, state, issuer)| {
            let known = vec![("code", code.clone()), ("state", state.clone()), ("iss", issuer.clone())];
            (Just(code), Just(state), Just(issuer), answer(known))
        }),
    ) {
        let encoded = form(&pairs);
        let address = |mark: char| CallbackParams::from_address(&format!("https://app.example/cb{mark}{encoded}"));
        for params in [CallbackParams::parse(&encoded), address('?'), address('#')] {
            let params = made(params);
            prop_assert!(params.code().is_some_and(|this| this.is_same_as(&code)));
            prop_assert!(params.state().is_some_and(|this| this.is_same_as(&state)));
            prop_assert_eq!(params.issuer(), Some(issuer.as_str()));
            prop_assert!(params.refusal().is_none() && !params.is_signed());
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_is_refused_wherever_it_stands(
        (name, pairs) in (select(&KNOWN[..]), text(), text()).prop_flat_map(|(name, one, other)| {
            (Just(name), answer(vec![(name, one), (name, other)]))
        }),
    ) {
        let problem = CallbackParams::parse(&form(&pairs)).map(drop);
        prop_assert_eq!(problem, Err(CallbackProblem::DuplicateParameter { parameter: name }));
    }

    #[test]
    fn a_code_is_found_in_whatever_is_pasted_around_it(
        code in "[A-Za-z0-9._~-]{1,60}",
        (before, after) in (select(&["", " ", "\n", "\"", "“", "<", "\u{200b}\t"][..]), select(&["", " ", "\r\n", "\"", "”", ">"][..])),
        form in 0..6,
        break_at in any::<Index>(),
    ) {
        let text = match form {
            0 => code.clone(),
            1 => format!("code={code}&state={SECRET}"),
            2 => format!("?state={SECRET}&code={code}"),
            3 => format!("https://app.example/cb?code={code}&state={SECRET}"),
            4 => format!("http://localhost:8250/oidc/callback#state={SECRET}&code={code}"),
            _ => format!("https://id.example/oob?session_state=x&code={code}"),
        };
        // A terminal may break it anywhere.
        let (first, rest) = text.split_at(break_at.index(text.len()));
        let pasted = made(Pasted::parse(&format!("{before}{first}\n{rest}{after}")));
        prop_assert!(pasted.params().code().is_some_and(|this| this.is_same_as(&code)));
        prop_assert_eq!(pasted.params().state().is_some(), (1..5).contains(&form));
    }

    #[test]
    fn foreign_text_is_read_or_refused(text in text(), bytes in vec(any::<u8>(), 0..64)) {
        for bytes in [text.as_bytes(), &bytes] {
            texts::callback(bytes);
            texts::visit(bytes);
            texts::pasted(bytes);
            tokens::token(bytes);
        }
    }

    #[test]
    fn foreign_json_is_read_or_refused(value in json()) {
        for text in [value.to_string(), escaped(&value)] {
            texts::stored(text.as_bytes());
            texts::metadata(text.as_bytes());
            texts::keys(text.as_bytes());
            tokens::header(value.to_string().as_bytes());
            tokens::claims(text.as_bytes());
            tokens::logout_token(text.as_bytes());
            tokens::signed_answer(text.as_bytes());
            calls::reply(format!("200\n{text}").as_bytes());
        }
    }

    #[test]
    fn a_document_is_read_whatever_else_stands_in_it(strange in strange_members()) {
        let metadata = made(Metadata::parse(ISSUER, escaped(&with(document(), &strange)).as_bytes()));
        prop_assert_eq!(metadata.issuer(), ISSUER);
        prop_assert_eq!(metadata.token_endpoint().as_str(), "https://id.example/token");
        let userinfo = metadata.endpoint(Endpoint::UserInfo).map(url::Url::as_str);
        prop_assert_eq!(userinfo, Some("https://id.example/userinfo"));
        prop_assert!(metadata.endpoint(Endpoint::EndSession).is_none());
    }

    #[test]
    fn a_document_of_another_issuer_is_refused(issuer in text()) {
        prop_assume!(issuer != ISSUER);
        let document = with(document(), &[("issuer".to_owned(), issuer.into())]);
        let error = Metadata::parse(ISSUER, document.to_string().as_bytes()).err();
        let is_told = matches!(error, Some(Error::Misbehaved(Misbehaviour::IssuerMismatch { .. })));
        prop_assert!(is_told);
    }

    #[test]
    fn a_document_with_one_member_changed_is_read_or_refused(document in changed(document())) {
        texts::metadata(document.to_string().as_bytes());
    }

    #[test]
    fn keys_are_found_among_whatever_stands_beside_them(
        entries in vec(proptest::option::of(json()), 0..12),
        strange in strange_members(),
    ) {
        let mut names = Vec::new();
        let keys = entries.into_iter().enumerate().map(|(index, entry)| entry.unwrap_or_else(|| {
            names.push(index.to_string());
            with(with(good_key(), &strange), &[("kid".to_owned(), index.to_string().into())])
        }));
        let set = json!({"keys": keys.collect::<Vec<_>>()});
        let set = made(KeySet::parse(escaped(&set).as_bytes()));
        prop_assert_eq!(set.keys().iter().filter_map(|key| key.key_id()).collect::<Vec<_>>(), names);
    }

    #[test]
    fn a_key_with_one_member_changed_is_read_or_left_out(key in changed(good_key())) {
        texts::keys(json!({"keys": [key, good_key()]}).to_string().as_bytes());
    }

    #[test]
    fn a_header_is_read_as_it_was_written(algorithm in text(), key_id in text(), strange in strange_members()) {
        let header = with(json!({"alg": algorithm, "kid": key_id}), &strange);
        for header in [header.to_string(), escaped(&header)] {
            let token = made(IdToken::parse(tokens::compact(header.as_bytes(), b"{}")));
            prop_assert_eq!((token.algorithm(), token.key_id()), (&*algorithm, Some(&*key_id)));
        }
    }

    #[test]
    fn a_header_with_one_member_changed_is_read_or_refused(
        header in changed(json!({"alg": "RS256", "kid": "k", "typ": "JWT", "crit": ["x"]})),
    ) {
        tokens::header(header.to_string().as_bytes());
    }

    #[test]
    fn claims_come_out_as_they_went_in(strange in strange_members()) {
        let token = made(verified(&with(good_claims(), &strange)));
        for (name, value) in with(json!({}), &strange).as_object().into_iter().flatten() {
            prop_assert_eq!(token.claim(name), Some(value), "{}", name);
        }
        prop_assert_eq!((token.issuer(), token.subject()), (ISSUER, "s"));
    }

    #[test]
    fn claims_with_one_changed_are_believed_only_by_the_rules(claims in changed(good_claims())) {
        tokens::claims(claims.to_string().as_bytes());
    }

    #[test]
    fn a_claim_that_stands_twice_is_refused(strange in strange_members(), which in any::<Index>(), value in json()) {
        let claims = with(good_claims(), &strange);
        let name = claims.as_object().and_then(|claims| claims.keys().nth(which.index(claims.len())).cloned());
        let first = format!("{}:{value},", escaped(&Value::from(name.unwrap_or_default())));
        let text = claims.to_string().replacen('{', &format!("{{{first}"), 1);
        let problem = IdToken::parse(tokens::compact(br#"{"alg":"RS256"}"#, text.as_bytes())).map(drop);
        prop_assert_eq!(problem, Err(IdTokenProblem::DuplicateName { part: "claims" }));
    }

    #[test]
    fn a_token_lives_from_its_issue_to_its_expiry_give_or_take_the_leeway(issued in -90..90_i64, expires in -90..90_i64) {
        let at = |offset: i64| NOW.checked_add_signed(offset);
        let claims = with(good_claims(), &[
            ("iat".to_owned(), at(issued).into()),
            ("exp".to_owned(), at(expires).into()),
        ]);
        prop_assert_eq!(verified(&claims).is_ok(), issued <= 30 && expires > -30);
    }

    #[test]
    fn a_signed_answer_says_what_a_plain_one_says(code in some_text(), state in text(), strange in strange_members()) {
        let claims = with(good_answer(), &[("code".to_owned(), code.clone().into()), ("state".to_owned(), state.clone().into())]);
        let claims = with(claims, &strange);
        let twice = claims.to_string().replacen('{', &format!("{{{}:{},", escaped(&"iss".into()), escaped(&ISSUER.into())), 1);
        for text in [claims.to_string(), escaped(&claims), twice] {
            let params = made(opened(&text));
            prop_assert!(params.is_signed() && params.issuer() == Some(ISSUER));
            prop_assert!(params.code().is_some_and(|this| this.is_same_as(&code)));
            prop_assert!(params.state().is_some_and(|this| this.is_same_as(&state)));
        }
    }

    #[test]
    fn a_signed_answer_that_says_two_things_is_refused(which in any::<Index>(), value in json()) {
        let claims = good_answer();
        let members = claims.as_object().into_iter().flatten().collect::<Vec<_>>();
        let (name, before) = *which.get(&members);
        prop_assume!(*before != value);
        let text = claims.to_string().replacen('{', &format!("{{{}:{value},", Value::from(name.as_str())), 1);
        let is_told = matches!(
            opened(&text),
            Err(Error::Callback(CallbackProblem::Response(IdTokenProblem::DuplicateName { part: "claims" })))
        );
        prop_assert!(is_told, "{}", text);
    }

    #[test]
    fn a_signed_answer_with_one_member_changed_is_read_or_refused(claims in changed(good_answer())) {
        tokens::signed_answer(claims.to_string().as_bytes());
    }

    #[test]
    fn a_reply_with_tokens_is_read_however_it_is_written(
        (access, refresh) in ("[!-~]{1,60}", proptest::option::of("[!-~]{1,60}")),
        token_type in "[bB][eE][aA][rR][eE][rR]",
        (seconds, form) in (0..3_155_760_000_u64, 0..4),
        strange in strange_members(),
    ) {
        let expires = match form {
            0 => Value::Null,
            1 => seconds.into(),
            2 => seconds.to_string().into(),
            _ => json!(format!(" {seconds} ")),
        };
        let reply = json!({"access_token": access, "token_type": token_type, "expires_in": expires, "refresh_token": refresh, "keys": []});
        let reply = Reply::new(200, escaped(&with(reply, &strange)));
        let grant: Grant = made(serde_json::from_value(json!({
            "version": 1, "issuer": ISSUER, "client_id": CLIENT, "refresh_token": SECRET,
            "scopes": ["openid"], "origin": {"subject": "s", "audiences": [CLIENT]},
        })));
        let client = client(reply, Arc::new(AwsLc::default()));
        let tokens = made(done(client.refresh(&grant, now()))).release();
        prop_assert!(tokens.access_token.is_same_as(&access));
        prop_assert_eq!(tokens.expires_at, (form > 0).then(|| now() + Duration::from_secs(seconds)));
        // The old one is kept where no new one came. (The same reply is the provider's key set, which has no key.)
        prop_assert!(tokens.grant.refresh_token().is_same_as(refresh.as_deref().unwrap_or(SECRET)));
    }

    #[test]
    fn a_reply_with_one_member_changed_is_read_or_refused(reply in changed(good_reply()), status in 200..600_u16) {
        calls::reply(format!("{status} Bearer error=\"x\"\n{reply}").as_bytes());
    }

    #[test]
    fn a_logout_token_says_who_left(subject in proptest::option::of(some_text()), session in proptest::option::of(some_text())) {
        let mut claims = good_logout();
        for (name, value) in [("sub", &subject), ("sid", &session)] {
            match (value, claims.as_object_mut()) {
                (Some(value), _) => claims[name] = value.as_str().into(),
                (None, Some(members)) => drop(members.remove(name)),
                (None, None) => {}
            }
        }
        let token = tokens::compact(br#"{"alg":"RS256"}"#, escaped(&claims).as_bytes());
        let outcome = done(trusting_client().back_channel_logout(format!("logout_token={token}").as_bytes(), now()));
        prop_assert_eq!(outcome.is_ok(), subject.is_some() || session.is_some());
        if let Ok(token) = outcome {
            prop_assert_eq!((token.subject(), token.session_id()), (subject.as_deref(), session.as_deref()));
        }
    }

    #[test]
    fn a_logout_token_with_one_member_changed_is_read_or_refused(claims in changed(good_logout())) {
        tokens::logout_token(claims.to_string().as_bytes());
    }
}
