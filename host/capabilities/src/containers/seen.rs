//! What the host itself has seen of an attempt's containers, whatever the plugin says of them.
//!
//! A plugin answers in words. That a step failed because an image could not be pulled, or because the kernel ended it for lack
//! of memory, decides about retries and exit codes, so it is taken from here and not from the words.

use super::StepWork;
use std::sync::PoisonError;
use windlass_contract::capability::{ContainerError, Exit};

/// The last things that were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// How the last container that was waited for ended.
    pub exit: Option<Exit>,
    /// What kept the last call from its work; nothing when that call did its work.
    pub trouble: Option<Trouble>,
}

/// What keeps a container from its work, by whom it is to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The image could not be pulled.
    ImagePullFailed,
    /// A volume could not be mounted.
    VolumeMountFailed,
    /// Out of memory, disk or processes.
    ResourceExhausted,
    /// The container engine does not answer.
    Unavailable,
    /// The container of this attempt is gone.
    Lost,
}

impl StepWork {
    pub(super) fn saw(&self, result: Result<Option<Exit>, &ContainerError>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(exit) => *seen = Seen { exit: exit.or(seen.exit), trouble: None },
            Err(error) => {
                seen.trouble = match error {
                    ContainerError::ImagePullFailed(_) => Some(Trouble::ImagePullFailed),
                    ContainerError::VolumeMountFailed(_) => Some(Trouble::VolumeMountFailed),
                    ContainerError::ResourceExhausted(_) => Some(Trouble::ResourceExhausted),
                    ContainerError::EngineUnavailable(_) => Some(Trouble::Unavailable),
                    ContainerError::Lost(_) => Some(Trouble::Lost),
                    _ => None,
                }
            }
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
