//! kubectl's question to a credential plugin, and the answer
//! ([`client.authentication.k8s.io`](https://kubernetes.io/docs/reference/config-api/client-authentication.v1/)).

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What kubectl asks, out of the variable `KUBERNETES_EXEC_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecInfo {
    /// The version that the answer must have, too.
    pub version: ExecVersion,
    /// Whether a person sits at the terminal and this program may talk to them. Where kubectl does not say, nobody does.
    pub is_interactive: bool,
}

/// The versions that are spoken. `v1alpha1` ended with Kubernetes 1.24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecVersion {
    /// `v1`, since Kubernetes 1.22.
    V1,
    /// `v1beta1`
    V1Beta1,
}

impl ExecVersion {
    /// Returns the name as it stands in `apiVersion`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "client.authentication.k8s.io/v1",
            Self::V1Beta1 => "client.authentication.k8s.io/v1beta1",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::V1, Self::V1Beta1].into_iter().find(|version| version.name() == name)
    }

    /// Writes the answer: a token, and until when kubectl may keep it.
    ///
    /// It is JSON on one line, and is wiped from memory when it is dropped.
    pub fn answer(self, token: &Secret, good_until: SystemTime) -> Zeroizing<String> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ExecCredential<'a> {
            api_version: &'a str,
            kind: &'a str,
            status: Status<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Status<'a> {
            expiration_timestamp: String,
            token: &'a str,
        }
        let answer = ExecCredential {
            api_version: self.name(),
            kind: KIND,
            status: Status {
                expiration_timestamp: humantime::format_rfc3339_seconds(good_until).to_string(),
                // Opened for kubectl, which asked for it.
                token: token.expose_secret(),
            },
        };
        // Texts are JSON without fail.
        Zeroizing::new(serde_json::to_string(&answer).unwrap_or_default())
    }
}

const KIND: &str = "ExecCredential";

impl fmt::Display for ExecVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecInfoProblem {
    /// It is longer than any real one.
    #[error("KUBERNETES_EXEC_INFO is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not the JSON that kubectl writes.
    #[error("KUBERNETES_EXEC_INFO is not an ExecCredential")]
    Malformed,
    /// It is of a version that is not spoken here.
    #[error("KUBERNETES_EXEC_INFO is of the version {found:?}")]
    UnknownVersion {
        /// The version that it names, shortened.
        found: String,
    },
}

impl ExecInfo {
    /// How long a question may be: 128 KiB, which is what Linux lets a variable hold.
    pub const LIMIT: usize = 128 * 1024;

    /// Reads what kubectl asks. Whatever else stands there, such as the cluster, is none of our business.
    pub fn parse(text: &str) -> Result<Self, ExecInfoProblem> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Asked {
            api_version: String,
            kind: String,
            #[serde(default)]
            spec: Spec,
        }
        #[derive(Default, Deserialize)]
        struct Spec {
            #[serde(default)]
            interactive: bool,
        }
        if text.len() > Self::LIMIT {
            return Err(ExecInfoProblem::TooLong { limit: Self::LIMIT });
        }
        let asked: Asked = serde_json::from_str(text).map_err(|_| ExecInfoProblem::Malformed)?;
        if asked.kind != KIND {
            return Err(ExecInfoProblem::Malformed);
        }
        let version = ExecVersion::from_name(&asked.api_version).ok_or_else(|| {
            ExecInfoProblem::UnknownVersion { found: asked.api_version.chars().take(64).collect() }
        })?;
        Ok(Self { version, is_interactive: asked.spec.interactive })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::{Value, json};

    use super::{ExecInfo, ExecInfoProblem, ExecVersion};

    fn parse(value: &Value) -> Result<ExecInfo, ExecInfoProblem> {
        ExecInfo::parse(&value.to_string())
    }

    #[test]
    fn both_versions_are_read_with_whatever_stands_beside() {
        for version in [ExecVersion::V1, ExecVersion::V1Beta1] {
            for is_interactive in [true, false] {
                let asked = json!({"apiVersion": version.name(), "kind": "ExecCredential", "spec": {
                    "interactive": is_interactive, "cluster": {"server": "https://k8s", "config": {"a": 1}}}});
                assert_eq!(parse(&asked), Ok(ExecInfo { version, is_interactive }));
            }
        }
    }

    #[test]
    fn where_kubectl_does_not_say_nobody_is_there() {
        for asked in [
            json!({"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential"}),
            json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {}}),
        ] {
            assert!(!parse(&asked).unwrap().is_interactive);
        }
    }

    #[test]
    fn another_version_or_kind_or_no_json_is_refused_with_a_reason() {
        let alpha = json!({"apiVersion": "client.authentication.k8s.io/v1alpha1", "kind": "ExecCredential"});
        let found = "client.authentication.k8s.io/v1alpha1".to_owned();
        assert_eq!(parse(&alpha), Err(ExecInfoProblem::UnknownVersion { found }));
        let pod = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "Pod"});
        assert_eq!(parse(&pod), Err(ExecInfoProblem::Malformed));
        for text in ["", "{}", "[]", "null", "{\"kind\":1}"] {
            assert_eq!(ExecInfo::parse(text), Err(ExecInfoProblem::Malformed), "{text}");
        }
        let long = " ".repeat(ExecInfo::LIMIT + 1);
        assert_eq!(ExecInfo::parse(&long), Err(ExecInfoProblem::TooLong { limit: ExecInfo::LIMIT }));
    }

    #[test]
    fn the_answer_has_the_version_of_the_question_and_a_time_as_kubernetes_writes_it() {
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_315_200);
        for version in [ExecVersion::V1, ExecVersion::V1Beta1] {
            let answer: Value = serde_json::from_str(&version.answer(&"e30.e30.c2ln".into(), until)).unwrap();
            let expected = json!({"apiVersion": version.name(), "kind": "ExecCredential",
                "status": {"token": "e30.e30.c2ln", "expirationTimestamp": "2026-06-01T12:00:00Z"}});
            assert_eq!(answer, expected);
        }
    }
}
