//! A run as a state machine: (state, event) to (state, commands); pure.
