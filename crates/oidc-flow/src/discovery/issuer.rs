//! Which issuers count as a provider's own.

/// Where Entra's issuer has the tenant.
const PLACE: &str = "{tenantid}";

/// Whose people may sign in, where one provider serves many tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tenants {
    /// The provider is one.
    #[default]
    None,
    /// These.
    Only(Vec<String>),
    /// Everybody.
    Any,
}

impl Tenants {
    pub(crate) fn are_served(&self) -> bool {
        *self != Self::None
    }

    pub(crate) fn allow(&self, tenant: &str) -> bool {
        match self {
            Self::None => false,
            // A tenant is a GUID, which is written in either case.
            Self::Only(tenants) => tenants.iter().any(|this| this.eq_ignore_ascii_case(tenant)),
            Self::Any => true,
        }
    }
}

/// Returns the issuer of one tenant. A tenant's name is a GUID and so no other part of an address.
pub(crate) fn of_tenant(pattern: &str, tenant: &str) -> Option<String> {
    let is_name =
        !tenant.is_empty() && tenant.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'-');
    (is_name && pattern.contains(PLACE)).then(|| pattern.replacen(PLACE, tenant, 1))
}

/// Returns whether an issuer is that one, sign by sign, or that of a tenant where the pattern leaves it open.
pub(crate) fn fits(pattern: &str, issuer: &str) -> bool {
    pattern == issuer
        || tenant_of(pattern, issuer)
            .is_some_and(|tenant| of_tenant(pattern, tenant).as_deref() == Some(issuer))
}

/// Returns what stands where the pattern leaves the tenant open.
fn tenant_of<'a>(pattern: &str, issuer: &'a str) -> Option<&'a str> {
    let (before, after) = pattern.split_once(PLACE)?;
    issuer.strip_prefix(before)?.strip_suffix(after)
}

#[cfg(test)]
mod tests {
    use super::{fits, of_tenant};

    const PATTERN: &str = "https://login.example/{tenantid}/v2.0";

    #[test]
    fn a_tenant_is_one_name_in_its_place() {
        assert!(fits(PATTERN, "https://login.example/9188040d-6c67/v2.0"));
        assert!(fits("https://id.example", "https://id.example"));
        for other in [
            "https://login.example//v2.0",
            "https://login.example/a/b/v2.0",
            "https://login.example/a?/v2.0",
            "https://login.example/a/v2.0/",
            "https://login.example.evil/a/v2.0",
            "https://login.example/v2.0",
            "http://login.example/a/v2.0",
        ] {
            assert!(!fits(PATTERN, other), "{other}");
        }
        assert!(!fits("https://id.example", "https://id.example/"));
        assert_eq!(of_tenant("https://id.example", "a"), None);
        assert_eq!(of_tenant(PATTERN, "a/../b"), None);
    }
}
