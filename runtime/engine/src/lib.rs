//! Subtasks, channels and the path of a record.
