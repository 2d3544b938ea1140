//! Carries out the engine's commands.
