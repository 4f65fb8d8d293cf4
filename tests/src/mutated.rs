//! Bad input out of good: what neither a client nor a tester thinks of.

use fastrand::Rng;

/// Changes made to one input, at the most.
const CHANGES_MAX: usize = 4;
/// Bytes of noise put in at once, at the most.
const NOISE_BYTES_MAX: usize = 24;

/// One to four changes of `good`: a bit, a byte, a piece left out, doubled or put in, a number at its limit.
pub fn mutated(rng: &mut Rng, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => {
                let end = rng.usize(at..=bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = rng.usize(at..=bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            // As a varint: a length or a number that is as large as can be.
            5 => drop(bytes.splice(at..at, [0xff; 9].into_iter().chain([rng.u8(..2)]))),
            _ => {
                let count = rng.usize(1..NOISE_BYTES_MAX);
                let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(count).collect();
                bytes.splice(at..at, noise);
            }
        }
    }
    bytes
}
