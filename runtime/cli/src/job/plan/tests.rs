//! Plans against pictures that were drawn by hand.
