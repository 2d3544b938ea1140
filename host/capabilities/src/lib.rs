//! What a plugin may reach: containers, secrets, artifacts, http, log.
