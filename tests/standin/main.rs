//! The stand-in against what the real one left behind.
