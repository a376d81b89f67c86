//! The real kubectl.

use std::time::Duration;

use latchkey_tests::{Backend, MANAGEMENT, READER, Terminal, behaviours};

use crate::cluster::{Cluster, age, done, opened, session, while_signing_in};

behaviours! {
    a_sign_in_lasts_for_the_kubectl_after_it,
    thirty_kubectl_at_once_open_one_browser,
    thirty_kubectl_of_which_none_signs_in_open_one_browser,
    kubectl_without_a_person_opens_no_browser,
    an_old_token_is_refreshed_without_a_person,
    the_older_version_is_spoken,
    who_is_not_in_the_group_is_forbidden,
}

const POD: &str = "pod/latchkey";

async fn a_sign_in_lasts_for_the_kubectl_after_it(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    cluster.pods_with(MANAGEMENT).await.assert_success(POD);
    cluster.pods().await.assert_success(POD);
    assert_eq!(opened(cluster.home.path()).len(), 1);
    let user = Some("oidc:management".to_owned());
    assert!(cluster.api.answered().iter().all(|answered| answered.user == user && answered.status == 200));
}

async fn thirty_kubectl_at_once_open_one_browser(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    let terminal = Terminal::open().unwrap();
    let all = async {
        let running: Vec<_> =
            (0..30).map(|_| done(cluster.kubectl(Some(&terminal), &["get", "pods", "-o", "name"]))).collect();
        for each in running {
            each.await.assert_success(POD);
        }
    };
    while_signing_in(&cluster.backend, cluster.home.path(), MANAGEMENT, all).await;
    assert_eq!(opened(cluster.home.path()).len(), 1);
}

async fn thirty_kubectl_of_which_none_signs_in_open_one_browser(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    // Who comes after the pause of half a minute that follows may ask anew: on a busy machine thirty take their time.
    cluster.configure("v1", &["--timeout", "20"]);
    let terminal = Terminal::open().unwrap();
    let running: Vec<_> =
        (0..30).map(|_| done(cluster.kubectl(Some(&terminal), &["get", "pods", "-o", "name"]))).collect();
    let mut waited = 0;
    for each in running {
        let ended = each.await;
        ended.assert_failure(&["hint:"]);
        waited += usize::from(!ended.stderr.contains("nobody came"));
    }
    assert_eq!((opened(cluster.home.path()).len(), waited), (1, 29));
}

async fn kubectl_without_a_person_opens_no_browser(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    let failed = tokio::time::timeout(Duration::from_secs(60), cluster.pods()).await.unwrap();
    failed.assert_failure(&["nobody is there", "hint:"]);
    assert!(opened(cluster.home.path()).is_empty());
    assert!(cluster.api.answered().is_empty(), "nothing was asked without a token");
}

async fn an_old_token_is_refreshed_without_a_person(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    cluster.pods_with(MANAGEMENT).await.assert_success(POD);
    let first = session(cluster.home.path());
    age(cluster.home.path());
    cluster.pods().await.assert_success(POD);
    let second = session(cluster.home.path());
    assert_ne!(first["id_token"]["text"], second["id_token"]["text"]);
    assert_eq!(opened(cluster.home.path()).len(), 1);
}

async fn the_older_version_is_spoken(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    cluster.configure("v1beta1", &[]);
    cluster.pods_with(MANAGEMENT).await.assert_success(POD);
}

async fn who_is_not_in_the_group_is_forbidden(backend: Backend) {
    let cluster = Cluster::start(backend).await;
    let failed = cluster.pods_with(READER).await;
    failed.assert_failure(&["forbidden", "oidc:reader"]);
}
