//! BLS12-381 in batches, for `threshold/curve/native.py`.
//!
//! `python` is what Python sees. An `engine` does the work on many values at once: `ifma` where the processor has
//! AVX-512 IFMA, else `portable`, which is blst alone. Nothing here takes constant time.

pub mod engine;
#[cfg(target_arch = "x86_64")]
pub mod ifma;
pub mod msm;
pub mod portable;
mod python;
pub mod recoding;
pub mod scalar;
pub mod toeplitz;
pub mod transform;
