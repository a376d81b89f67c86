//! Servers that a real hub starts for real people: JupyterHub, Keycloak, `OpenBao`, `LocalProcessSpawner`, Unix users.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::secret_store::UserTokens;
use serde_json::{Value, json};

use crate::hub::Server;
use crate::keycloak::{Person, gid_of};
use crate::stage::{SECRET, Settings, Stage, give_token, team, venv};

/// How many spawns of each kind are measured, where that is asked for (`cargo xtask bench --hub`).
pub const MEASURE: &str = "LATCHKEY_HUB_SPAWNS";

behaviours! {
    two_people_at_once_get_servers_of_their_own_unix_users,
    a_second_start_changes_nothing_and_what_was_handed_over_before_is_gone,
    a_start_that_failed_leaves_nothing_to_the_next_one,
    the_file_with_the_secret_is_there_as_long_as_a_server_of_the_person_is,
    the_token_of_a_server_is_given_back_when_it_stops_and_nothing_holds_the_stop_up,
    a_policy_for_each_person_opens_their_store_and_no_other,
    a_group_that_the_provider_tells_is_the_persons_and_may_be_shared,
    somebody_called_like_a_system_account_does_not_get_it,
    who_has_signed_out_at_the_provider_is_not_served_until_they_sign_in_again,
    a_token_that_has_ended_is_refreshed_and_the_hub_keeps_the_new_ones,
    a_token_that_has_ended_or_proves_nothing_stops_the_spawn,
    a_sealed_vault_stops_the_spawn_or_is_done_without_as_configured,
    a_provider_that_is_down_stops_the_spawn,
    a_program_that_hangs_is_cut_off_with_all_it_has_started,
    the_hubs_token_is_renewed_by_the_hub_and_can_write_no_policy,
    a_notebook_tells_how_its_token_is_and_gets_a_fresh_one_of_the_hub,
}

/// Whether another user may read a file.
fn can_read(uid: u32, path: &str) -> bool {
    let mut command = Command::new("cat");
    command.arg(path).uid(uid).gid(uid).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

fn account(name: &str) -> Option<String> {
    let output = Command::new("getent").args(["passwd", name]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

async fn two_people_at_once_get_servers_of_their_own_unix_users(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    stage.start_notebooks();
    let [alice, bob] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.hub.sign_in(bob).await;
    let (of_alice, of_bob) = tokio::join!(stage.hub.started(alice), stage.hub.started(bob));
    let mut own = Vec::new();
    for (person, server, other) in [(alice, &of_alice, bob), (bob, &of_bob, alice)] {
        assert_eq!(server.ids("Uid:"), [person.uid; 4]);
        assert_eq!(server.ids("Gid:"), [person.uid; 4]);
        let home = stage.path("home").join(&person.name);
        assert!(account(&person.name).unwrap().contains(&format!(":{0}:{0}:", person.uid)));
        let found = fs::metadata(&home).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (person.uid, person.uid, 0o700));

        let token = server.variable("VAULT_OIDC_TOKEN").unwrap();
        assert_eq!(stage.hub.auth_state(person).await["id_token"], token);
        assert_eq!(server.variable("VAULT_ADDR").unwrap() + "/", stage.vault.address().as_str());
        assert_eq!(server.variable("MY_SECRET"), None, "a variable is only for who asks for it");
        let file = server.variable("VAULT_SECRET_FILE").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), SECRET);
        let found = fs::metadata(&file).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (person.uid, person.uid, 0o600));
        assert!(can_read(person.uid, &file) && !can_read(other.uid, &file));
        own.push(server.variable("NOTEBOOK_VAULT_TOKEN").unwrap());
    }
    // Each token opens the store of its person, and no other.
    let note = json!({"data": {"note": "mine"}});
    for (index, person) in [alice, bob].into_iter().enumerate() {
        let path = format!("secret/data/jupyter/users/{}/note", person.name);
        let mine = stage.call(&own[index], Method::Post, &path, note.clone()).await;
        assert_eq!(mine.0, 200, "{}", mine.1);
        assert_eq!(stage.call(&own[1 - index], Method::Get, &path, Value::Null).await.0, 403);
        let widened = stage.call(&own[index], Method::Get, "kv/data/team/app", Value::Null).await;
        assert_eq!(widened.0, 403, "the policy `default` is not among its own");
    }
    let log = stage.hub.told();
    for secret in [&own[0], &of_alice.variable("VAULT_OIDC_TOKEN").unwrap(), SECRET, &stage.hub_token()] {
        assert!(!log.contains(secret), "a secret is in the hub's log");
    }
    stage.hub.stop(alice).await;
    stage.hub.stop(bob).await;
}

async fn a_second_start_changes_nothing_and_what_was_handed_over_before_is_gone(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.set(&Settings { variable: true, ..stage.settings() });
    let server = stage.hub.started(alice).await;
    assert_eq!(server.variable("MY_SECRET").as_deref(), Some(SECRET), "braces and dollar signs arrive");
    let before = (account(&alice.name), fs::metadata(stage.path("home").join(&alice.name)).unwrap().ino());
    stage.hub.stop(alice).await;

    stage.set(&stage.settings());
    let server = stage.hub.started(alice).await;
    let after = (account(&alice.name), fs::metadata(stage.path("home").join(&alice.name)).unwrap().ino());
    assert_eq!(before, after);
    assert_eq!(server.variable("MY_SECRET"), None);
    stage.hub.stop(alice).await;
}

async fn a_start_that_failed_leaves_nothing_to_the_next_one(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.set(&Settings { variable: true, ..stage.settings() });
    stage.mark("broken-servers", true);
    stage.hub.refused(alice).await;
    assert_eq!(fs::read_dir(stage.runtime(alice)).unwrap().count(), 0, "the file is gone with the server");
    stage.mark("broken-servers", false);
    stage.set(&stage.settings());
    assert_eq!(stage.hub.started(alice).await.variable("MY_SECRET"), None);
    stage.hub.stop(alice).await;
}

async fn the_file_with_the_secret_is_there_as_long_as_a_server_of_the_person_is(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, bob] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.hub.sign_in(bob).await;
    let file = stage.hub.started(alice).await.variable("VAULT_SECRET_FILE").unwrap();
    let of_bob = stage.hub.started(bob).await.variable("VAULT_SECRET_FILE").unwrap();
    let second = format!("users/{}/servers/second", alice.name);
    let (status, said) = stage.hub.api(Method::Post, &second, json!({})).await;
    assert_eq!(status, 201, "{said} {}", stage.hub.told());
    let (status, said) = stage.hub.api(Method::Delete, &second, json!({"remove": true})).await;
    assert!(status == 204 || status == 202, "{status} {said}");
    let begun = Instant::now();
    while !stage.hub.user(alice).await["servers"]["second"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", stage.hub.told());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), SECRET, "the first server still needs it");
    stage.hub.stop(alice).await;
    assert!(!Path::new(&file).exists(), "{}", stage.hub.told());
    assert_eq!(fs::read_to_string(&of_bob).unwrap(), SECRET);
    stage.hub.stop(bob).await;
}

async fn the_token_of_a_server_is_given_back_when_it_stops_and_nothing_holds_the_stop_up(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, bob] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.hub.sign_in(bob).await;
    let status_of =
        async |token: &str| stage.call(token, Method::Get, "auth/token/lookup-self", Value::Null).await.0;
    let own = |server: &Server| server.variable("NOTEBOOK_VAULT_TOKEN").unwrap();
    let of_bob = own(&stage.hub.started(bob).await);
    let first = own(&stage.hub.started(alice).await);
    assert_eq!((status_of(&first).await, status_of(&of_bob).await), (200, 200));
    stage.hub.stop(alice).await;
    assert_eq!((status_of(&first).await, status_of(&of_bob).await), (403, 200), "{}", stage.hub.told());

    // A server that does not come up leaves none, either.
    stage.mark("broken-servers", true);
    let before = stage.people_tokens().await;
    stage.hub.refused(alice).await;
    assert_eq!(stage.people_tokens().await, before);
    stage.mark("broken-servers", false);

    // A Vault that is sealed is not waited for.
    let second = own(&stage.hub.started(alice).await);
    stage.vault.seal().await.unwrap();
    stage.hub.stop(alice).await;
    assert_eq!(fs::read_dir(stage.runtime(alice)).unwrap().count(), 0, "the file is gone all the same");
    assert!(stage.hub.told().contains("is not given back and ends by itself"), "{}", stage.hub.told());
    stage.vault.unseal().await.unwrap();
    assert_eq!((status_of(&second).await, status_of(&of_bob).await), (200, 200));
    stage.hub.started(alice).await;
    stage.hub.stop(alice).await;
    stage.hub.stop(bob).await;
    let log = stage.hub.told();
    for token in [&first, &second, &of_bob] {
        assert!(!log.contains(token), "a token is in the hub's log");
    }
}

async fn a_policy_for_each_person_opens_their_store_and_no_other(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let root = stage.vault.root().expose_secret();
    let policy = json!({"policy": include_str!("../../hub/hub-spawn-policy-each.hcl")});
    let (status, said) = stage.call(root, Method::Post, "sys/policies/acl/hub-each", policy).await;
    assert_eq!(status, 204, "{said}");
    let file = stage.path("vault-token-each");
    give_token(&stage.vault, "hub-each", &file).await;
    let own_token = "policy_each = true\n";
    stage.set(&Settings { own_token, ..stage.settings() });
    let settings = fs::read_to_string(stage.path("hub-spawn.toml")).unwrap();
    let each = settings.replace("/vault-token\"", "/vault-token-each\"");
    fs::write(stage.path("hub-spawn.toml"), each).unwrap();

    let mut own = Vec::new();
    for person in &stage.people {
        stage.hub.sign_in(person).await;
        own.push(stage.hub.started(person).await.variable("NOTEBOOK_VAULT_TOKEN").unwrap());
        let (_, told) =
            stage.call(&own[own.len() - 1], Method::Get, "auth/token/lookup-self", Value::Null).await;
        assert_eq!(told["data"]["policies"], json!([format!("jupyter-users-{}", person.name)]), "{told}");
    }
    let note = json!({"data": {"note": "mine"}});
    for (index, person) in stage.people.iter().enumerate() {
        let path = format!("secret/data/jupyter/users/{}/each", person.name);
        let mine = stage.call(&own[index], Method::Post, &path, note.clone()).await;
        assert_eq!(mine.0, 200, "{}", mine.1);
        for path in [&path, "kv/data/team/app", "sys/policies/acl/hub-each"] {
            assert_eq!(stage.call(&own[1 - index], Method::Get, path, Value::Null).await.0, 403, "{path}");
        }
    }
    // Whoever loses the policy loses the store, until the next start gives it back.
    let [alice, bob] = &stage.people;
    let policy = format!("sys/policies/acl/jupyter-users-{}", alice.name);
    let (status, said) = stage.call(root, Method::Delete, &policy, Value::Null).await;
    assert_eq!(status, 204, "{said}");
    let path = format!("secret/data/jupyter/users/{}/each", alice.name);
    assert_eq!(stage.call(&own[0], Method::Get, &path, Value::Null).await.0, 403);
    stage.hub.stop(alice).await;
    let again = stage.hub.started(alice).await.variable("NOTEBOOK_VAULT_TOKEN").unwrap();
    assert_eq!(stage.call(&again, Method::Get, &path, Value::Null).await.0, 200);
    stage.hub.stop(alice).await;
    stage.hub.stop(bob).await;
    // That token can do no more than its policy says: no other name, and nothing of anybody's.
    let token = fs::read_to_string(&file).unwrap();
    let all = json!({"policy": "path \"*\" { capabilities = [\"read\"] }"});
    for (method, path, body) in [
        (Method::Put, "sys/policies/acl/other", all.clone()),
        (Method::Put, "sys/policies/acl/hub-each", all),
        (Method::Get, "kv/data/team/app", Value::Null),
        (Method::Get, path.as_str(), Value::Null),
        (Method::Post, "auth/jwt/role/default", json!({"token_policies": ["root"]})),
    ] {
        let (status, said) = stage.call(&token, method, path, body).await;
        assert_eq!(status, 403, "{path}: {said}");
    }
}

async fn a_group_that_the_provider_tells_is_the_persons_and_may_be_shared(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let (carol, team) = (&stage.carol, team());
    let gid = gid_of(carol.uid);
    stage.hub.sign_in(carol).await;
    stage.set(&Settings { users: "gid_claim = \"gid\"", ..stage.settings() });
    let groupadd = |name: &str, gid: u32| {
        Command::new("groupadd").args(["--gid", &gid.to_string(), name]).status().unwrap().success()
    };
    assert!(groupadd(&team, gid), "{team} {gid}");
    let server = stage.hub.started(carol).await;
    let found = fs::metadata(stage.path("home").join(&carol.name)).unwrap();
    let ids = (server.ids("Uid:"), server.ids("Gid:"), found.uid(), found.gid());
    stage.hub.stop(carol).await;
    // Without the claim it is another group, and an account is never changed.
    stage.set(&stage.settings());
    let (status, message) = stage.hub.refused(carol).await;
    for (program, name) in [("userdel", &carol.name), ("groupdel", &team)] {
        assert!(Command::new(program).arg(name).status().unwrap().success(), "{program} {name}");
    }
    assert_eq!(ids, (vec![carol.uid; 4], vec![gid; 4], carol.uid, gid));
    assert_eq!(status, 403, "{message}");
    assert!(message.contains(&format!("with the group id {gid}, and yours is {}", carol.uid)), "{message}");
}

async fn somebody_called_like_a_system_account_does_not_get_it(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let before = account("daemon");
    let browser = stage.hub.sign_in(&stage.daemon).await;
    let (status, message) = stage.hub.refused(&stage.daemon).await;
    assert_eq!(status, 403, "{message}");
    assert!(message.contains("that of an account of the system, daemon"), "{message}");
    let page = stage.hub.page(&browser, "hub/spawn").await;
    assert_eq!(page.status, 403, "{}", page.html);
    assert!(page.html.contains("account of the system, daemon"), "{}", page.html);
    assert_eq!(account("daemon"), before);
}

async fn who_has_signed_out_at_the_provider_is_not_served_until_they_sign_in_again(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    let browser = stage.hub.sign_in(alice).await;
    stage.realm.sign_out(alice).await;
    let page = stage.hub.page(&browser, "hub/spawn").await;
    // On a slow machine the hub itself asks by then, and shows the provider's page.
    if page.status != 200 {
        assert_eq!(page.status, 401, "{}", page.html);
        assert!(page.html.contains("your sign-in has ended"), "{}", page.html);
        assert!(page.html.contains("href=\"/hub/oauth_login?next="), "{}", page.html);
    }
    let (status, message) = stage.hub.refused(alice).await;
    assert_eq!(status, 401);
    assert!(message.contains("your sign-in has ended. Sign in again"), "{message}");
    // The ID token that was not served is as good as ever, and Vault would take it.
    let token = stage.hub.auth_state(alice).await["id_token"].clone();
    let login = json!({"role": "default", "jwt": token});
    assert_eq!(stage.call("", Method::Post, "auth/jwt/login", login).await.0, 200);

    stage.hub.sign_in(alice).await;
    stage.hub.started(alice).await;
    stage.hub.stop(alice).await;
}

/// Tokens of a person that have ended, with a refresh token that has not.
async fn ended(stage: &Stage, person: &Person) -> Value {
    stage.realm.set_life(1).await;
    let tokens = stage.realm.tokens(person).await;
    stage.realm.set_life(3600).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokens
}

async fn a_token_that_has_ended_is_refreshed_and_the_hub_keeps_the_new_ones(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [_, bob] = &stage.people;
    stage.hub.sign_in(bob).await;
    let old = ended(&stage, bob).await;
    let mut state = stage.hub.auth_state(bob).await;
    for name in ["access_token", "id_token", "refresh_token"] {
        state[name] = old[name].clone();
    }
    state["token_response"] = old.clone();
    stage.hub.set_auth_state(bob, &state).await;
    let server = stage.hub.started(bob).await;
    let kept = stage.hub.auth_state(bob).await;
    for name in ["access_token", "id_token", "refresh_token"] {
        assert_ne!(kept[name], old[name], "{name}");
        assert_eq!(kept[name], kept["token_response"][name], "{name}");
    }
    assert_eq!(server.variable("VAULT_OIDC_TOKEN").as_deref(), kept["id_token"].as_str());
    assert_eq!(kept["oauth_user"], state["oauth_user"], "all else is left as it was");
    stage.hub.stop(bob).await;
}

async fn a_token_that_has_ended_or_proves_nothing_stops_the_spawn(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, bob] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.hub.sign_in(bob).await;
    let state = stage.hub.auth_state(bob).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut state = state.clone();
        change(&mut state);
        state
    };
    let old = ended(&stage, bob).await;
    let other = stage.hub.auth_state(alice).await;
    let mut forged = state["id_token"].as_str().unwrap().to_owned();
    // In the middle of the signature: the last signs of it may be without meaning.
    let middle = forged.rfind('.').unwrap() + 20;
    let sign = if forged.as_bytes()[middle] == b'A' { "B" } else { "A" };
    forged.replace_range(middle..=middle, sign);
    for (case, changed, told) in [
        (
            "ended, and not to be refreshed",
            with(&|state| {
                state["id_token"] = old["id_token"].clone();
                state["refresh_token"] = Value::Null;
            }),
            "has ended",
        ),
        ("forged", with(&|state| state["id_token"] = json!(forged)), "does not prove who you are"),
        (
            "somebody else's",
            with(&|state| state["id_token"] = other["id_token"].clone()),
            "does not prove who you are",
        ),
        ("none", with(&|state| state["id_token"] = Value::Null), "nothing of a sign-in"),
        ("an empty state", json!({}), "nothing of a sign-in"),
    ] {
        stage.hub.set_auth_state(bob, &changed).await;
        let (status, message) = stage.hub.refused(bob).await;
        assert_eq!(status, 401, "{case}: {message}");
        assert!(message.contains(told), "{case}: {message}");
    }
}

async fn a_sealed_vault_stops_the_spawn_or_is_done_without_as_configured(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    stage.vault.seal().await.unwrap();
    let (status, message) = stage.hub.refused(alice).await;
    assert_eq!(status, 503, "{message}");
    assert!(message.contains("the server of your secrets does not answer or is sealed"), "{message}");

    stage.set(&Settings { vault_when_down: "start", ..stage.settings() });
    let server = stage.hub.started(alice).await;
    assert!(server.variable("VAULT_OIDC_TOKEN").is_some());
    for name in ["NOTEBOOK_VAULT_TOKEN", "VAULT_SECRET_FILE"] {
        assert_eq!(server.variable(name), None, "{name}");
    }
    assert!(stage.hub.told().contains("started without what it usually gets: vault_down"));
    stage.vault.unseal().await.unwrap();
    stage.hub.stop(alice).await;
}

async fn a_provider_that_is_down_stops_the_spawn(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    // Port 1 of this machine: nobody answers.
    let issuer = "http://localhost:1/realms/nobody".to_owned();
    stage.set(&Settings { issuer, ..stage.settings() });
    let (status, message) = stage.hub.refused(alice).await;
    assert_eq!(status, 503, "{message}");
    assert!(message.contains("the sign-in server does not answer. Nothing is lost"), "{message}");
}

async fn a_program_that_hangs_is_cut_off_with_all_it_has_started(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    let browser = stage.hub.sign_in(alice).await;
    stage.run("sleep 4714 &\nwait");
    let (status, message) = stage.hub.refused(alice).await;
    assert_eq!(status, 500, "{message}");
    assert!(message.contains("because of a fault of this hub. Nothing is lost"), "{message}");
    let left = Command::new("pgrep").args(["-f", "^sleep 4714$"]).output().unwrap();
    assert!(left.stdout.is_empty(), "what it has started lives on");
    // One that ends with nonsense, too; and the next page is no loop.
    stage.run("echo nonsense");
    assert_eq!(stage.hub.refused(alice).await.0, 500);
    let page = stage.hub.page(&browser, &format!("user/{}/", alice.name)).await;
    assert!(page.html.contains("because of a fault of this hub"), "{} {}", page.address, page.html);
    stage.run_program();
    stage.hub.started(alice).await;
    stage.hub.stop(alice).await;
}

async fn the_hubs_token_is_renewed_by_the_hub_and_can_write_no_policy(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let policy = include_str!("../../hub/hub-spawn-policy.hcl");
    assert_eq!(policy, UserTokens::issuer_policy("jupyter-users").unwrap());
    let token = stage.hub_token();
    let begun = Instant::now();
    // The hub runs `keep-token`, which renews one with minutes left at once.
    loop {
        let (status, told) = stage.call(&token, Method::Get, "auth/token/lookup-self", Value::Null).await;
        assert_eq!(status, 200, "the hub's token has ended: {}", stage.hub.told());
        if told["data"]["last_renewal_time"].as_u64().is_some() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{told}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let all = json!({"policy": "path \"*\" { capabilities = [\"sudo\", \"read\"] }"});
    for (method, path, body) in [
        (Method::Put, "sys/policies/acl/new", all.clone()),
        (Method::Put, "sys/policies/acl/hub-spawn", all.clone()),
        (Method::Put, "sys/policies/acl/jupyter-users", all.clone()),
        (Method::Put, "sys/policies/acl/jupyter-user-x", all.clone()),
        (Method::Put, "sys/policy/new", all),
        (Method::Get, "sys/policies/acl/app", Value::Null),
        (Method::Get, "kv/data/team/app", Value::Null),
        (Method::Get, "secret/data/jupyter/users/somebody/note", Value::Null),
        (Method::Post, "auth/token/create", json!({"policies": ["app"]})),
        (Method::Post, "auth/token/create-orphan", json!({"policies": ["app"]})),
        (Method::Post, "auth/token/roles/jupyter-users", json!({"allowed_policies": ["root"]})),
        (Method::Post, "auth/jwt/role/default", json!({"token_policies": ["root"]})),
    ] {
        let (status, said) = stage.call(&token, method, path, body).await;
        assert_eq!(status, 403, "{path}: {said}");
    }
    for policies in [json!(["root"]), json!(["app"]), json!(["hub-spawn"]), json!(["jupyter-users", "app"])] {
        let body = json!({"policies": policies});
        let (status, said) = stage.call(&token, Method::Post, "auth/token/create/jupyter-users", body).await;
        assert!(status == 400 || status == 403, "{policies}: {status} {said}");
    }
}

/// Runs `notebook-token` in a kernel of somebody's server, and returns its code, what it printed and what it said.
/// The token is that of the server, or one that has grown older than a test can wait for.
async fn in_kernel(stage: &Stage, server: &Server, older: Option<&str>) -> (i64, String, String) {
    let code = format!(
        "import json, os, subprocess\n\
         older = {}\n\
         environment = os.environ if older is None else {{**os.environ, 'VAULT_OIDC_TOKEN': older}}\n\
         done = subprocess.run(['{}', '--mount', 'jwt', '--secret', 'kv/team/app', '--field', 'user'],\n\
         \x20   capture_output=True, text=True, env=environment)\n\
         print(json.dumps([done.returncode, done.stdout, done.stderr]))",
        older.map_or_else(|| "None".to_owned(), |older| format!("{older:?}")),
        stage.path("bin/notebook-token").display()
    );
    // The token of the server itself, which every kernel has.
    let token = server.variable("JUPYTERHUB_API_TOKEN").unwrap();
    let asked = json!({"server": server.address.as_str(), "token": token, "code": code});
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/in_kernel.py");
    let mut command = tokio::process::Command::new(venv().join("bin/python"));
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, asked.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{} {}", String::from_utf8_lossy(&output.stderr), stage.hub.told()));
    let text = |index: usize| told[index].as_str().unwrap().to_owned();
    (told[0].as_i64().unwrap(), text(1), text(2))
}

async fn a_notebook_tells_how_its_token_is_and_gets_a_fresh_one_of_the_hub(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    stage.start_notebooks();
    let [_, bob] = &stage.people;
    stage.hub.sign_in(bob).await;
    let server = stage.hub.started(bob).await;
    let (code, printed, said) = in_kernel(&stage, &server, None).await;
    assert_eq!((code, printed.as_str()), (0, "app"), "{said}");
    assert!(said.contains("your token is good for another 5"), "{said}");

    // Five minutes are left, and what the hub holds has ended: it refreshes the sign-in, by hub-spawn.
    stage.realm.set_life(300).await;
    let short = stage.realm.tokens(bob).await["id_token"].as_str().unwrap().to_owned();
    let old = ended(&stage, bob).await;
    let mut state = stage.hub.auth_state(bob).await;
    for name in ["access_token", "id_token", "refresh_token"] {
        state[name] = old[name].clone();
    }
    stage.hub.set_auth_state(bob, &state).await;
    let begun = Instant::now();
    loop {
        let (code, printed, said) = in_kernel(&stage, &server, Some(&short)).await;
        assert_eq!((code, printed.as_str()), (0, "app"), "{said}");
        if said.contains("the hub has a fresh token: your token is good for another 5") {
            break;
        }
        // It does so every 20 s at the most.
        assert!(begun.elapsed() < Duration::from_secs(90), "{said} {}", stage.hub.told());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    // The session has ended, and with it what the hub could give.
    stage.realm.sign_out(bob).await;
    stage.hub.set_auth_state(bob, &state).await;
    let (code, printed, said) = in_kernel(&stage, &server, old["id_token"].as_str()).await;
    assert_eq!((code, printed.as_str()), (1, ""), "{said}");
    assert!(said.contains("sign in again by restarting your server: "), "{said}");
    assert!(said.contains("/hub/home"), "{said}");
    stage.hub.stop(bob).await;
}

/// The value below which that share of all is, in milliseconds.
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into some dozens"
    )]
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index].as_secs_f64() * 1000.0
}

/// Not a test: prints what `hub-spawn` adds to a spawn, beside bare spawns in the same run.
pub async fn measure(backend: Backend) {
    let count: usize = std::env::var(MEASURE).unwrap().parse().unwrap();
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    // The first one makes the Unix user.
    stage.hub.started(alice).await;
    stage.hub.stop(alice).await;
    let mut took = [Vec::new(), Vec::new()];
    for index in 0..2 * count {
        let is_bare = index % 2 == 0;
        stage.mark("bare-spawns", is_bare);
        let begun = Instant::now();
        stage.hub.started(alice).await;
        took[usize::from(!is_bare)].push(begun.elapsed());
        stage.hub.stop(alice).await;
    }
    stage.mark("bare-spawns", false);
    let [bare, with] = took.map(|mut all| {
        all.sort_unstable();
        [0.5, 0.95].map(|share| quantile(&all, share))
    });
    println!("\nspawn, {count} of each kind       p50       p95");
    for (name, [p50, p95]) in
        [("bare", bare), ("with hub-spawn", with), ("added", [with[0] - bare[0], with[1] - bare[1]])]
    {
        println!("{name:<24} {p50:>7.0} ms {p95:>6.0} ms");
    }
}
