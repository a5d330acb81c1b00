//! Containers, by the paths of their cgroups.

/// Digits of a container's id: of a SHA-256.
const ID_DIGITS: usize = 64;
/// Digits that tools show of it.
const SHOWN_DIGITS: usize = 12;

/// A container as its cgroup's path tells: `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`,
/// `libpod-ID.scope` where systemd makes the cgroups, `…:cri-containerd:ID` and `docker/ID` where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    /// What has started it; none where the path does not tell.
    pub runtime: Option<&'a str>,
    /// Its id.
    pub id: &'a str,
}

impl<'a> Container<'a> {
    /// The innermost container in which a cgroup is.
    #[must_use]
    pub fn of(path: &'a str) -> Option<Self> {
        let names: Vec<&str> = path.split('/').collect();
        (0..names.len()).rev().find_map(|place| {
            let name = names[place];
            let name = name.strip_suffix(".scope").unwrap_or(name);
            let (before, id) = name.split_at_checked(name.len().checked_sub(ID_DIGITS)?)?;
            if !id
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
            {
                return None;
            }
            // The runtime stands before it, or is the folder that it is in, as a pod is that of kubelet's.
            let runtime = if before.is_empty() {
                place.checked_sub(1).map(|above| names[above])
            } else {
                before.strip_suffix(['-', ':'])?.rsplit(':').next()
            };
            let is_known = |name: &&str| RUNTIMES.contains(name);
            let in_pod = before.is_empty() && path.contains("kubepods");
            let runtime = runtime.filter(is_known);
            (runtime.is_some() || in_pod).then_some(Self { runtime, id })
        })
    }

    /// As tools show it: `docker 3f4e5a6b7c8d`.
    #[must_use]
    pub fn short(&self) -> String {
        let runtime = self.runtime.unwrap_or("container");
        format!("{runtime} {}", &self.id[..SHOWN_DIGITS])
    }
}

/// A cgroup's path, and before it the container that it is of.
#[must_use]
pub fn cgroup_title(path: &str) -> String {
    Container::of(path).map_or_else(
        || path.to_owned(),
        |container| format!("{}: {path}", container.short()),
    )
}

/// What starts containers, as cgroups are named after it.
const RUNTIMES: &[&str] = &[
    "containerd",
    "cri-containerd",
    "crio",
    "docker",
    "libpod",
    "nerdctl",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e5a6b7c8d9e0f3f4e5a6b7c8d9e0f3f4e5a6b7c8d9e0f3f4e5a6b7c8d9e0f";

    #[test]
    fn a_path_has_the_containers_id() {
        for (path, short) in [
            ("/system.slice/docker-ID.scope", "docker 3f4e5a6b7c8d"),
            (
                "/system.slice/docker-ID.scope/init.scope",
                "docker 3f4e5a6b7c8d",
            ),
            ("/docker/ID", "docker 3f4e5a6b7c8d"),
            ("/kubepods/burstable/pod7/ID", "container 3f4e5a6b7c8d"),
            (
                "/kubepods.slice/kubepods-pod7.slice/cri-containerd-ID.scope",
                "cri-containerd 3f4e5a6b7c8d",
            ),
            (
                "/system.slice/kubepods-pod7.slice:cri-containerd:ID",
                "cri-containerd 3f4e5a6b7c8d",
            ),
            (
                "/machine.slice/libpod-ID.scope/container",
                "libpod 3f4e5a6b7c8d",
            ),
        ] {
            let path = path.replace("ID", ID);
            let container = Container::of(&path).unwrap();
            assert_eq!((container.id, container.short().as_str()), (ID, short));
        }
    }

    #[test]
    fn other_cgroups_are_none() {
        let upper = format!("/docker/{}", ID.to_uppercase());
        for path in [
            "/",
            "",
            "/user.slice/user-0.slice",
            "cgroup 153",
            "others",
            &upper,
        ] {
            assert_eq!(Container::of(path), None, "{path}");
        }
    }
}
