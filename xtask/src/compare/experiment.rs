//! What was done, for whoever wants to do it again: experiment.json.

use std::path::Path;

use anyhow::{Context, Result};
use lab::apt::write;
use lab::kernel::Kernel;
use lab::vm::Accelerator;
use serde::Serialize;

use super::boots::{Boot, Outcomes};
use super::paths;
use super::plan::Plan;
use super::schedule::clock_name;

/// The file beside the recordings.
const FILE: &str = "experiment.json";

/// Everything but what the recordings have.
#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    schema: u32,
    seed: u64,
    boots: u32,
    accelerator: &'static str,
    host: Vec<(String, String)>,
    kernels: Vec<KernelEntry>,
    order: Vec<BootEntry>,
}

#[derive(Clone, Debug, Serialize)]
struct KernelEntry {
    name: String,
    image: String,
    /// What a built kernel was built from, as one word.
    key: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct BootEntry {
    name: String,
    clock: &'static str,
    cpus: u32,
    steps: Vec<Vec<String>>,
    seconds: Option<f64>,
    release: Option<String>,
    failure: Option<String>,
    /// Why it was booted again.
    again: Option<String>,
}

impl Experiment {
    /// Before the first boot.
    pub fn new(
        plan: &Plan,
        kernels: &[Kernel],
        accelerator: Accelerator,
        boots: &[Boot],
    ) -> Result<Self> {
        let named = plan.kernels.iter().zip(kernels);
        Ok(Self {
            schema: 1,
            seed: plan.seed,
            boots: plan.boots,
            accelerator: match accelerator {
                Accelerator::Tcg => "tcg",
                Accelerator::Kvm => "kvm",
            },
            host: crate::bench::versions::read()?,
            kernels: named
                .map(|(name, kernel)| KernelEntry {
                    name: name.name.clone(),
                    image: kernel.image.display().to_string(),
                    key: kernel.key(),
                })
                .collect(),
            order: boots
                .iter()
                .map(|boot| BootEntry {
                    name: boot.name(),
                    clock: clock_name(boot.request.clock),
                    cpus: boot.request.cpus,
                    steps: boot
                        .request
                        .script
                        .steps
                        .iter()
                        .map(|step| step.argv.clone())
                        .collect(),
                    seconds: None,
                    release: None,
                    failure: None,
                    again: None,
                })
                .collect(),
        })
    }

    /// Writes it as it is known so far.
    pub fn write(&self, folder: &Path) -> Result<()> {
        paths::make(folder.to_owned())?;
        let text = serde_json::to_string_pretty(self).context("cannot write JSON")?;
        write(&folder.join(FILE), &(text + "\n"))
    }

    /// Writes it with how the boots went.
    pub fn finish(mut self, folder: &Path, outcomes: &Outcomes) -> Result<()> {
        for (entry, outcome) in self.order.iter_mut().zip(&outcomes.boots) {
            entry.seconds = Some(outcome.wall.as_secs_f64());
            entry.again.clone_from(&outcome.again);
            match &outcome.result {
                Ok(release) => entry.release = Some(release.clone()),
                Err(why) => entry.failure = Some(why.clone()),
            }
        }
        self.write(folder)
    }
}
