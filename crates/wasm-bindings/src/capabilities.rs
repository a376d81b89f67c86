//! What a token may do with one secret, read from what it may do at five paths.

use std::collections::BTreeMap;

/// What a page shows as buttons: the name of each, the part of the store that it calls, and the capability that it needs.
const BUTTONS: [(&str, Part, &str); 10] = [
    ("read", Part::Data, "read"),
    ("create", Part::Data, "create"),
    ("update", Part::Data, "update"),
    ("delete", Part::Data, "delete"),
    ("deleteVersions", Part::Delete, "update"),
    ("undelete", Part::Undelete, "update"),
    ("destroy", Part::Destroy, "update"),
    ("readMetadata", Part::Metadata, "read"),
    ("deleteAll", Part::Metadata, "delete"),
    ("list", Part::Metadata, "list"),
];

#[derive(Clone, Copy)]
enum Part {
    Data,
    Metadata,
    Delete,
    Undelete,
    Destroy,
}

impl Part {
    const ALL: [Self; 5] = [Self::Data, Self::Metadata, Self::Delete, Self::Undelete, Self::Destroy];

    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Metadata => "metadata",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Destroy => "destroy",
        }
    }
}

fn path(mount: &str, part: Part, path: &str) -> String {
    format!("{}/{}/{}", mount.trim_matches('/'), part.name(), path.trim_matches('/'))
}

/// Returns the paths of the API that matter for a secret.
pub fn paths(mount: &str, secret: &str) -> Vec<String> {
    Part::ALL.map(|part| path(mount, part, secret)).into()
}

/// Returns for each button whether the server will probably do it.
pub fn buttons<'a>(
    mount: &'a str,
    secret: &'a str,
    told: &'a BTreeMap<String, Vec<String>>,
) -> impl Iterator<Item = (&'static str, bool)> + 'a {
    BUTTONS.into_iter().map(move |(button, part, needed)| {
        let granted = told.get(&path(mount, part, secret)).map(Vec::as_slice).unwrap_or_default();
        // A read of the metadata is a `read`, a list a `list`; `root` may everything.
        (button, granted.iter().any(|capability| capability == needed || capability == "root"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(told: &[(&str, &[&str])]) -> Vec<&'static str> {
        let told = told
            .iter()
            .map(|(path, list)| ((*path).to_owned(), list.iter().map(|&name| name.to_owned()).collect()))
            .collect();
        buttons("kv/", "/team/app", &told).filter(|(_, may)| *may).map(|(button, _)| button).collect()
    }

    #[test]
    fn the_paths_are_those_of_the_api_without_stray_slashes() {
        assert_eq!(
            paths("kv/", "/team/app"),
            [
                "kv/data/team/app",
                "kv/metadata/team/app",
                "kv/delete/team/app",
                "kv/undelete/team/app",
                "kv/destroy/team/app"
            ]
        );
    }

    #[test]
    fn each_button_looks_at_its_own_path() {
        assert_eq!(allowed(&[("kv/data/team/app", &["read", "delete"])]), ["read", "delete"]);
        assert_eq!(allowed(&[("kv/metadata/team/app", &["delete", "list"])]), ["deleteAll", "list"]);
        assert_eq!(allowed(&[("kv/destroy/team/app", &["update"])]), ["destroy"]);
        assert!(allowed(&[("kv/data/team/app", &["deny"]), ("kv/data/other", &["read"])]).is_empty());
    }

    #[test]
    fn the_root_may_everything() {
        let root: &[&str] = &["root"];
        let told: Vec<_> = paths("kv", "team/app").into_iter().map(|path| (path, root)).collect();
        let told: Vec<_> = told.iter().map(|(path, list)| (path.as_str(), *list)).collect();
        assert_eq!(allowed(&told).len(), BUTTONS.len());
    }
}
