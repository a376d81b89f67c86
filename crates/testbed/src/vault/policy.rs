//! Policies: reading them, and what they allow.

use std::collections::BTreeSet;

use serde_json::Value;

use super::hcl::{self, Block, Word};

/// What a rule may say.
const CAPABILITIES: [&str; 10] =
    ["create", "read", "update", "patch", "delete", "list", "scan", "sudo", "deny", "subscribe"];

/// The keys that may stand inside `path`.
const PATH_KEYS: [&str; 14] = [
    "policy",
    "capabilities",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
    "mfa_methods",
    "control_group",
    "pagination_limit",
    "expiration",
    "comment",
    "subscribe_event_types",
    "response_keys_filter_path",
];

/// What every token may do that does not refuse this policy.
pub(super) const DEFAULT: &str = r#"
# A token may look at, renew and revoke itself, and ask what it may do.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }

# It may look at its own identity.
path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["read"] }
path "identity/entity/name/{{identity.entity.name}}" { capabilities = ["read"] }

# It may renew and look up leases whose id it knows.
path "sys/renew" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }

# It has a cubbyhole, and may wrap and unwrap.
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "sys/tools/hash" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }
"#;

/// A policy as it was written, and as it was understood.
#[derive(Clone)]
pub(super) struct Policy {
    pub(super) text: String,
    pub(super) rules: Vec<Rule>,
    pub(super) version: u64,
    pub(super) modified: std::time::SystemTime,
}

/// What may be done below one path.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) path: String,
    pub(super) capabilities: BTreeSet<String>,
}

/// Reads a policy; the error is the servers'.
pub(super) fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let failed = |why: &str| format!("failed to parse policy: {why}");
    let blocks = hcl::parse(text).map_err(|why| failed(&why))?;
    let mut rules = Vec::new();
    for block in blocks {
        let Block { kind, label, body, .. } = &block;
        if kind == "name" && label.is_none() {
            continue;
        }
        let (Some(path), "path") = (label, kind.as_str()) else {
            return Err(failed(&format!(
                "1 error occurred:\n\t* invalid key \"{kind}\" on line {}\n\n",
                block.line - 1
            )));
        };
        rules.push(rule(path, body).map_err(|why| failed(&format!("path \"{path}\": {why}")))?);
    }
    Ok(rules)
}

fn rule(path: &str, body: &[Word]) -> Result<Rule, String> {
    if let Some(unknown) = body.iter().find(|word| !PATH_KEYS.contains(&word.key.as_str())) {
        return Err(format!(
            "1 error occurred:\n\t* invalid key \"{}\" on line {}\n\n",
            unknown.key, unknown.line
        ));
    }
    if path.contains("+*") {
        return Err(format!("path \"{path}\": invalid use of wildcards ('+*' is forbidden)"));
    }
    let mut capabilities = BTreeSet::new();
    for word in body {
        let granted: Vec<&str> = match (word.key.as_str(), &word.value) {
            // The way before there were capabilities.
            ("policy", Value::String(level)) => match level.as_str() {
                "deny" => vec!["deny"],
                "read" => vec!["read", "list"],
                "write" => vec!["create", "read", "update", "delete", "list"],
                "sudo" => vec!["create", "read", "update", "delete", "list", "sudo"],
                other => return Err(format!("path \"{path}\": invalid policy \"{other}\"")),
            },
            ("capabilities", Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            ("capabilities", Value::String(one)) => vec![one.as_str()],
            _ => continue,
        };
        for capability in granted {
            if !CAPABILITIES.contains(&capability) {
                return Err(format!("path \"{path}\": invalid capability \"{capability}\""));
            }
            capabilities.insert(capability.to_owned());
        }
    }
    if capabilities.contains("deny") {
        capabilities = BTreeSet::from(["deny".to_owned()]);
    }
    Ok(Rule { path: path.trim_start_matches('/').to_owned(), capabilities })
}

/// What these rules allow at this path: those of the one pattern that fits best, from all policies that have it.
pub(super) fn capabilities<'a>(rules: impl Iterator<Item = &'a Rule>, path: &str) -> BTreeSet<String> {
    let fitting: Vec<&Rule> = rules.filter(|rule| fits(&rule.path, path)).collect();
    let Some(best) = fitting.iter().map(|rule| priority(&rule.path)).max() else { return BTreeSet::new() };
    let mut granted = BTreeSet::new();
    for rule in fitting.into_iter().filter(|rule| priority(&rule.path) == best) {
        granted.extend(rule.capabilities.iter().cloned());
    }
    if granted.contains("deny") { BTreeSet::new() } else { granted }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, is_glob) = pattern.strip_suffix('*').map_or((pattern, false), |prefix| (prefix, true));
    if !pattern.contains('+') {
        return if is_glob { path.starts_with(pattern) } else { path == pattern };
    }
    let wanted: Vec<&str> = pattern.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    let (last, head) = wanted.split_last().unwrap_or((&"", &[]));
    if given.len() < wanted.len() || (!is_glob && given.len() != wanted.len()) {
        return false;
    }
    let same = |(wanted, given): (&&str, &&str)| *wanted == "+" || wanted == given;
    let end = given[head.len()];
    let end_fits = if is_glob { *last == "+" || end.starts_with(last) } else { same((last, &end)) };
    head.iter().zip(&given).all(same) && end_fits
}

/// Which of two patterns that fit is the better one, as the
/// [documentation of policies](https://developer.hashicorp.com/vault/docs/concepts/policies#priority-matching) ranks
/// them: first wildcard later, no star at the end, fewer wildcards, longer, later in the alphabet.
///
/// An exact path has its first wildcard after everything.
fn priority(pattern: &str) -> (usize, bool, std::cmp::Reverse<usize>, usize, &str) {
    let is_glob = pattern.ends_with('*');
    let wildcards = pattern.split('/').filter(|segment| *segment == "+").count();
    let plus = pattern
        .split('/')
        .position(|segment| segment == "+")
        .map(|at| pattern.split('/').take(at).map(|segment| segment.len() + 1).sum::<usize>());
    let first = plus.or_else(|| is_glob.then(|| pattern.len() - 1)).unwrap_or(usize::MAX);
    (first, !is_glob, std::cmp::Reverse(wildcards), pattern.len(), pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policies: &[&str], path: &str) -> String {
        let rules: Vec<Rule> = policies.iter().flat_map(|text| parse(text).unwrap()).collect();
        capabilities(rules.iter(), path).into_iter().collect::<Vec<_>>().join(",")
    }

    const A: &str = r#"path "secret/*" { capabilities = ["read"] }
        path "secret/data/x/*" { capabilities = ["deny"] }
        path "secret/data/+/y" { capabilities = ["update"] }
        path "secret/data/x/ok" { capabilities = ["read"] }
        path "secret/metadata/mine/*" { capabilities = ["list"] }"#;
    const B: &str = r#"path "secret/data/x/*" { capabilities = ["read"] }
        path "secret/+/+/y" { capabilities=["list"] }"#;

    /// What OpenBao 2.7.2 answered to `sys/capabilities-self` with the same two policies.
    #[test]
    fn the_pattern_that_fits_best_decides_alone() {
        for (path, with_a, with_b, with_both) in [
            ("secret/data/a", "read", "", "read"),
            ("secret/data/x/b", "", "read", ""),
            ("secret/data/x/ok", "read", "read", "read"),
            ("secret/data/x/y", "", "read", ""),
            ("secret/data/q/y", "update", "list", "update"),
            ("secret/data/q/y/z", "read", "", "read"),
            ("secret/metadata/mine/", "list", "", "list"),
            ("secret/metadata/mine", "read", "", "read"),
            ("sys/mounts", "", "", ""),
        ] {
            assert_eq!(allowed(&[A], path), with_a, "A {path}");
            assert_eq!(allowed(&[B], path), with_b, "B {path}");
            assert_eq!(allowed(&[A, B], path), with_both, "A and B {path}");
        }
    }

    #[test]
    fn the_same_path_in_two_policies_is_the_sum_of_both_and_deny_wins() {
        let read = r#"path "a" { capabilities = ["read"] }"#;
        let list = r#"path "a" { capabilities = ["list"] }"#;
        let deny = r#"path "a" { capabilities = ["deny"] }"#;
        assert_eq!(allowed(&[read, list], "a"), "list,read");
        assert_eq!(allowed(&[read, deny], "a"), "");
    }

    #[test]
    fn a_plus_stands_for_one_segment() {
        let policy = r#"path "a/+/c*" { capabilities = ["read"] }"#;
        assert_eq!(allowed(&[policy], "a/b/cde/f"), "read");
        assert_eq!(allowed(&[policy], "a/b/d"), "");
        assert_eq!(allowed(&[policy], "a/b/b/c"), "");
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_refused_in_the_servers_words() {
        for (policy, error) in [
            (
                r#"path "x" { caps = ["read"] }"#,
                "failed to parse policy: path \"x\": 1 error occurred:\n\t* invalid key \"caps\" on line 1\n\n",
            ),
            (
                r#"path "x" { capabilities = ["reed"] }"#,
                "failed to parse policy: path \"x\": path \"x\": invalid capability \"reed\"",
            ),
            (
                r#"path "x/+*" { capabilities = ["read"] }"#,
                "failed to parse policy: path \"x/+*\": path \"x/+*\": invalid use of wildcards ('+*' is forbidden)",
            ),
            (
                r#"nope "x" { capabilities = ["read"] }"#,
                "failed to parse policy: 1 error occurred:\n\t* invalid key \"nope\" on line 0\n\n",
            ),
        ] {
            assert_eq!(parse(policy).unwrap_err(), error);
        }
        assert!(
            parse(r#"path "x { capabilities = ["#).unwrap_err().starts_with("failed to parse policy: At 1:")
        );
    }
}
