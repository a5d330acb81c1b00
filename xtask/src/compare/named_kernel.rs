//! The kernels of a comparison, by name.

use std::path::Path;

use anyhow::Result;
use lab::kernel::{self, Kernel, build};

use crate::kernels;

/// A kernel and what it is called in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedKernel {
    pub(super) name: String,
    pub(super) kernel: String,
    /// A patch that is none of the project's own: the kernel is built with it.
    patch: Option<String>,
}

impl NamedKernel {
    /// NAME=KERNEL, or one of the project's own by its name alone.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((name, kernel)) = text.split_once('=') else {
            return build::BuildRequest::own(text)
                .map(|_| Self::own(text))
                .ok_or_else(|| {
                    format!(
                        "--kernel {text}: it takes NAME=KERNEL, where KERNEL is debian:6.12, the \
                         name of a built kernel, or the path of a bzImage; the project's own go by \
                         their names alone"
                    )
                });
        };
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(format!(
                "--kernel {text}: {name:?} cannot be a kernel's name"
            ));
        }
        if kernel.is_empty() {
            return Err(format!("--kernel {text}: there is no kernel behind the ="));
        }
        Ok(Self {
            kernel: kernel.to_owned(),
            ..Self::own(name)
        })
    }

    /// One of the project's own.
    pub(super) fn own(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kernel: name.to_owned(),
            patch: None,
        }
    }

    /// What a patch makes of [`build::BASE`].
    pub(super) fn patched(patch: &str) -> Result<Self, String> {
        let source = |name: &str| build::BuildRequest::own(name).map(|own| own.source);
        if let Some(of_patch) = source(patch) {
            return if Some(of_patch) == source(build::BASE) && patch != build::BASE {
                Ok(Self::own(patch))
            } else {
                Err(format!(
                    "--patch {patch}: it makes no kernel of the source of {}: name both kernels by --kernel",
                    build::BASE
                ))
            };
        }
        let file = Path::new(patch);
        let name = file.file_stem().filter(|_| file.is_file());
        let name = name.and_then(|name| name.to_str()).ok_or_else(|| {
            format!("--patch {patch}: there is no such file, and none of xtask/lab/patches has this name")
        })?;
        let named = Self {
            patch: Some(patch.to_owned()),
            ..Self::own(name)
        };
        named
            .request()
            .check()
            .map_err(|error| format!("--patch {patch}: {error}"))?;
        Ok(named)
    }

    /// How the kernel of a patch is built.
    pub(super) fn request(&self) -> build::BuildRequest {
        build::BuildRequest {
            name: self.name.clone(),
            patches: self.patch.iter().cloned().collect(),
            ..build::BuildRequest::default()
        }
    }

    /// The kernel; one of the project's own is built if it is not there, and again if it is not the one
    /// that this checkout would build.
    pub(super) fn find(&self) -> Result<Kernel> {
        if self.patch.is_some() {
            return kernels::build(&self.request());
        }
        match build::BuildRequest::own(&self.kernel) {
            Some(request) => kernels::build(&request),
            None => kernel::resolve(&self.kernel),
        }
    }
}
