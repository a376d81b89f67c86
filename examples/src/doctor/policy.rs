//! What a policy opens: its paths, read as servers read them.

/// What the policy `default` opens on a fresh OpenBao or Vault: a token's own things.
const BUILT_IN: [&str; 21] = [
    "auth/token/lookup-self",
    "auth/token/renew-self",
    "auth/token/revoke-self",
    "cubbyhole/*",
    "identity/entity/id/{{identity.entity.id}}",
    "identity/entity/name/{{identity.entity.name}}",
    "identity/oidc/provider/+/authorize",
    "sys/capabilities-self",
    "sys/control-group/request",
    "sys/internal/ui/mounts",
    "sys/internal/ui/mounts/*",
    "sys/internal/ui/resultant-acl",
    "sys/leases/lookup",
    "sys/leases/renew",
    "sys/renew",
    "sys/tools/hash",
    "sys/tools/hash/*",
    "sys/wrapping/lookup",
    "sys/wrapping/rewrap",
    "sys/wrapping/unwrap",
    "sys/wrapping/wrap",
];

/// Returns the paths of the policy `default` that a fresh server does not have in it, but for those that are denied.
pub(super) fn widened(rules: &str) -> Vec<String> {
    let is_new = |(path, opens): (String, bool)| {
        (opens && !BUILT_IN.contains(&path.trim_start_matches('/'))).then_some(path)
    };
    paths(rules).into_iter().filter_map(is_new).collect()
}

/// Returns each path of a policy, and whether it opens anything: `deny` alone does not.
fn paths(rules: &str) -> Vec<(String, bool)> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(rules) {
        return json["path"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(path, block)| (path.clone(), opens(&block.to_string())))
            .collect();
    }
    let tokens = tokens(rules);
    let mut paths = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_path = at > 0 && matches!(&tokens[at - 1], Token::Word(word) if word == "path");
        let Token::Text(path) = token else { continue };
        if !is_path {
            continue;
        }
        let block = tokens[at + 1..].split(|token| *token == Token::Sign('}')).next().unwrap_or_default();
        let texts = block.iter().filter_map(|token| match token {
            Token::Text(text) => Some(format!("{text:?}")),
            _ => None,
        });
        paths.push((path.clone(), opens(&texts.collect::<String>())));
    }
    paths
}

/// Any word but `deny` opens something: `read` among `capabilities`, or `policy = "write"`.
fn opens(block: &str) -> bool {
    block.split('"').any(|word| {
        matches!(
            word,
            "create"
                | "read"
                | "update"
                | "patch"
                | "delete"
                | "list"
                | "scan"
                | "sudo"
                | "subscribe"
                | "recover"
                | "write"
        )
    })
}

/// The parts of the language that matter here.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Reads HCL: comments are nothing, and what stands in quotes is a text.
fn tokens(rules: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut signs = rules.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '#' => while signs.next_if(|sign| *sign != '\n').is_some() {},
            '/' if signs.peek() == Some(&'/') => while signs.next_if(|sign| *sign != '\n').is_some() {},
            '/' if signs.peek() == Some(&'*') => {
                let mut before = ' ';
                for sign in signs.by_ref().skip(1) {
                    if before == '*' && sign == '/' {
                        break;
                    }
                    before = sign;
                }
            }
            '"' => {
                let mut text = String::new();
                while let Some(sign) = signs.next().filter(|sign| *sign != '"') {
                    // An escaped sign stands for itself here: paths have no others.
                    text.push(if sign == '\\' { signs.next().unwrap_or(sign) } else { sign });
                }
                tokens.push(Token::Text(text));
            }
            sign if sign.is_alphanumeric() || sign == '_' => {
                let mut word = String::from(sign);
                while let Some(sign) = signs.next_if(|sign| sign.is_alphanumeric() || *sign == '_') {
                    word.push(sign);
                }
                tokens.push(Token::Word(word));
            }
            sign if sign.is_whitespace() => {}
            sign => tokens.push(Token::Sign(sign)),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_fresh_server_does_not_have_is_told() {
        let rules = r#"
            path "auth/token/lookup-self" { capabilities = ["read"] }
            path "cubbyhole/*" { capabilities = ["create", "read"] }
            path "secret/data/*" { capabilities = ["read", "list"] }
            path "kv/+/x" { policy = "write" }
        "#;
        assert_eq!(widened(rules), ["secret/data/*", "kv/+/x"]);
    }

    #[test]
    fn comments_and_denials_open_nothing() {
        let rules = r#"
            # path "secret/a" { capabilities = ["read"] }
            // path "secret/b" { capabilities = ["read"] }
            /* path "secret/c" { capabilities = ["read"] } **/
            path "secret/*" { capabilities = ["deny"] } path "x" {}
        "#;
        assert!(widened(rules).is_empty(), "{:?}", widened(rules));
    }

    #[test]
    fn a_policy_may_be_json() {
        let rules = r#"{"path":{"secret/*":{"capabilities":["read"]},"no/*":{"capabilities":["deny"]}}}"#;
        assert_eq!(widened(rules), ["secret/*"]);
    }

    #[test]
    fn a_path_whose_name_is_a_capability_is_a_path() {
        assert_eq!(
            widened(r#"path "read" { capabilities = ["sudo"] } path "x" { capabilities = ["deny"] }"#),
            ["read"]
        );
    }

    #[test]
    fn what_is_broken_ends() {
        for rules in ["path \"", "path \"a\" {", "/*", "\"\\", "path", "", "{", "/* *"] {
            assert!(widened(rules).is_empty(), "{rules}");
        }
    }
}
