//! Signatures that are good, and some that only look so. Those of RFC 7515 and RFC 8037 are the RFCs' own; the others were
//! made once, with keys that were thrown away.

/// A good signature, and another key of the same kind.
pub(super) struct Good {
    pub(super) name: &'static str,
    pub(super) algorithm: &'static str,
    pub(super) key: &'static str,
    pub(super) input: &'static str,
    pub(super) signature: &'static str,
    pub(super) other_key: &'static str,
}

/// A signature that must be refused.
pub(super) struct Hostile {
    pub(super) name: &'static str,
    pub(super) algorithm: &'static str,
    pub(super) key: &'static str,
    pub(super) signature: &'static str,
}

/// What the hostile ones pretend to have signed, and those that were made for this.
pub(super) const INPUT: &str = "eyJhbGciOiJ-In0.TGF0Y2hrZXk";

const RSA_KEY: &str = r#"{"e":"AQAB","kty":"RSA","n":"qC-iwv7ycKf1o7_fHE_FMYYoNXphi_drC19cVq_rXjbEfJQGFqcc9yJ5ApI8VNQauRph_mkfW4vpL-2UFNhuhEt3IDksPUl8ywLV40oFiFmSbKZ6xByyZh9XkPNc8pIG1Vyfgf8Q7D0XI7gUUis0zavtN9udzWEmjxBdt2DDE0HcEvO3YpFujXsKuOl0bcvuUimhUMscn-qb9oiC36GuEJ0iUk8mz3bm-WA3UsqOXt97ulquk1WBb6gUM_cvdYupYLNpl2S5D0sNrTTqU47mcPTGHUu-gX6Zcbf8X_PTBrLjN81acCqfnBHIaUIvQj9pnnOr9D6NQ8yu4qZE1EOZ-Q"}"#;
const OTHER_RSA_KEY: &str = r#"{"e":"AQAB","kty":"RSA","n":"zRJII83Fdpd9GFJBH14nczbcqEbsebPQnaicsrQbLIuOorxk0dJo3-qaOYtBxjqOUjM0FOasBsc7UG-EZgx-Rc6qAxKtcS4YfSBKVJa7otgvCcRAr3nP4u71sOxX3W2Xgt8T9WaS8ygIlmYf27EyxLC1gmQabSog8-0ewiZ5f0uVMT-uJk8bf0S-5Gl8XLuURC-AF3aAwLsAQ6p8hU8bS36XaxCnBjtkYqS7uT6q_6zEsJitb3h7o4uKVIjPhpHf3IBqgAbcWKBar-T6L-HIXw0N5FthS70xxhHMlgCMOukRRghhl8OWGeh11YS8ae2ywmu2g2viB8W2l92ytNx3Kw"}"#;
const P256_KEY: &str = r#"{"crv":"P-256","kty":"EC","x":"661EDkzok0fL0bU-XYtxBDBHXV2xfAEfaN3xy7j8nzA","y":"rjarKo0ZJW_x1EqqBGsW3_wG_fj3m3-RbCcuynIkcR0"}"#;
const OTHER_P256_KEY: &str = r#"{"crv":"P-256","kty":"EC","x":"7aYWzMT7b9_HpJls15R-O1fzK1L8KRZpzP9X1vYvUIg","y":"OSsAJOsnh_kWhlAsL_9mnrpnWfjpTwj71WW7Fyqxm9E"}"#;
const P384_KEY: &str = r#"{"crv":"P-384","kty":"EC","x":"LJDYT7KCEDO8I0wZ0LHrvSfwDtCsml23cRRebM3O8QI1mjhoI4mCzflb8xSpV5l9","y":"CdxBE-I47MhAMYwsT6D-ORuHzK3S_w9BiMrWrYn8XbyxIPQRtIq_uPCYb3QeoOnO"}"#;
const OTHER_P384_KEY: &str = r#"{"crv":"P-384","kty":"EC","x":"wPqwOLCiNpEDcw_bs4gl7-28bRhjSal5C62XQQGVo5nSI5DGOvKZyH1u3LH6rMjM","y":"WLgTWfLvD6ft8_hqFfreHwGuXQqHJOz_ghqfnR-de0iODLMruzEreJzPbWCTUGWm"}"#;
const ED25519_KEY: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"IrkfovhooRInUbiQbegWDANAE5_e6m7nRST9VPY1MAU"}"#;
const OTHER_ED25519_KEY: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"XyEH9XYuOe71PR48IX_k0loj9xMxSJt9O5WiZ4nP7oY"}"#;

pub(super) const GOOD: &[Good] = &[
    Good {
        name: "rfc7515_a_2",
        algorithm: "RS256",
        key: r#"{"e":"AQAB","kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
        input: "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        signature: "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "rfc7515_a_3",
        algorithm: "ES256",
        key: r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        input: "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        other_key: P256_KEY,
    },
    Good {
        name: "rfc7515_a_4",
        algorithm: "ES512",
        key: r#"{"crv":"P-521","kty":"EC","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#,
        input: "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
        signature: "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        other_key: r#"{"crv":"P-521","kty":"EC","x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}"#,
    },
    Good {
        name: "rfc8037_a_4",
        algorithm: "EdDSA",
        key: r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        input: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        other_key: ED25519_KEY,
    },
    Good {
        name: "rs256",
        algorithm: "RS256",
        key: RSA_KEY,
        input: INPUT,
        signature: "gc39mTATiBCr_EWl5sBhE8PivsUspufU93-xbakZi9fglGqXiGgVW951WWNkJ8ItqBusLjdBnTTTPgX2h_U2RECiNqqezZwcEiacQtZejNY7Zv4DdvaEOM4ffKS6_QY3jpfSXsr5GIuRPFp-HzPjcaYnSq3fztIyMyO-EwIeoLgBNR2_EPi1U8W91RNbGG4_Y1bSa1Yyjhhj75oaoSutPKYD-Fa9igR7HwGWJ3Uug3EmUMOIX8e6XR4fsCKlYq2ytAIyowSBRdQjLJRCyZ0265AlDcdnF2kd1d_Nbcjno2sQPdwl-6Io7PVb6QakQC5F_IcH7ijaxbjprnE3VNYHUA",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "rs384",
        algorithm: "RS384",
        key: RSA_KEY,
        input: INPUT,
        signature: "bTuTVZ9fIXyVlyUPoaJz0gLg7dgB_KZ3DwxRloNjJTjI0YrEkSvTgkcNs8HgL9UB-wI2kAYKROrYGUVAtP5Qh-dPXjj2VaEEdUpAO7e8eMZLuxBzcKVOYC2UzkEVlHdgWm63GudvUEutsWElVMAFJKZPRhzX7q6hl93Rzp5FUScbQ2srkZcK4fczij8kiHPla5v2Ah8vby-rQ_tDzvLTWr-gWxbZRhvBIQQBYd-Cn7yhSWHMeEADZeTFvV03Dk-b-EQDZ-d9jLYN7Yzz0krbxai0_A2C3NkC--CMwZS648_yZKZMIHOwrD4fCra4kX4Uz5ysY3q07TAGSeMEswtC7g",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "rs512",
        algorithm: "RS512",
        key: RSA_KEY,
        input: INPUT,
        signature: "VM7vNRNr-fNQY1GRIiidE1suUwfRVI0JB4Tz0svc6B8XFQ_GzCmAwIRpwZ7eYPcuxqTku_Xcbz5sb7FWEmynAPIVyqGAhhXIy8Cc-v4Et9rDzZ6dWqHlRYbCeKhjXSj45dnpVLF-TI__opN5-RAGa4qZZL18JIoT7TzQEi-Vq13zJvKcxkml_6nthR3pf_NDl5U3QI-t7qNg_eT6TVKs9c6QpZyjYt-45ANx2u_IMNZdQpYyozpOwDQj2WPdLPLxM6ucugiQihC35YAinvee87A3dNggdC8Fx3vowXO6MYkbK549EYVS_HT2m7_cmT9A46xbobbDjrrfWNiMBBwjYQ",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "ps256",
        algorithm: "PS256",
        key: RSA_KEY,
        input: INPUT,
        signature: "KJeYxOi8ABXCtk4pFDSuZpVfElVLmKFfIwYdHk8gx70xsRl2cpLs3N3Vga3ErFGyfUdT7KWMHTHSL96VWV1cyNb3vUf-l6tfc0bzQuEqwRbaJL64N3QjbQ9jIekMLoETgpHp7hMCCsgOvr3YugkRv-5ubC-QjAvmVxy_IqkrETNHensZVorQUjte54eMFYLSaYjNKIz0k9X3YA_kLmNGpF1Kv2g-QXUm7cESpT81EY7HyDD-4UXp-0_FtH_TT2WYJfFYsSwtexFUNEbocMHjuq1Oo6tN1XV6q6fXrfNUIFEaMsWfq3YCQh_QlXesiOhGyc_WNl80fz2J2OddTdriVQ",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "ps384",
        algorithm: "PS384",
        key: RSA_KEY,
        input: INPUT,
        signature: "XAJBGGUWoZi7J0zJQ60uv69wBdntxrRoFpKJaFvawBVSfEkGhRBIvq2NBDYpWEGzBgcrLTJxBcx-1_BdxLStWHbxRp6IIJkIL8y30wguSkLU7v9-kqTa8fPVQGdPlQy5JKPSpYQgw5bH8G83XgT1vL5bzcZMJh8o4fK3YePtud3MRTAtbVfJJl2rH4gUtnWw8kHwQ6jGAuRzgGCvaWB52aIpPyUyvTlP_BLFg2o-azLYaTUA17M4xD977krrG8-yDE_9CDI9f1oND-jYv1Gb0FPjkX8e-UY55PL9s8V_-jFVvtKoUBfZI91GWaRw8WsDJy8XyvDR7DsBMlVBO38IgQ",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "ps512",
        algorithm: "PS512",
        key: RSA_KEY,
        input: INPUT,
        signature: "pIXjawFWCXCK0fSzPhwgBw0K60WwwucklWxz3SLoHWTRfbG79xibDlT0flh55_6DGaHj8q3dzfpEEZAL4cjm8gMSZHej6r_H1nE_kxP2wTskHNnUR36ZmsUiWMV9WIgjmD451ZVkktr5KIJmtPTpDK9kqFiCEg0Ynhhk0QFtkjmRqk0emW9sTsV7Jp31PD4yLufFbRH2-N7eA6F8bVG_Ti-dipRqb5kqvQyE6HMhUKFqlZMLYi4pCr0D1Zsfq0b53RIMJ3oKhUJdtlASdLGWZPppFAHIzan1A1dQUvnt5tFTMbWUBYqXP0S_Iv2GK_hXOIJ8bOmniCccWGrT9ln8dg",
        other_key: OTHER_RSA_KEY,
    },
    Good {
        name: "es256",
        algorithm: "ES256",
        key: P256_KEY,
        input: INPUT,
        signature: "sa_5Up6FKpRQUKrtzTKjRIMptONvsuXCz4XvBV3-yltV2gOPxH92AjYFg-npNNKCsYAeKTrrM2ZKDy1tc3ruRQ",
        other_key: OTHER_P256_KEY,
    },
    Good {
        name: "es384",
        algorithm: "ES384",
        key: P384_KEY,
        input: INPUT,
        signature: "TRGIusDLS9LPuMWRHizeqhZ0TgOIZYQQTTLF9YSfA7Ct1ig0w9-WG7cClvywnApucKN5eYgglSHtdMvymxbBs_Q7_-Kgk03jTqEh76R1s7_Om5l5TeVXG0S_ZZ63CzOF",
        other_key: OTHER_P384_KEY,
    },
    Good {
        name: "eddsa",
        algorithm: "EdDSA",
        key: ED25519_KEY,
        input: INPUT,
        signature: "giKABdbtJghhF3utiTCmY0h8GnGO870KzDhkvzkokupXpJYp2CODBYa5jfhC5bdong32BhC209202OuflTQVCQ",
        other_key: OTHER_ED25519_KEY,
    },
];

pub(super) const HOSTILE: &[Hostile] = &[
    Hostile {
        name: "es256_in_the_form_of_asn_1",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "MEUCIQCxr_lSnoUqlFBQqu3NMqNEgym042-y5cLPhe8FXf7KWwIgVdoDj8R_dgI2BYPp6TTSgrGAHik66zNmSg8tbXN67kU",
    },
    Hostile {
        name: "es256_of_zeros",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
    Hostile {
        name: "es256_with_s_zero",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "sa_5Up6FKpRQUKrtzTKjRIMptONvsuXCz4XvBV3-ylsAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
    Hostile {
        name: "es256_with_r_zero",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABV2gOPxH92AjYFg-npNNKCsYAeKTrrM2ZKDy1tc3ruRQ",
    },
    Hostile {
        name: "es256_with_r_the_order",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVFV2gOPxH92AjYFg-npNNKCsYAeKTrrM2ZKDy1tc3ruRQ",
    },
    Hostile {
        name: "es256_with_s_the_order",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "sa_5Up6FKpRQUKrtzTKjRIMptONvsuXCz4XvBV3-ylv_____AAAAAP__________vOb6racXnoTzucrC_GMlUQ",
    },
    Hostile {
        name: "es256_of_ones",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ",
    },
    Hostile {
        name: "es256_turned_round",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "VdoDj8R_dgI2BYPp6TTSgrGAHik66zNmSg8tbXN67kWxr_lSnoUqlFBQqu3NMqNEgym042-y5cLPhe8FXf7KWw",
    },
    Hostile {
        name: "es256_of_384_bits",
        algorithm: "ES256",
        key: P256_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAALGv-VKehSqUUFCq7c0yo0SDKbTjb7Llws-F7wVd_spbAAAAAAAAAAAAAAAAAAAAAFXaA4_Ef3YCNgWD6ek00oKxgB4pOuszZkoPLW1zeu5F",
    },
    Hostile {
        name: "es256_with_a_point_beside_the_curve",
        algorithm: "ES256",
        key: r#"{"crv":"P-256","kty":"EC","x":"661EDkzok0fL0bU-XYtxBDBHXV2xfAEfaN3xy7j8nzA","y":"rjarKo0ZJW_x1EqqBGsW3_wG_fj3m3-RbCcuynIkcRw"}"#,
        signature: "sa_5Up6FKpRQUKrtzTKjRIMptONvsuXCz4XvBV3-yltV2gOPxH92AjYFg-npNNKCsYAeKTrrM2ZKDy1tc3ruRQ",
    },
    Hostile {
        name: "es256_with_the_point_zero",
        algorithm: "ES256",
        key: r#"{"crv":"P-256","kty":"EC","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        signature: "sa_5Up6FKpRQUKrtzTKjRIMptONvsuXCz4XvBV3-yltV2gOPxH92AjYFg-npNNKCsYAeKTrrM2ZKDy1tc3ruRQ",
    },
    Hostile {
        name: "es384_of_zeros",
        algorithm: "ES384",
        key: P384_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
    Hostile {
        name: "es384_with_the_signature_of_es256",
        algorithm: "ES384",
        key: P384_KEY,
        signature: "sa_5Up6FKpRQUKrtzTKjRIMptONvsuXCz4XvBV3-yltV2gOPxH92AjYFg-npNNKCsYAeKTrrM2ZKDy1tc3ruRQ",
    },
    Hostile {
        name: "eddsa_with_s_beyond_the_order",
        algorithm: "EdDSA",
        key: ED25519_KEY,
        signature: "giKABdbtJghhF3utiTCmY0h8GnGO870KzDhkvzkokupEeIyG8oaVXVxWhZsh35Z9ng32BhC209202OuflTQVGQ",
    },
    Hostile {
        name: "eddsa_of_zeros",
        algorithm: "EdDSA",
        key: ED25519_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
    Hostile {
        name: "eddsa_with_the_neutral_point_as_r",
        algorithm: "EdDSA",
        key: ED25519_KEY,
        signature: "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABXpJYp2CODBYa5jfhC5bdong32BhC209202OuflTQVCQ",
    },
    Hostile {
        name: "rs256_of_zeros",
        algorithm: "RS256",
        key: RSA_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
    Hostile {
        name: "rs256_of_one",
        algorithm: "RS256",
        key: RSA_KEY,
        signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ",
    },
    Hostile {
        name: "rs256_of_the_modulus",
        algorithm: "RS256",
        key: RSA_KEY,
        signature: "qC-iwv7ycKf1o7_fHE_FMYYoNXphi_drC19cVq_rXjbEfJQGFqcc9yJ5ApI8VNQauRph_mkfW4vpL-2UFNhuhEt3IDksPUl8ywLV40oFiFmSbKZ6xByyZh9XkPNc8pIG1Vyfgf8Q7D0XI7gUUis0zavtN9udzWEmjxBdt2DDE0HcEvO3YpFujXsKuOl0bcvuUimhUMscn-qb9oiC36GuEJ0iUk8mz3bm-WA3UsqOXt97ulquk1WBb6gUM_cvdYupYLNpl2S5D0sNrTTqU47mcPTGHUu-gX6Zcbf8X_PTBrLjN81acCqfnBHIaUIvQj9pnnOr9D6NQ8yu4qZE1EOZ-Q",
    },
    Hostile {
        name: "rs256_beyond_the_modulus",
        algorithm: "RS256",
        key: RSA_KEY,
        signature: "ASn9oFwvBfi4oaAFhQMQJkVKCvQ_jjLfQALfDcRZBOoOpRD-nZ8PMlMA7lv1oHyWSGE2DiygYPjAvG3zipzNpMiMGVbjywrlmN0pciYgZBUvzdOkfjsTNp7tdw2YF--YPmP0ceDKCgTIqGASknFfGD9SFIKJfZwzWMI0G8pi4bP53UgRdnOKI-FAyI38z4Y6LbWAc7whTy4C_-YinYDNW01DJkql5Fl7YhhhzXo_vOJQogseNvMdO8zGM-QZ1Ng5XBS1nDppOlUfMNnJLR0sHVyE6ysTJZjnt0eXyc28uqod83WpgGvMyIkHJFJI04Jtr5r6s-JnaAmFmJEXfCkZoUk",
    },
    Hostile {
        name: "rs256_with_a_leading_zero",
        algorithm: "RS256",
        key: RSA_KEY,
        signature: "AIHN_ZkwE4gQq_xFpebAYRPD4r7FLKbn1Pd_sW2pGYvX4JRql4hoFVvedVljZCfCLagbrC43QZ000z4F9of1NkRAojaqns2cHBImnELWXozWO2b-A3b2hDjOH3ykuv0GN46X0l7K-RiLkTxafh8z43GmJ0qt387SMjMjvhMCHqC4ATUdvxD4tVPFvdUTWxhuP2NW0mtWMo4YY--aGqErrTymA_hWvYoEex8Blid1LoNxJlDDiF_Hul0eH7AipWKtsrQCMqMEgUXUIyyUQsmdNuuQJQ3HZxdpHdXfzW3I56NrED3cJfuiKOz1W-kGpEAuRfyHB-4o2sW46a5xN1TWB1A",
    },
];
