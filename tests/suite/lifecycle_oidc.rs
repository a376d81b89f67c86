//! Keepers of an `OpenID` provider's tokens: what is stored before it is used, what two processes share, and the end.

use latchkey_testbed::{Fault, Target};
use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_token_lifecycle::runtime::Tokio;
use latchkey_token_lifecycle::{
    Error, FileStore, GrantStore, InMemory, Keeper, OidcToken, OidcTokens, Phase,
};
use latchkey_transport::Secret;

use crate::support::{client, tokens};

const CLOCK: &str = "keepers live by the system's clock, the doubles in memory by their own";
const ROTATES: &str = "the real provider does not rotate refresh tokens in this realm";

behaviours! {
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_kept_sign_in_is_refreshed_and_its_grant_is_stored,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_sign_in_that_is_over_asks_for_a_person_and_goes_on_with_what_it_brings,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    #[not_on(Place::Real, ROTATES)]
    two_keepers_of_one_rotating_refresh_token_never_race,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    #[not_on(Place::Real, ROTATES)]
    a_refresh_whose_reply_was_lost_is_tried_again_within_the_reuse_interval,
}

fn file(folder: &tempfile::TempDir) -> FileStore {
    FileStore::at(folder.path().join("grant.json"), Tokio::current().unwrap())
}

async fn stored(store: &FileStore) -> Secret {
    store.load().await.unwrap().unwrap().refresh_token().clone()
}

async fn a_kept_sign_in_is_refreshed_and_its_grant_is_stored(backend: Backend) {
    if backend.place == Place::Loopback {
        backend.world().provider().set_refresh_rotation(true);
    }
    let client = client(&backend).await;
    let grant = tokens(&backend, READER).await.grant().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = file(&folder);
    store.save(&grant).await.unwrap();
    let keeper = Keeper::of(OidcTokens::new(client.clone(), file(&folder))).spawn().unwrap();
    for _ in 0..3 {
        let token = keeper.token().await.unwrap();
        client.userinfo(&token.access_token, grant.subject(), backend.now()).await.unwrap();
        let before = stored(&store).await;
        keeper.renew_now().await.unwrap();
        if backend.place == Place::Loopback {
            let after = stored(&store).await;
            assert!(!after.is_same_as(before.expose_secret()), "what it was replaced by is stored");
        }
    }
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "grant.json" || name == "grant.json.lock"), "{names:?}");
}

async fn a_sign_in_that_is_over_asks_for_a_person_and_goes_on_with_what_it_brings(backend: Backend) {
    let client = client(&backend).await;
    let grant = tokens(&backend, READER).await.grant().unwrap();
    let kind = latchkey_oidc_flow::TokenKind::Refresh;
    client.revoke(grant.refresh_token(), kind, backend.now()).await.unwrap();
    let store = std::sync::Arc::new(InMemory::new(Some(grant)));
    let keeper = Keeper::of(OidcTokens::new(client.clone(), store.clone())).spawn().unwrap();
    assert!(matches!(keeper.token().await, Err(Error::NeedsPerson)));
    assert_eq!(keeper.status().phase, Phase::Asking);
    assert!(store.load().await.unwrap().is_none(), "a grant that is over is forgotten");

    let tokens = tokens(&backend, READER).await;
    store.save(&tokens.grant().unwrap()).await.unwrap();
    let token = OidcToken::from(tokens);
    let lease = token.lease(backend.now());
    let mut watch = keeper.watch();
    keeper.supply(token, lease);
    while !watch.changed().await.unwrap().has_token {}
    keeper.renew_now().await.unwrap();
    assert!(keeper.fresh().is_some());
}

/// Each holds the lock while it refreshes, and reads what the other one has stored.
async fn two_keepers_of_one_rotating_refresh_token_never_race(backend: Backend) {
    backend.world().provider().set_refresh_rotation(true);
    let client = client(&backend).await;
    let folder = tempfile::tempdir().unwrap();
    file(&folder).save(&tokens(&backend, READER).await.grant().unwrap()).await.unwrap();
    let begin = || Keeper::of(OidcTokens::new(client.clone(), file(&folder))).spawn().unwrap();
    let keepers = [begin(), begin()];
    for _ in 0..4 {
        let (one, other) = tokio::join!(keepers[0].renew_now(), keepers[1].renew_now());
        one.unwrap();
        other.unwrap();
    }
}

async fn a_refresh_whose_reply_was_lost_is_tried_again_within_the_reuse_interval(backend: Backend) {
    let provider = backend.world().provider();
    provider.set_refresh_rotation(true);
    provider.set_reuse_interval(std::time::Duration::from_secs(10));
    let client = client(&backend).await;
    let grant = tokens(&backend, READER).await.grant().unwrap();
    let target = Target::provider("/realms/HashiCorp/protocol/openid-connect/token");
    backend.world().faults().inject(target, 1, Fault::Drop);
    let keeper = Keeper::of(OidcTokens::new(client, InMemory::new(Some(grant)))).spawn().unwrap();
    let first = keeper.token().await;
    assert!(matches!(first, Err(Error::Failed(_))), "{first:?}");
    let second = keeper.token().await;
    assert!(second.is_ok(), "{second:?}");
}
