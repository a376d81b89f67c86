//! What the claims of a token must be, and what is taken from them. The texts are the servers'.

use serde_json::{Map, Value};

use super::role::Role;
use crate::vault::auth::Person;

/// What is allowed for clocks that differ, where the role does not say.
const CLOCK_SKEW: i64 = 60;
/// How long a token without `exp` is good, and how early one without `nbf` and `iat`, where the role does not say.
const LEEWAY: i64 = 150;

/// Checks times, issuer, subject and audience of a JWT that logs in by itself.
pub(super) fn check(role: &Role, claims: &Value, issuer: Option<&str>, now: i64) -> Result<(), String> {
    for name in ["iss", "sub", "jti"] {
        if claims.get(name).is_some_and(|claim| !claim.is_string() && !claim.is_null()) {
            let kind = if claims[name].is_number() { "number" } else { "value" };
            return Err(format!(
                "json: cannot unmarshal {kind} into Go struct field Claims.{name} of type string"
            ));
        }
    }
    check_times(role, claims, now)?;
    if issuer.is_some_and(|issuer| claims["iss"] != issuer) {
        return Err("invalid issuer (iss) claim".to_owned());
    }
    if !role.bound_subject.is_empty() && claims["sub"] != role.bound_subject.as_str() {
        return Err("invalid subject (sub) claim".to_owned());
    }
    let audiences = audiences(claims);
    if !role.bound_audiences.is_empty()
        && !role.bound_audiences.iter().any(|bound| audiences.contains(&bound.as_str()))
    {
        return Err(
            "invalid audience (aud) claim: audience claim does not match any expected audience".to_owned()
        );
    }
    Ok(())
}

/// One of `iat`, `nbf` and `exp` must be there; what is missing is made from the others.
fn check_times(role: &Role, claims: &Value, now: i64) -> Result<(), String> {
    let time = |name: &str| claims[name].as_f64().map_or(0, whole);
    let or = |own: i64, default: i64| match own {
        0 => default,
        negative if negative < 0 => 0,
        own => own,
    };
    let (issued, mut not_before, mut expires) = (time("iat"), time("nbf"), time("exp"));
    if issued == 0 && not_before == 0 && expires == 0 {
        return Err(
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token".to_owned()
        );
    }
    if expires == 0 {
        expires = issued.max(not_before) + or(role.expiration_leeway, LEEWAY);
    }
    if not_before == 0 {
        not_before = if issued == 0 { expires - or(role.not_before_leeway, LEEWAY) } else { issued };
    }
    let skew = or(role.clock_skew_leeway, CLOCK_SKEW);
    if now > expires + skew {
        return Err("invalid expiration time (exp) claim: token is expired".to_owned());
    }
    if now < not_before - skew {
        return Err("invalid not before (nbf) claim: token not yet valid".to_owned());
    }
    if now < issued - skew {
        return Err("invalid issued at (iat) claim: token issued in the future".to_owned());
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a NumericDate is counted in whole seconds here")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

pub(super) fn audiences(claims: &Value) -> Vec<&str> {
    match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Every bound claim must be there, with one of its values.
pub(super) fn check_bound(role: &Role, claims: &Value) -> Result<(), String> {
    for (name, wanted) in &role.bound_claims {
        let Some(actual) = find(claims, name) else { return Err(format!("claim \"{name}\" is missing")) };
        let wanted = as_list(wanted);
        let matches = |actual: &Value| {
            wanted.iter().any(|wanted| match (role.is_glob, wanted.as_str(), actual.as_str()) {
                (true, Some(pattern), Some(text)) => matches_glob(pattern, text),
                _ => *wanted == actual,
            })
        };
        if !as_list(actual).into_iter().any(matches) {
            return Err(format!("claim \"{name}\" does not match any associated bound claim values"));
        }
    }
    Ok(())
}

fn as_list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

fn matches_glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

impl Person {
    pub(super) fn of_claims(role: &Role, role_name: &str, claims: &Value) -> Result<Self, String> {
        let claim = if role.user_claim_json_pointer {
            find(claims, &role.user_claim)
        } else {
            claims.get(&role.user_claim)
        };
        let claim = claim.ok_or_else(|| format!("claim \"{}\" not found in token", role.user_claim))?;
        let name = claim
            .as_str()
            .ok_or_else(|| format!("claim \"{}\" could not be converted to string", role.user_claim))?;
        let mut metadata = Map::from_iter([("role".to_owned(), role_name.into())]);
        for (source, target) in &role.claim_mappings {
            let (Some(value), Some(target)) = (find(claims, source), target.as_str()) else { continue };
            if !value.is_string() {
                return Err(format!("error converting claim '{source}' to string"));
            }
            metadata.insert(target.to_owned(), value.clone());
        }
        Ok(Self { name: name.to_owned(), shown: name.to_owned(), groups: groups(role, claims)?, metadata })
    }
}

fn groups(role: &Role, claims: &Value) -> Result<Vec<String>, String> {
    if role.groups_claim.is_empty() {
        return Ok(Vec::new());
    }
    let missing = || format!("failed to fetch groups: \"{}\" claim not found in token", role.groups_claim);
    let claim = find(claims, &role.groups_claim).ok_or_else(missing)?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("value {value} in groups claim could not be parsed as string"))
    };
    as_list(claim).into_iter().map(text).collect()
}

/// A claim by its name, or by a JSON pointer where the name begins with a slash.
fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_may_have_its_star_anywhere() {
        for (pattern, text, expected) in [
            ("x*", "xyz", true),
            ("*z", "xyz", true),
            ("x*z", "xz", true),
            ("a*b*c", "aXbYc", true),
            ("xyz", "xyz", true),
            ("xy", "xyz", false),
            ("x*y", "xyz", false),
        ] {
            assert_eq!(matches_glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
