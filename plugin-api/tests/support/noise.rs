//! Bytes that a seed makes up, and changes that it makes to genuine ones. The tests of the host use it too.

/// Bytes that a seed repeats (splitmix64), and changes that it makes.
pub struct Noise(u64);

impl Noise {
    pub fn from(seed: u64) -> Noise {
        Noise(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Half of them are bytes that steer readers.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        const STEERING: &[u8] = b"=,:;&%+~/*{}[]\"'\\ .\r\n\t\0-09avt1\xff\xc3";
        let mut byte = || match self.below(2) {
            0 => STEERING[self.below(STEERING.len() as u64) as usize],
            _ => self.below(256) as u8,
        };
        (0..len).map(|_| byte()).collect()
    }

    /// Turns, takes, doubles, cuts or puts in a little.
    pub fn change(&mut self, bytes: &mut Vec<u8>) {
        let len = bytes.len() as u64;
        let at = self.below(len + 1) as usize;
        let end = (at + self.below(8) as usize).min(bytes.len());
        match self.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => bytes.truncate(at),
            4 => {
                let some = bytes[at..end].to_vec();
                bytes.splice(at..at, some);
            }
            _ => {
                let some = self.below(6) as usize;
                let some = self.bytes(some);
                bytes.splice(at..end, some);
            }
        }
    }
}
