//! What crosses the boundary, byte for byte.

use std::marker::PhantomData;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

/// A header of a request, borrowed.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct WireHeader<'a> {
    name: RStr<'a>,
    value: RSlice<'a, u8>,
    _growth: PhantomData<&'a ()>,
}

impl<'a> WireHeader<'a> {
    /// A header over borrowed text and bytes.
    #[must_use]
    pub fn new(name: &'a str, value: &'a [u8]) -> Self {
        Self {
            name: RStr::from_str(name),
            value: RSlice::from_slice(value),
            _growth: PhantomData,
        }
    }

    /// As it came.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name.as_str()
    }

    /// As it came.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.value.as_slice()
    }
}
