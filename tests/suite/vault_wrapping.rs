//! Answers that the server keeps for somebody.

use std::time::Duration;

use latchkey_tests::{Backend, behaviours};
use latchkey_vault_client::kv2::{Cas, ReadSecret, WriteSecret};
use latchkey_vault_client::token::{CreateToken, TokenRequest};
use latchkey_vault_client::wrapping::Wrapped;
use latchkey_vault_client::{Error, Read};
use serde_json::json;

use crate::support::{root, vault};

behaviours! {
    a_wrapped_secret_is_fetched_without_another_token,
    a_wrapped_token_comes_out_as_a_login,
    a_value_is_wrapped_and_fetched,
    what_was_fetched_cannot_be_fetched_again,
    what_is_wrapped_can_be_looked_at_without_fetching_it,
    what_another_call_wrapped_is_not_fetched,
    a_new_wrapping_token_takes_the_place_of_the_old,
    a_wrapping_token_used_for_anything_else_is_spent,
    a_call_that_answers_nothing_has_nothing_wrapped,
    a_call_that_is_refused_is_not_wrapped,
}

const MINUTE: Duration = Duration::from_secs(60);

async fn wrapped(backend: &Backend) -> Wrapped {
    root(backend).wrapping().wrap(&json!({"a": "hush"}), MINUTE).await.unwrap()
}

async fn a_wrapped_secret_is_fetched_without_another_token(backend: Backend) {
    let path = backend.unique("wrapped");
    let (root, anybody) = (root(&backend), vault(&backend));
    root.kv2("secret").write(&path, &json!({"v": "one"}), Cas::None).await.unwrap();
    let wrapped = root.wrapping().perform(ReadSecret::new("secret", &path).unwrap(), MINUTE).await.unwrap();
    assert_eq!(
        (wrapped.ttl, wrapped.creation_path.as_str()),
        (MINUTE, format!("secret/data/{path}").as_str())
    );
    let answer = anybody.wrapping().unwrap(&wrapped.token, &format!("secret/data/{path}")).await.unwrap();
    assert_eq!(answer.data.raw("data").unwrap(), r#"{"v":"one"}"#);
}

async fn a_wrapped_token_comes_out_as_a_login(backend: Backend) {
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(MINUTE);
    let wrapped =
        root(&backend).wrapping().perform(CreateToken::new(&request).unwrap(), MINUTE).await.unwrap();
    let answer = vault(&backend).wrapping().unwrap(&wrapped.token, "auth/token/create").await.unwrap();
    let login = answer.login.unwrap();
    assert_eq!(wrapped.wrapped_accessor.as_deref(), Some(login.accessor.as_str()));
    vault(&backend).with_token(login.token()).token().lookup_self().await.unwrap();
}

async fn a_value_is_wrapped_and_fetched(backend: Backend) {
    let wrapped = wrapped(&backend).await;
    let answer = vault(&backend).wrapping().unwrap(&wrapped.token, "sys/wrapping/wrap").await.unwrap();
    assert_eq!(answer.data.text("a").unwrap(), "hush");
}

async fn what_was_fetched_cannot_be_fetched_again(backend: Backend) {
    let wrapped = wrapped(&backend).await;
    let vault = vault(&backend);
    vault.wrapping().unwrap_unchecked(&wrapped.token).await.unwrap();
    for error in [
        vault.wrapping().unwrap_unchecked(&wrapped.token).await.unwrap_err(),
        vault.wrapping().unwrap(&wrapped.token, "sys/wrapping/wrap").await.unwrap_err(),
        vault.wrapping().lookup(&wrapped.token).await.unwrap_err(),
        root(&backend).wrapping().rewrap(&wrapped.token).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::WrappingTokenInvalid(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(wrapped.token.expose_secret()));
    }
}

async fn what_is_wrapped_can_be_looked_at_without_fetching_it(backend: Backend) {
    let wrapped = wrapped(&backend).await;
    let vault = vault(&backend);
    for _ in 0..2 {
        let info = vault.wrapping().lookup(&wrapped.token).await.unwrap();
        assert_eq!((info.creation_path.as_str(), info.creation_ttl), ("sys/wrapping/wrap", MINUTE));
    }
    vault.wrapping().unwrap_unchecked(&wrapped.token).await.unwrap();
}

async fn what_another_call_wrapped_is_not_fetched(backend: Backend) {
    let wrapped = wrapped(&backend).await;
    let vault = vault(&backend);
    let error = vault.wrapping().unwrap(&wrapped.token, "secret/data/team/app").await.unwrap_err();
    assert!(
        matches!(&error, Error::WrongCreationPath { found, .. } if found == "sys/wrapping/wrap"),
        "{error:?}"
    );
    vault.wrapping().unwrap(&wrapped.token, "/sys/wrapping/wrap").await.unwrap();
}

async fn a_new_wrapping_token_takes_the_place_of_the_old(backend: Backend) {
    let old = wrapped(&backend).await;
    let vault = vault(&backend);
    let new = root(&backend).wrapping().rewrap(&old.token).await.unwrap();
    assert_eq!((new.ttl, new.creation_path.as_str()), (MINUTE, "sys/wrapping/wrap"));
    let error = vault.wrapping().unwrap_unchecked(&old.token).await.unwrap_err();
    assert!(matches!(error, Error::WrappingTokenInvalid(_)), "{error:?}");
    let answer = vault.wrapping().unwrap(&new.token, "sys/wrapping/wrap").await.unwrap();
    assert_eq!(answer.data.text("a").unwrap(), "hush");
}

async fn a_wrapping_token_used_for_anything_else_is_spent(backend: Backend) {
    let wrapped = wrapped(&backend).await;
    let vault = vault(&backend);
    let misused = vault.with_token(&wrapped.token).kv2("secret").read("app").await.unwrap_err();
    assert_eq!(misused.status(), Some(403), "{misused:?}");
    let error = vault.wrapping().unwrap_unchecked(&wrapped.token).await.unwrap_err();
    assert!(matches!(error, Error::WrappingTokenInvalid(_)), "{error:?}");
}

async fn a_call_that_answers_nothing_has_nothing_wrapped(backend: Backend) {
    let path = backend.unique("wrapped");
    let root = root(&backend);
    root.kv2("secret").write(&path, &json!({}), Cas::None).await.unwrap();
    let delete = latchkey_vault_client::kv2::DeleteLatest::new("secret", &path).unwrap();
    let error = root.wrapping().perform(delete, MINUTE).await.unwrap_err();
    assert!(matches!(error, Error::NothingWrapped { status: 204 }), "{error:?}");
    assert!(matches!(root.kv2("secret").read(&path).await.unwrap(), Read::Deleted(_)));
}

async fn a_call_that_is_refused_is_not_wrapped(backend: Backend) {
    let path = backend.unique("wrapped");
    let root = root(&backend);
    root.kv2("secret").write(&path, &json!({}), Cas::Create).await.unwrap();
    let again = WriteSecret::new("secret", &path, &json!({}), Cas::Create).unwrap();
    let error = root.wrapping().perform(again, MINUTE).await.unwrap_err();
    assert!(matches!(error, Error::CasMismatch(_)), "{error:?}");
}
