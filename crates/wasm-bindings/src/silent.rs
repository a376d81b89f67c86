//! An address to sign in at that shows nothing.

use url::Url;

/// Asks the provider not to show a page: for a hidden frame. Whatever was asked for before is replaced.
///
/// [OpenID Connect Core, 3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest): `prompt=none`.
pub fn silent(url: &Url) -> Url {
    let mut silent = url.clone();
    let kept: Vec<_> = url.query_pairs().filter(|(name, _)| name != "prompt").collect();
    silent.query_pairs_mut().clear().extend_pairs(kept).append_pair("prompt", "none");
    silent
}

#[cfg(test)]
mod tests {
    use super::silent;

    #[test]
    fn the_rest_of_the_address_stays_and_another_prompt_goes() {
        let url = "https://id.example/auth?prompt=login&state=a%2Cb&nonce=n".parse().unwrap();
        assert_eq!(silent(&url).as_str(), "https://id.example/auth?state=a%2Cb&nonce=n&prompt=none");
        let url = "https://id.example/auth".parse().unwrap();
        assert_eq!(silent(&url).as_str(), "https://id.example/auth?prompt=none");
    }
}
