//! The double is a drop-in: OpenBao's own command-line client drives it unchanged, and says the same as when it drives the
//! real server, times and ids aside.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use latchkey_tests::{Backend, Place, READER, behaviours};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

behaviours! {
    #[not_on(Place::MemoryOpenBao, "the client needs a socket")]
    #[not_on(Place::MemoryVault, "the client needs a socket")]
    #[not_on(Place::Loopback, "it is compared with the real server, where that is")]
    the_command_line_client_sees_no_difference,
    #[not_on(Place::MemoryOpenBao, "the client needs a socket")]
    #[not_on(Place::MemoryVault, "the client needs a socket")]
    #[not_on(Place::Loopback, "it is compared with the real server, where that is")]
    a_sign_in_from_the_command_line_sees_no_difference,
}

/// What is typed, `NAME` being a name that only this run has; `TOKEN`, `ACCESSOR` and `WRAPPED` stand for what a line
/// before printed after the arrow.
const SCRIPT: &str = r#"
status
secrets enable -path=NAME-kv -version=2 kv
secrets list
auth enable -path=NAME-up userpass
auth enable -path=NAME-jwt jwt
auth enable -path=NAME-up userpass
auth list
policy write NAME-reader - < path "NAME-kv/data/*" { capabilities = ["read", "create", "update", "patch"] }
policy read NAME-reader
policy read NAME-nothing
policy list
policy delete NAME-nothing
kv put -mount=NAME-kv team/app user=app password=p4ss
kv put -mount=NAME-kv -cas=0 team/app user=other
kv put -mount=NAME-kv -cas=1 team/app user=app password=second
kv put NAME-kv/team/other a=b
kv get -mount=NAME-kv team/app
kv get -mount=NAME-kv -version=1 team/app
kv get -mount=NAME-kv -field=password team/app
kv get -mount=NAME-kv -field=nothing team/app
kv get -mount=NAME-kv -format=json team/app
kv get -mount=NAME-kv team/nothing
kv get NAME-nowhere/team/app
kv patch -mount=NAME-kv team/app port=5432
kv patch -mount=NAME-kv -method=rw team/app port=5433
kv patch -mount=NAME-kv -cas=1 team/app port=1
kv patch -mount=NAME-kv team/nothing port=1
kv list -mount=NAME-kv
kv list -mount=NAME-kv team
kv list -mount=NAME-kv nothing
kv delete -mount=NAME-kv team/app
kv get -mount=NAME-kv team/app
kv undelete -mount=NAME-kv -versions=4 team/app
kv get -mount=NAME-kv team/app
kv delete -mount=NAME-kv -versions=2,3 team/app
kv rollback -mount=NAME-kv -version=1 team/app
kv destroy -mount=NAME-kv -versions=1 team/app
kv metadata put -mount=NAME-kv -max-versions=7 -delete-version-after=3h -custom-metadata=owner=team team/app
kv metadata patch -mount=NAME-kv -custom-metadata=shift=night team/app
kv metadata get -mount=NAME-kv team/app
kv metadata patch -mount=NAME-kv -remove-custom-metadata=owner team/app
kv metadata get -mount=NAME-kv team/app
kv metadata patch -mount=NAME-kv -cas-required=true team/nothing
kv metadata delete -mount=NAME-kv team/app
kv get -mount=NAME-kv team/app
write NAME-kv/metadata/checked metadata_cas_required=true
write NAME-kv/metadata/checked max_versions=3
write NAME-kv/metadata/checked max_versions=3 metadata_cas=7
write NAME-kv/metadata/checked max_versions=3 metadata_cas=1
read NAME-kv/metadata/checked
read NAME-kv/config
write NAME-kv/config max_versions=5
read NAME-kv/config
write auth/NAME-up/users/bob password=hush token_policies=NAME-reader
login -no-store -method=userpass -path=NAME-up username=bob password=hush
login -no-store -method=userpass -path=NAME-up username=bob password=wrong
login -no-store s.nothing
write auth/NAME-jwt/config oidc_discovery_url=ISSUER bound_issuer=ISSUER
read auth/NAME-jwt/config
write auth/NAME-jwt/role/default role_type=jwt user_claim=sub bound_audiences=vault-oidc token_policies=NAME-reader token_ttl=1h
read auth/NAME-jwt/role/default
list auth/NAME-jwt/role
write auth/NAME-jwt/login role=default jwt=nonsense
write auth/NAME-jwt/login role=nothing jwt=nonsense
token create -policy=NAME-reader -ttl=1h -period=0 -display-name=bob -metadata=team=a > TOKEN token, ACCESSOR token_accessor
token lookup TOKEN
token lookup -accessor ACCESSOR
token renew -increment=2h TOKEN
token capabilities TOKEN NAME-kv/data/x
as TOKEN token lookup
as TOKEN kv get -mount=NAME-kv team/other
as TOKEN kv put -mount=NAME-kv team/mine a=b
as TOKEN kv delete -mount=NAME-kv team/other
as TOKEN secrets list
as TOKEN token renew
token revoke -accessor ACCESSOR
token revoke TOKEN
token lookup TOKEN
as TOKEN token lookup
token create -orphan -type=batch -policy=default -ttl=10m
token create -wrap-ttl=5m -policy=default > WRAPPED wrapping_token
unwrap WRAPPED
unwrap WRAPPED
kv get -mount=NAME-kv -wrap-ttl=60s team/other > WRAPPED wrapping_token
unwrap WRAPPED
write -f sys/wrapping/lookup token=nothing
delete auth/NAME-jwt/role/default
auth disable NAME-jwt
secrets disable NAME-kv
policy delete NAME-reader
auth disable NAME-up
"#;

async fn the_command_line_client_sees_no_difference(real: Backend) {
    let double = Backend::at(Place::Loopback).await.unwrap();
    // One provider for both servers, so that what they say of it is the same.
    let issuer = double.issuer.clone();
    let name = real.unique("bao");
    let (mut theirs, mut ours) = (Client::of(&real), Client::of(&double));
    let mut differences = Vec::new();
    let mut lines = 0;
    for line in SCRIPT.lines().filter(|line| !line.is_empty()) {
        let line = line.replace("NAME", &name).replace("ISSUER", &issuer);
        let (real, double) = tokio::join!(theirs.types(&line), ours.types(&line));
        let (real, double) = (real.unwrap().plain(&name), double.unwrap().plain(&name));
        lines += 1;
        if real != double {
            differences.push(format!("$ bao {line}\nreal:\n{real}\ndouble:\n{double}"));
        }
    }
    assert!(
        lines > 80 && differences.is_empty(),
        "{} of {lines} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

async fn a_sign_in_from_the_command_line_sees_no_difference(real: Backend) {
    let double = Backend::at(Place::Loopback).await.unwrap();
    let name = real.unique("bao-oidc");
    let issuer = double.issuer.clone();
    let (mut theirs, mut ours) = (Client::of(&real), Client::of(&double));
    for line in [
        "auth enable -path=NAME oidc",
        "write auth/NAME/config oidc_discovery_url=ISSUER oidc_client_id=vault-oidc oidc_client_secret=s3cr3t default_role=default",
        "write auth/NAME/role/default role_type=oidc user_claim=preferred_username allowed_redirect_uris=http://localhost:8250/oidc/callback token_policies=default",
    ] {
        let line = line.replace("NAME", &name).replace("ISSUER", &issuer);
        let (real, double) = (theirs.types(&line).await.unwrap(), ours.types(&line).await.unwrap());
        assert_eq!(real.plain(&name), double.plain(&name), "{line}");
    }
    let real = theirs.signs_in(&name, &double).await.unwrap().plain(&name);
    let ours = ours.signs_in(&name, &double).await.unwrap().plain(&name);
    assert!(real.contains("Success! You are now authenticated."), "{real}");
    assert_eq!(real, ours);
    theirs.types(&format!("auth disable {name}")).await.unwrap();
}

/// The client, pointed at one server, and what it printed to be used later.
struct Client {
    address: String,
    root: String,
    home: PathBuf,
    kept: Vec<(&'static str, String)>,
}

impl Client {
    fn of(backend: &Backend) -> Self {
        let home = std::env::temp_dir().join(backend.unique("bao-home"));
        std::fs::create_dir_all(&home).unwrap();
        let address = backend.vault_address.as_str().trim_end_matches('/').to_owned();
        // Opened for a client that is not ours.
        Self { address, root: backend.root.expose_secret().to_owned(), home, kept: Vec::new() }
    }

    fn command(&self, token: &str) -> Command {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers/openbao/bin/bao");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("VAULT_") || name.starts_with("BAO_")) {
                command.env_remove(name);
            }
        }
        command.env("BAO_ADDR", &self.address).env("BAO_TOKEN", token).env("HOME", &self.home);
        command.kill_on_drop(true);
        command
    }

    /// Runs a line: `[as TOKEN] arguments [< input] [> NAME field, NAME field]`.
    async fn types(&mut self, line: &str) -> anyhow::Result<Printed> {
        let (line, keep) = line.split_once(" > ").unwrap_or((line, ""));
        let mut line = line.to_owned();
        for (name, value) in &self.kept {
            line = line.replace(name, value);
        }
        let (line, input) = line.split_once(" < ").unwrap_or((&line, ""));
        let (token, line) = match line.strip_prefix("as ").and_then(|rest| rest.split_once(' ')) {
            Some((token, line)) => (token, line),
            None => (&*self.root, line),
        };
        let mut command = self.command(token);
        command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("bao does not start: `cargo xtask setup` installs it")?;
        child.stdin.take().context("no input")?.write_all(input.as_bytes()).await?;
        let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let printed = Printed {
            code: output.status.code(),
            out: text(&output.stdout),
            error: text(&output.stderr).replace(&self.address, "ADDRESS"),
        };
        for part in keep.split(", ").filter(|part| !part.is_empty()) {
            let (name, field) = part.split_once(' ').context("a name and a field")?;
            let mut pairs = printed.out.lines().filter_map(|line| line.split_once(' '));
            let pair = pairs.find(|(name, _)| name.trim_end_matches(':') == field);
            let value = pair.with_context(|| format!("no {field} in {printed:?}"))?.1.trim().to_owned();
            let name = ["TOKEN", "ACCESSOR", "WRAPPED"]
                .into_iter()
                .find(|this| *this == name)
                .context("no such name")?;
            self.kept.retain(|(this, _)| *this != name);
            self.kept.push((name, value));
        }
        Ok(printed)
    }

    /// Runs `bao login -method=oidc`, and is the browser that it asks for.
    async fn signs_in(&mut self, mount: &str, at: &Backend) -> anyhow::Result<Printed> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = self.command("");
        command.args(["login", "-no-store", "-method=oidc", &format!("-path={mount}"), "skip_browser=true"]);
        command.arg(format!("port={port}")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("no error output")?).lines();
        let mut told = String::new();
        let address = loop {
            let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await??;
            let Some(line) = line else { bail!("it ended without an address: {told}") };
            if let Some(address) = line.split_whitespace().find(|word| word.starts_with("http")) {
                break address.to_owned();
            }
            told.push_str(&line);
        };
        let callback = format!("http://localhost:{port}/oidc/callback");
        let page = at.sign_in(&address.parse()?, READER, &callback).await?;
        let request = latchkey_transport::Request::for_url(latchkey_transport::Method::Get, page.address);
        // The client may end before its page is through; what it prints counts.
        let _page = latchkey_transport::Transport::send(&*at.transport, request).await;
        let mut out = String::new();
        child.stdout.take().context("no output")?.read_to_string(&mut out).await?;
        let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await??;
        Ok(Printed { code: status.code(), out, error: told })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// What a run of the client left.
#[derive(Debug)]
struct Printed {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Printed {
    /// Leaves out what differs between any two servers and any two runs: times, ids, tokens, the width of columns, and
    /// in lists what other tests made.
    fn plain(&self, name: &str) -> String {
        let is_list = self.out.lines().any(|line| {
            line.split_whitespace().any(|word| word == "cubbyhole/" || word == "token/" || word == "root")
        });
        let is_ours = |line: &&str| {
            !is_list || line.contains(name) || BUILT_IN.iter().any(|word| line.starts_with(word))
        };
        let plain = |text: &str| {
            text.lines()
                .filter(is_ours)
                .map(plain_line)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        };
        format!("{:?}\n{}\n{}", self.code, plain(&self.out), plain(&self.error))
    }
}

/// What every server has in its lists.
const BUILT_IN: [&str; 8] = ["Path", "cubbyhole/", "identity/", "sys/", "token/", "default", "Keys", "Key "];

fn plain_line(line: &str) -> String {
    /// Lines that tell of the server itself.
    const OF_THE_SERVER: [&str; 4] = ["Cluster Name", "Cluster ID", "Commit Date", "Build Date"];
    if let Some(key) = OF_THE_SERVER.iter().find(|key| line.starts_with(**key)) {
        return format!("{key} …");
    }
    let words = line.split_whitespace().filter(|word| !word.chars().all(|sign| matches!(sign, '-' | '=')));
    words.map(plain_word).collect::<Vec<_>>().join(" ")
}

fn plain_word(word: &str) -> String {
    let word = &without_time(word);
    let bare = word.trim_matches(|sign: char| !sign.is_ascii_alphanumeric());
    let is_all = |kind: fn(&u8) -> bool| !bare.is_empty() && bare.bytes().all(|byte| kind(&byte));
    let is_clock = bare.contains(':') && is_all(|byte| byte.is_ascii_digit() || b":.".contains(byte));
    let is_id = bare.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let is_token =
        bare.len() > 20 && ["s.", "b.", "hvs.", "hvb."].iter().any(|start| bare.starts_with(start));
    let is_accessor = bare.len() == 24 && is_all(u8::is_ascii_alphanumeric);
    let is_mount_accessor = bare
        .rsplit_once('_')
        .is_some_and(|(_, id)| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_time = bare.len() == 10 && is_all(u8::is_ascii_digit);
    if is_id || is_token || is_accessor || is_mount_accessor || is_time || is_clock {
        word.replace(bare, "…")
    } else if let Some(round) = nearly_round(bare) {
        word.replace(bare, &format!("({round} s)"))
    } else {
        word.clone()
    }
}

/// The life that a token or a wrapping began with, in seconds, where `word` is what a test that took a while has left
/// of it. `1h`, `59m58s` and `3598` are the same: one server may answer within the first second, and the other after it.
fn nearly_round(word: &str) -> Option<u64> {
    const PATIENCE: u64 = 120;
    let mut seconds = 0;
    let mut rest = word;
    while let Some(end) = rest.find(|sign: char| !sign.is_ascii_digit()) {
        let (number, unit) = rest.split_at_checked(end)?;
        let factor = match unit.bytes().next()? {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        seconds += number.parse::<u64>().ok()?.checked_mul(factor)?;
        rest = &unit[1..];
    }
    if !rest.is_empty() {
        seconds = rest.parse().ok().filter(|_| rest.len() == word.len())?;
    }
    [300, 600, 3600, 7200].into_iter().find(|round| (round - PATIENCE..=*round).contains(&seconds))
}

/// Leaves out a date, with what stands right behind it.
fn without_time(word: &str) -> String {
    let is_date = |part: &str| {
        let mut numbers =
            part.split('-').map(|number| (number.len(), number.bytes().all(|byte| byte.is_ascii_digit())));
        numbers.by_ref().take(3).eq([(4, true), (2, true), (2, true)])
    };
    let starts = word.char_indices().map(|(at, _)| at);
    let Some(start) = starts.into_iter().find(|at| word.get(*at..at + 10).is_some_and(is_date)) else {
        return word.to_owned();
    };
    let rest = word.get(start..).unwrap_or_default();
    let length =
        rest.find(|sign: char| !(sign.is_ascii_digit() || "-:.TZ".contains(sign))).unwrap_or(rest.len());
    format!("{}…{}", &word[..start], &rest[length..])
}
