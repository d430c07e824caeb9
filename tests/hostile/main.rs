//! Guests that misbehave, on the real engine and host: each is a clear error that names operator, subtask and limit, while
//! the process and its other jobs stay healthy. The guests are in `guest/`, and misbehave as their configuration says.

mod job;
mod misdeeds;
mod neighbours;
mod refused;
