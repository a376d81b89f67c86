//! What the provider is asked to show and how it shall answer.

/// What the provider shall show the person (`prompt`,
/// [OpenID Connect Core, 3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// `none`: nothing. Who is not signed in is refused.
    None,
    /// `login`: the sign-in page, although the person is signed in.
    Login,
    /// `consent`: the question for consent.
    Consent,
    /// `select_account`: a choice of accounts.
    SelectAccount,
    /// `create`: the page that makes a new account
    /// ([Prompt Create](https://openid.net/specs/openid-connect-prompt-create-1_0.html)).
    Create,
}

impl Prompt {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
            Self::Create => "create",
        }
    }
}

/// How the provider sends its answer (`response_mode`,
/// [Multiple Response Types, 2.1](https://openid.net/specs/oauth-v2-multiple-response-types-1_0.html#ResponseModes)).
///
/// The last four are signed by the provider ([JARM](https://openid.net/specs/oauth-v2-jarm-final.html)):
/// [`Client::open`](crate::Client::open) checks the signature and takes the answer out, and an answer that is not signed
/// is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseMode {
    /// `query`: in the address. Every provider's default for a code.
    Query,
    /// `fragment`: after the `#`, which a browser sends to no server: for a page that reads its own address.
    Fragment,
    /// `form_post`: in the body of a form, which keeps the code out of addresses, logs and histories
    /// ([Form Post Response Mode, 2](https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html)).
    FormPost,
    /// `jwt`: signed, and sent by the default of what was asked for
    /// ([JARM, 2.3.4](https://openid.net/specs/oauth-v2-jarm-final.html)).
    Jwt,
    /// `query.jwt`: signed, in the address ([JARM, 2.3.1](https://openid.net/specs/oauth-v2-jarm-final.html)).
    QueryJwt,
    /// `fragment.jwt`: signed, after the `#` ([JARM, 2.3.2](https://openid.net/specs/oauth-v2-jarm-final.html)).
    FragmentJwt,
    /// `form_post.jwt`: signed, in the body of a form
    /// ([JARM, 2.3.3](https://openid.net/specs/oauth-v2-jarm-final.html)).
    FormPostJwt,
}

impl ResponseMode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
            Self::Jwt => "jwt",
            Self::QueryJwt => "query.jwt",
            Self::FragmentJwt => "fragment.jwt",
            Self::FormPostJwt => "form_post.jwt",
        }
    }

    pub(super) fn is_signed(self) -> bool {
        matches!(self, Self::Jwt | Self::QueryJwt | Self::FragmentJwt | Self::FormPostJwt)
    }

    pub(super) fn is_query(self) -> bool {
        matches!(self, Self::Query | Self::QueryJwt)
    }
}
